//! The HTTP function `Ui`: the pages of `keyrelay-ui`, for the users of App Service authentication.
//!
//! It is off unless `ui = true`. The Functions host sends a request in the field `Data` of the invocation, and takes
//! the response from `Outputs`, as in each invocation of a custom handler without forwarding.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use axum::response::Response;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use keyrelay_config::Config;
use keyrelay_model::error_chain;
use keyrelay_sandbox::{Compilation, CompileCommand, Sandbox};
use keyrelay_store::Store;
use keyrelay_ui::{AccessControl, AppServiceAuthentication, CsrfKey, Installation, Sources};
use serde_json::{Map, Value, json};
use tokio::sync::{OnceCell, Semaphore};

use super::invocation::read_body;

/// The path at which the Functions host serves them: its prefix, and the route of `Ui/function.json`.
const PATH: &str = "/api/ui";

/// The name of the output binding in `Ui/function.json`.
const OUTPUT_BINDING: &str = "response";

/// Largest number of pages that are made at once: an operator's pages must not take the time of events.
const AT_ONCE: usize = 4;

/// Longest wait for that.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time for a page. An action takes the time that it needs.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Largest response, in bytes: an export of evidence. It is in memory three times, and the smallest instance has 512 MB.
const MAX_RESPONSE_BYTES: usize = 8 << 20;

/// The pages in a function app.
#[derive(Debug)]
pub(crate) struct Pages {
    app_root: PathBuf,
    compiler: CompileCommand,
    /// The app settings that override `keyrelay.toml` are among them.
    environment: BTreeMap<String, String>,
    hosts: Vec<String>,
    /// Whether App Service authentication is on.
    is_authenticated: bool,
    /// Made for the first request, so that they cost nothing until then.
    router: OnceCell<Router>,
    at_once: Semaphore,
}

impl Pages {
    /// The pages, if the configuration switches them on. Nothing is read yet.
    pub(crate) fn new(
        config: &Config,
        app_root: &Path,
        compiler: &CompileCommand,
        environment: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let own = environment.get("WEBSITE_HOSTNAME").cloned();
        let hosts = config.ui_hosts.iter().map(|host| host.as_str());
        let authentication = environment.get("WEBSITE_AUTH_ENABLED");
        config.ui.then(|| Self {
            app_root: app_root.to_owned(),
            compiler: compiler.clone(),
            environment: environment.clone(),
            hosts: own.into_iter().chain(hosts.map(str::to_owned)).collect(),
            // What App Service says counts more.
            is_authenticated: authentication
                .map_or(config.ui_authenticated == Some(true), |is_on| {
                    is_on.eq_ignore_ascii_case("true")
                }),
            router: OnceCell::new(),
            at_once: Semaphore::new(AT_ONCE),
        })
    }

    /// Responds to the request in an invocation, with the body of the response to the Functions host.
    pub(crate) async fn respond(&self, store: &Store, body: Body) -> Value {
        let permit = tokio::time::timeout(QUEUE_TIMEOUT, self.at_once.acquire()).await;
        // The semaphore is never closed.
        let Ok(Ok(_permit)) = permit else {
            return plain(503, "Too many pages are requested at once: try again.");
        };
        let body = read_body(body).await.ok();
        let invocation = body.and_then(|body| serde_json::from_slice(&body).ok());
        let Some(request) = invocation.as_ref().and_then(request_of) else {
            return plain(400, "The request cannot be read.");
        };
        let router = match self.router.get_or_try_init(|| self.make(store)).await {
            Ok(router) => router,
            Err(error) => {
                let reason = error_chain(error.as_ref());
                tracing::error!("the pages cannot be shown: {reason}");
                return plain(
                    503,
                    "The pages cannot be shown: see the log of the function app.",
                );
            }
        };
        let is_page = request.method() == Method::GET;
        let responding = respond_to(router, request);
        match is_page {
            true => tokio::time::timeout(PAGE_TIMEOUT, responding)
                .await
                .unwrap_or_else(|_| {
                    plain(503, "The page takes too long: narrow it with a filter.")
                }),
            false => responding.await,
        }
    }

    async fn make(&self, store: &Store) -> anyhow::Result<Router> {
        let key = CsrfKey::of_store(store).await?;
        let authentication = Arc::new(AppServiceAuthentication::new(self.is_authenticated));
        let access = AccessControl::new(self.hosts.clone(), authentication, key).mounted_at(PATH);
        let installation = Installation {
            folder: self.app_root.clone(),
            policies: self.app_root.join("policies"),
            environment: self.environment.clone(),
            sandbox: Sandbox::new(Compilation::ChildProcess(self.compiler.clone()))
                .context("cannot start the sandbox")?,
            cases: None,
        };
        let sources = Arc::new(Sources::new(store.clone(), installation));
        Ok(Router::new().nest(PATH, keyrelay_ui::router(sources, access)))
    }
}

