//! The HTTP function `Ui`: the pages of `keyrelay-ui`, for the users of App Service authentication.
//!
//! It is off unless `ui = true`. The Functions host sends a request in the field `Data` of the invocation, and takes
//! the response from `Outputs`, as in each invocation of a custom handler without forwarding.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, Request, Uri, header};
use axum::response::Response;
use keyrelay_config::Config;
use keyrelay_model::error_chain;
use keyrelay_sandbox::{Compilation, CompileCommand, Sandbox};
use keyrelay_store::Store;
use keyrelay_ui::{AccessControl, AppServiceAuthentication, CsrfKey, Installation, Sources};
use serde_json::{Map, Value, json};
use tokio::sync::{OnceCell, Semaphore};
use tower_service::Service as _;

/// The path at which the Functions host serves them: its prefix, and the route of `Ui/function.json`.
const PATH: &str = "/api/ui";

/// The name of the output binding in `Ui/function.json`.
const OUTPUT: &str = "response";

/// Largest number of pages that are made at once: an operator's pages must not take the time of events.
const AT_ONCE: usize = 4;

/// Largest response, in bytes: an export of evidence. The Functions host allows 100 MB.
const LARGEST: usize = 64 << 20;

/// The pages in a function app.
#[derive(Debug)]
pub(crate) struct Pages {
    app_root: PathBuf,
    compiler: CompileCommand,
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
    pub(crate) async fn respond(&self, store: &Store, invocation: &Value) -> Value {
        let Some(request) = request_of(invocation) else {
            return plain(400, "The request cannot be read.");
        };
        // The semaphore is never closed.
        let _permit = self.at_once.acquire().await;
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
        match router.clone().call(request).await {
            Ok(response) => output_of(response).await,
            Err(never) => match never {},
        }
    }

    async fn make(&self, store: &Store) -> anyhow::Result<Router> {
        let key = CsrfKey::of_store(store).await?;
        let authentication = Arc::new(AppServiceAuthentication::new(self.is_authenticated));
        let access = AccessControl::new(self.hosts.clone(), authentication, key).mounted_at(PATH);
        let installation = Installation {
            folder: self.app_root.clone(),
            policies: self.app_root.join("policies"),
            environment: BTreeMap::new(),
            sandbox: Sandbox::new(Compilation::ChildProcess(self.compiler.clone()))
                .context("cannot start the sandbox")?,
            cases: None,
        };
        let sources = Arc::new(Sources::new(store.clone(), installation));
        Ok(Router::new().nest(PATH, keyrelay_ui::router(sources, access)))
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
        .uri(url.path_and_query()?.as_str());
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

/// The response in `Outputs`. The pages have no other bodies than text.
async fn output_of(response: Response) -> Value {
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else {
        return plain(500, "The page is too large.");
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
    json!({ "Outputs": { OUTPUT: response }, "Logs": [], "ReturnValue": null })
}
