//! The real binary with `--webhook`, in front of it this test in the place of Event Grid, behind it the stand-in for Azure.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use keyrelay_local_azure::event_grid::{
    DeliverySchema, EventGrid, EventGridOptions, EventSubscription,
};
use keyrelay_local_azure::{Cloud, CloudOptions, PublishedEvent};
use reqwest::{RequestBuilder, Response};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::entra::{AUDIENCE, Entra, ROLE, SENDER, TENANT};
use crate::harness::{PLANTED, SUBSCRIPTION, Setup, VAULT, client, field, files_below, reference};

/// How long anything may take that is waited for. Far beyond what is needed: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running webhook, and all around it.
pub(crate) struct Webhook {
    pub(crate) cloud: Cloud,
    pub(crate) entra: Entra,
    pub(crate) folder: TempDir,
    pub(crate) address: SocketAddr,
    published: mpsc::UnboundedReceiver<PublishedEvent>,
    process: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// An app that references the secret `sql`.
pub(crate) fn app() -> Setup {
    Setup::new().site("orders", &format!("SQL = \"{}\"", reference("sql")))
}

impl Webhook {
    /// Starts it and waits until it is ready. `more` is added to the table `webhook`.
    pub(crate) async fn start(setup: Setup, more: &str) -> Self {
        let webhook = Self::begin(setup, more).await;
        webhook.wait_until_ready().await;
        webhook
    }

