//! The pages in the function app: behind App Service authentication, and off unless they are asked for.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::fixtures::{PLANTED, reference};
use crate::harness::Harness;
use crate::setup::Setup;

/// A function app in App Service, with the pages or without.
async fn start(ui: bool, authentication: &'static str) -> Harness {
    let setup = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .ideal();
    let setup = match ui {
        true => setup.configured("ui = true"),
        false => setup,
    };
    let app = setup.with(move |options| {
        let environment = &mut options.functions_host.environment;
        for (name, value) in [
            ("WEBSITE_HOSTNAME", "keyrelay.azurewebsites.example"),
            ("WEBSITE_AUTH_ENABLED", authentication),
        ] {
            environment.push((name.to_owned(), value.to_owned()));
        }
    });
    let app = app.start().await;
    app.reconcile_all().await;
    app.rotate_and_settle("sql").await;
    app
}

/// The header that App Service adds for a user with a role.
fn signed_in(role: &str) -> String {
    let claims = [
        ("oid", "id-of-ada"),
        ("preferred_username", "ada@contoso.example"),
        ("roles", role),
    ];
    let claims = claims.map(|(typ, val)| json!({ "typ": typ, "val": val }));
    let principal =
        json!({ "auth_typ": "aad", "name_typ": "name", "role_typ": "roles", "claims": claims });
    BASE64_STANDARD.encode(principal.to_string())
}

/// A request to the Functions host, as the front end of App Service passes it on.
fn request(app: &Harness, method: &str, path: &str, role: Option<&str>) -> reqwest::RequestBuilder {
    request_to(app, method, path, role, "keyrelay.azurewebsites.example")
}

/// The same for another host name.
fn request_to(
    app: &Harness,
    method: &str,
    path: &str,
    role: Option<&str>,
    host: &str,
) -> reqwest::RequestBuilder {
    let url = app.azure.functions_host.url().join(path).unwrap();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let request = client
        .build()
        .unwrap()
        .request(method.parse().unwrap(), url);
    let request = request.header("host", host);
    match role {
        Some(role) => request.header("X-MS-CLIENT-PRINCIPAL", signed_in(role)),
        None => request,
    }
}

async fn shown(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The value of a field of a form.
fn field<'p>(page: &'p str, name: &str) -> &'p str {
    let (_, rest) = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap();
    rest.split('"').next().unwrap()
}

#[tokio::test]
async fn a_reader_sees_the_pages_and_changes_nothing() {
    let app = start(true, "True").await;
    let (status, page) = shown(request(&app, "GET", "/api/ui", Some("reader"))).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("ada@contoso.example (read-only)"), "{page}");
    // Every link stays below the path of the function.
    let links = page
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    for link in links.filter(|link| link.starts_with('/')) {
        assert!(link.starts_with("/api/ui"), "{link}");
        let (status, text) = shown(request(&app, "GET", link, Some("reader"))).await;
        assert_eq!(status, 200, "{link}: {text}");
        assert!(!text.contains(PLANTED), "{link} has a value: {text}");
    }
    for format in ["csv", "json"] {
        let export =
            format!("/api/ui/evidence?vault=contoso-kv.vault.azure.net&secret=sql&format={format}");
        let (status, text) = shown(request(&app, "GET", &export, Some("reader"))).await;
        assert_eq!(status, 200, "{export}: {text}");
        assert!(text.contains("orders") && !text.contains(PLANTED), "{text}");
    }
    let secret = "/api/ui/secrets/contoso-kv.vault.azure.net/sql";
    let (_, page) = shown(request(&app, "GET", secret, Some("reader"))).await;
    assert!(page.contains("orders") && !page.contains("/act/"), "{page}");
    let held = request(&app, "POST", "/api/ui/act/hold", Some("reader"))
        .header("origin", "https://keyrelay.azurewebsites.example");
    assert_eq!(shown(held).await.0, 403);
}

#[tokio::test]
async fn an_operator_acts_on_the_pages_of_any_instance_and_is_on_record() {
    let app = start(true, "True").await;
    let act = "/api/ui/act/hold?vault=contoso-kv.vault.azure.net&secret=sql";
    let (status, form) = shown(request(&app, "GET", act, Some("operator"))).await;
    assert_eq!(status, 200, "{form}");
    // Another instance gets the form.
    app.azure
        .functions_host
        .handler_kill(0)
        .unwrap()
        .killed()
        .await;
    app.until("the handler is back", |app| {
        app.azure.functions_host.handler_url_of(0).is_some()
    })
    .await;
    // Nothing in it needs an escape.
    let fields = format!(
        "token={}&vault=contoso-kv.vault.azure.net&secret=sql&why=the+freeze",
        field(&form, "token")
    );
    let hold = |origin: &str| {
        request(&app, "POST", "/api/ui/act/hold", Some("operator"))
            .header("origin", origin)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(fields.clone())
    };
    let (status, page) = shown(hold("https://evil.example")).await;
    assert_eq!(status, 403, "{page}");
    let (status, page) = shown(hold("https://keyrelay.azurewebsites.example")).await;
    assert!((200..400).contains(&status), "{status}: {page}");
    let (_, actions) = shown(request(&app, "GET", "/api/ui/actions", Some("reader"))).await;
    assert!(
        actions.contains("ada@contoso.example") && actions.contains("the freeze"),
        "{actions}"
    );
    // An event is handled meanwhile as the hold says.
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "monitored", "{}", app.log());
}

#[tokio::test]
async fn nobody_else_gets_in() {
    let app = start(true, "True").await;
    for (role, host, expected) in [
        (None, "keyrelay.azurewebsites.example", 401),
        (Some("owner"), "keyrelay.azurewebsites.example", 403),
        (Some("operator"), "evil.example", 403),
    ] {
        let got = shown(request_to(&app, "GET", "/api/ui/fleet", role, host)).await;
        assert_eq!(got.0, expected, "{role:?} {host}");
    }
    // Without App Service authentication a client can write the header itself.
    let app = start(true, "False").await;
    let (status, text) = shown(request(&app, "GET", "/api/ui", Some("operator"))).await;
    assert_eq!(
        (status, text.contains("authentication is off")),
        (403, true),
        "{text}"
    );
}

#[tokio::test]
async fn without_ui_there_is_no_page_and_with_it_events_are_handled_while_pages_wait() {
    let app = start(false, "True").await;
    let (status, text) = shown(request(&app, "GET", "/api/ui", Some("operator"))).await;
    assert_eq!((status, text.as_str()), (404, "There is no such page.\n"));

    let app = start(true, "True").await;
    let pages: Vec<_> = (0..40)
        .map(|_| tokio::spawn(shown(request(&app, "GET", "/api/ui/runs", Some("reader")))))
        .collect();
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    for page in pages {
        assert_eq!(page.await.unwrap().0, 200);
    }
}
