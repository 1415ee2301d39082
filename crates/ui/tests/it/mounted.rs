//! The pages in another program, with another authentication.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::request::Parts;
use keyrelay_sandbox::{Compilation, Sandbox};
use keyrelay_ui::{
    AccessControl, Authenticate, Authentication, CsrfKey, Installation, Role, Sources, User,
};
use reqwest::header::ORIGIN;

use crate::browser::{Shown, client, hidden_fields, links};
use crate::site::{VAULT, usual};

/// Users with a role, as a header names them.
#[derive(Debug)]
struct ByHeader;

impl Authenticate for ByHeader {
    fn authenticate(&self, request: &Parts) -> Authentication {
        let name = request
            .headers
            .get("x-user")
            .and_then(|it| it.to_str().ok());
        let role = match name {
            Some("ada") => Role::Operator,
            Some(_) => Role::Reader,
            None => {
                return Authentication::Refused {
                    status: StatusCode::UNAUTHORIZED,
                    message: "Sign in.".to_owned(),
                };
            }
        };
        let name = name.unwrap_or_default().to_owned();
        Authentication::User(User {
            session: name.clone(),
            name,
            role,
        })
    }
}

#[tokio::test]
async fn the_pages_work_below_a_path_with_users_of_another_authentication() {
    let folders = usual().await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let host = origin.strip_prefix("http://").unwrap().to_owned();
    let key = CsrfKey::random().unwrap();
    let access = AccessControl::new([host], Arc::new(ByHeader), key).mounted_at("/api/ui/");
    let installation = Installation {
        folder: folders.path(""),
        policies: folders.path("policies"),
        environment: std::collections::BTreeMap::new(),
        sandbox: Sandbox::new(Compilation::InProcess).unwrap(),
        cases: None,
    };
    let sources = Arc::new(Sources::new(folders.store.clone(), installation));
    let app = Router::new().nest("/api/ui", keyrelay_ui::router(sources, access));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let get = async |user: &str, path: &str| {
        let request = client()
            .get(format!("{origin}{path}"))
            .header("x-user", user);
        Shown::of(request).await
    };
    let anonymous = Shown::of(client().get(format!("{origin}/api/ui"))).await;
    assert_eq!(
        (anonymous.status, anonymous.text.as_str()),
        (401, "Sign in.\n")
    );
    let page = get("grace", "/api/ui").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("grace (read-only)") && !page.text.contains("/act/"));
    for link in links(&page.text, "/") {
        assert!(link.starts_with("/api/ui"), "{link}");
        assert_eq!(get("grace", &link).await.status, 200, "{link}");
    }
    let act = format!("/api/ui/act/hold?vault={VAULT}&secret=sql");
    assert_eq!(get("grace", &act).await.status, 403);
    let form = hidden_fields(&get("ada", &act).await.text);
    let send = async |user: &str| {
        let form = form
            .iter()
            .cloned()
            .chain([("why".to_owned(), "x".to_owned())]);
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = client().post(format!("{origin}/api/ui/act/hold"));
        let request = request
            .header("x-user", user)
            .header(ORIGIN, &origin)
            .body(body);
        Shown::of(request).await
    };
    assert_eq!(send("grace").await.status, 403);
    let sent = send("ada").await;
    assert_eq!(sent.status, 303);
    let record = sent.headers["location"].to_str().unwrap();
    assert!(
        get("grace", record)
            .await
            .text
            .contains("The secret is held.")
    );
}