    /// Starts it and waits until it listens only.
    pub(crate) async fn begin(setup: Setup, more: &str) -> Self {
        let (folder, world) = setup.prepared();
        let (publish, published) = mpsc::unbounded_channel();
        let cloud = Cloud::start(world, CloudOptions::default(), publish)
            .await
            .unwrap();
        let entra = Entra::start().await;
        let endpoints = format!(
            "{{ resource_manager = \"{}\", vault_endpoint = \"{}vaults/{{vault}}\", login = \"{}\" }}",
            cloud.resource_manager_url(),
            cloud.key_vault_url(),
            entra.url,
        );
        let table = format!(
            "{{ listen = \"127.0.0.1:0\", tenant = \"{TENANT}\", audience = \"{AUDIENCE}\", senders = [\"{SENDER}\"], \
             role = \"{ROLE}\"{more} }}"
        );
        let mut process = Command::new(env!("CARGO_BIN_EXE_keyrelay-host"))
            .arg("--webhook")
            .env_clear()
            .envs(cloud.environment_of("keyrelay").unwrap())
            .env("FUNCTIONS_APP_ROOT_PATH", folder.path())
            .env("KEYRELAY_CLOUD", endpoints)
            .env("KEYRELAY_WEBHOOK", table)
            .env("KEYRELAY_STORE", folder.path().join("store"))
            .env(
                "KEYRELAY_SCOPE",
                format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shop"),
            )
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (mut output, kept) = (
            BufReader::new(process.stdout.take().unwrap()).lines(),
            Arc::clone(&lines),
        );
        tokio::spawn(async move {
            while let Ok(Some(line)) = output.next_line().await {
                kept.lock().unwrap().push(line);
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut webhook = Self {
            cloud,
            entra,
            folder,
            address,
            published,
            process,
            lines,
        };
        webhook.until_logged("listening").await;
        webhook.address = webhook
            .lines()
            .iter()
            .find_map(|line| field(line, "address").parse().ok())
            .unwrap();
        webhook
    }

    pub(crate) async fn wait_until_ready(&self) {
        let ready = async {
            while !self
                .get("readyz")
                .await
                .is_ok_and(|answer| answer.status() == 200)
            {
                sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(
            timeout(PATIENCE, ready).await.is_ok(),
            "it does not get ready:\n{}",
            self.log()
        );
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Result<Response> {
        client().get(self.url(path)).send().await
    }

    /// A delivery without a token.
    pub(crate) fn request(&self, body: &Value) -> RequestBuilder {
        self.post("application/json; charset=utf-8", body)
            .header("aeg-event-type", "Notification")
    }

    pub(crate) fn post(&self, content_type: &str, body: &Value) -> RequestBuilder {
        client()
            .post(self.url("events"))
            .header("content-type", content_type)
            .body(body.to_string())
    }

    pub(crate) fn options(&self) -> RequestBuilder {
        client().request(reqwest::Method::OPTIONS, self.url("events"))
    }

    /// Delivers as Event Grid does, in its own schema.
    pub(crate) async fn deliver(&self, events: &Value) -> Response {
        self.request(events)
            .bearer_auth(self.entra.token())
            .send()
            .await
            .unwrap()
    }

    /// Delivers with another content type.
    pub(crate) async fn deliver_as(&self, content_type: &str, body: &Value) -> Response {
        self.post(content_type, body)
            .bearer_auth(self.entra.token())
            .send()
            .await
            .unwrap()
    }

    /// The status of a delivery with this token.
    pub(crate) async fn status_with(&self, token: &str, events: &Value) -> u16 {
        self.request(events)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    /// Sets a secret to a new planted value and returns the event that the vault publishes.
    pub(crate) async fn rotate(&mut self, secret: &str) -> Value {
        self.cloud
            .set_secret(VAULT, secret, format!("{PLANTED}{secret}-next"))
            .unwrap();
        self.published.recv().await.unwrap().event
    }

    /// Event Grid's stand-in with an event subscription for the vault, after the handshake of its schema. What stands
    /// between is only what puts the token in, which the stand-in has no notion of.
    pub(crate) async fn subscribe(&mut self, schema: DeliverySchema) -> EventGrid {
        let published = std::mem::replace(&mut self.published, mpsc::unbounded_channel().1);
        let event_grid = EventGrid::start(EventGridOptions::default(), published).unwrap();
        let with_token = WithToken {
            events: self.url("events"),
            token: self.entra.token(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let router = Router::new().fallback(forward).with_state(with_token);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let topic = format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/{VAULT}"
        );
        let mut subscription = EventSubscription::new("keyrelay", topic, endpoint);
        subscription.schema = schema;
        event_grid.subscribe(subscription).await.unwrap();
        event_grid
    }

    /// The lines of the log, oldest first.
    pub(crate) fn lines(&self) -> Vec<Map<String, Value>> {
        self.lines
            .lock()
            .unwrap()
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits for a line whose message contains this.
    pub(crate) async fn until_logged(&self, text: &str) {
        let is_logged = || {
            self.lines()
                .iter()
                .any(|line| field(line, "message").contains(text))
        };
        self.until(&format!("the line `{text}`"), is_logged).await;
    }

    /// Waits until the apps are being looked at.
    pub(crate) async fn until_under_way(&self) {
        let is_asked = || {
            self.cloud
                .requests()
                .iter()
                .any(|request| request.path.contains("configreferences"))
        };
        self.until("a request for references", is_asked).await;
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let waited = timeout(PATIENCE, async {
            while !holds() {
                sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what} did not come:\n{}", self.log());
    }

    /// Waits until so many verdicts are logged, and compares them, oldest first. The answer may be here before the log is.
    pub(crate) async fn expect_verdicts(&self, expected: &[&str]) {
        let verdicts = || -> Vec<String> {
            let lines = self.lines();
            lines
                .iter()
                .filter_map(|line| line.get("verdict")?.as_str().map(str::to_owned))
                .collect()
        };
        self.until("verdicts", || verdicts().len() >= expected.len())
            .await;
        assert_eq!(verdicts(), expected, "{}", self.log());
    }

    pub(crate) fn runs(&self) -> usize {
        files_below(&self.folder.path().join("store/runs")).len()
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().unwrap().to_string();
        assert!(
            std::process::Command::new("kill")
                .args([&format!("-{name}"), &id])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.process.wait())
            .await
            .expect("it should have ended")
            .unwrap()
    }
}

#[derive(Clone)]
struct WithToken {
    events: String,
    token: String,
}

/// Passes a request on with a token, and the answer back. `OPTIONS` gets none, as in CloudEvents.
async fn forward(State(with): State<WithToken>, request: Request) -> axum::response::Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut headers = head.headers;
    headers.remove("host");
    let mut request = client()
        .request(head.method.clone(), with.events)
        .headers(headers)
        .body(body);
    if head.method != Method::OPTIONS {
        request = request.bearer_auth(with.token);
    }
    let answer = request.send().await.unwrap();
    let mut response = axum::response::Response::builder().status(answer.status());
    *response.headers_mut().unwrap() = answer.headers().clone();
    response.body(answer.bytes().await.unwrap().into()).unwrap()
}

impl Drop for Webhook {
    /// Whatever a test is about: no planted value and no token may be in a log or in the store.
    fn drop(&mut self) {
        // What the header of every token begins with, in base64url: `{"`.
        let is_leak = |text: &str| text.contains(PLANTED) || text.contains("eyJ");
        let read =
            |file: &Path| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
        let in_store = files_below(&self.folder.path().join("store"))
            .iter()
            .any(|file| is_leak(&read(file)));
        if (is_leak(&self.log()) || in_store) && !std::thread::panicking() {
            panic!(
                "a planted value or a token is in the log or the store:\n{}",
                self.log()
            );
        }
    }
}

/// The same event by CloudEvents 1.0, as Event Grid maps it.
pub(crate) fn cloud_event(event: &Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": event["id"],
        "source": event["topic"],
        "type": event["eventType"],
        "subject": event["subject"],
        "time": event["eventTime"],
        "datacontenttype": "application/json",
        "data": event["data"],
    })
}