async fn respond_to(router: &Router, request: Request<Body>) -> Value {
    let response: Result<Response, Infallible> =
        TowerToHyperService::new(router.clone()).call(request).await;
    match response {
        Ok(response) => output_of(response).await,
        Err(never) => match never {},
    }
}

/// The request in `Data`, which has one binding: `{"Url", "Method", "Headers", "Body"}`. None: it is none.
fn request_of(invocation: &Value) -> Option<Request<Body>> {
    let data = invocation.get("Data")?.as_object()?;
    let sent = data.values().next()?;
    let url: Uri = sent.get("Url")?.as_str()?.parse().ok()?;
    let method = sent.get("Method")?.as_str()?;
    let mut request = Request::builder()
        .method(method)
        .uri(target(url.path_and_query()?.as_str()));
    for (name, values) in sent.get("Headers")?.as_object()? {
        let name: HeaderName = name.parse().ok()?;
        let values = values
            .as_array()
            .map_or(std::slice::from_ref(values), Vec::as_slice);
        for value in values {
            let value = HeaderValue::from_str(value.as_str()?).ok()?;
            request = request.header(name.clone(), value);
        }
    }
    let body = match sent.get("Body") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    request.body(body.into()).ok()
}

/// The target of a request as the routes have it: ASP.NET compares routes without regard to case, and the address of
/// the function may end with a slash.
fn target(sent: &str) -> String {
    match sent.split_at_checked(PATH.len()) {
        Some((path, rest)) if path.eq_ignore_ascii_case(PATH) => {
            let slash = rest.strip_prefix('/');
            let query = slash.filter(|end| end.is_empty() || end.starts_with('?'));
            format!("{PATH}{}", query.unwrap_or(rest))
        }
        _ => sent.to_owned(),
    }
}

/// The response in `Outputs`. The pages have no other bodies than text.
async fn output_of(response: Response) -> Value {
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_RESPONSE_BYTES).await else {
        return plain(500, "The page is too large: narrow it with a filter.");
    };
    let headers = parts.headers.iter().filter_map(|(name, value)| {
        // The Functions host frames the body.
        let is_kept = name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING;
        let value = value.to_str().ok().filter(|_| is_kept)?;
        Some((name.as_str().to_owned(), json!(value)))
    });
    let headers: Map<String, Value> = headers.collect();
    let body = String::from_utf8_lossy(&body);
    output(parts.status.as_u16(), headers, &body)
}

/// A response of one sentence.
pub(crate) fn plain(status: u16, text: &str) -> Value {
    let content_type = (
        "content-type".to_owned(),
        json!("text/plain; charset=utf-8"),
    );
    output(status, Map::from_iter([content_type]), &format!("{text}\n"))
}

fn output(status: u16, headers: Map<String, Value>, body: &str) -> Value {
    let response = json!({ "statusCode": status, "headers": headers, "body": body });
    json!({ "Outputs": { OUTPUT_BINDING: response }, "Logs": [], "ReturnValue": null })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_that_of_the_routes_in_any_case_and_with_a_slash() {
        for (sent, expected) in [
            ("/api/ui", "/api/ui"),
            ("/API/Ui/", "/api/ui"),
            ("/api/ui/?a=1", "/api/ui?a=1"),
            ("/Api/ui/runs/X?y=/", "/api/ui/runs/X?y=/"),
            ("/api/u", "/api/u"),
            ("/é", "/é"),
        ] {
            assert_eq!(target(sent), expected);
        }
    }

    #[test]
    fn what_is_no_request_is_none() {
        let sent = |request: Value| request_of(&json!({ "Data": { "request": request } }));
        let fine = json!({ "Url": "https://a/api/ui?x=1", "Method": "POST", "Headers": { "host": ["a"] }, "Body": "b" });
        let request = sent(fine.clone()).unwrap();
        assert_eq!(request.uri(), "/api/ui?x=1");
        assert_eq!(request.headers()["host"], "a");
        for (field, value) in [
            ("Url", json!("")),
            ("Url", json!(7)),
            ("Method", json!("a b")),
            ("Headers", json!(null)),
            ("Headers", json!({ "a b": ["c"] })),
            ("Headers", json!({ "a": ["\n"] })),
        ] {
            let mut wrong = fine.clone();
            wrong[field] = value;
            assert!(sent(wrong.clone()).is_none(), "{wrong}");
        }
        for other in [json!(null), json!({ "Data": {} }), json!({ "Data": 7 })] {
            assert!(request_of(&other).is_none(), "{other}");
        }
    }
}
