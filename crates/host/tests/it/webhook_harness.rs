//! The real binary with `--webhook`, between a test in the role of Event Grid and the stand-in for
//! Azure.

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
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::entra::{AUDIENCE, Entra, ROLE, SENDER, TENANT};
use crate::fixtures::{PLANTED, SUBSCRIPTION, VAULT, reference};
use crate::harness::{PATIENCE, client, field, files_below};
use crate::setup::Setup;

/// A running webhook with its stand-ins.
pub(crate) struct Webhook {
    pub(crate) cloud: Cloud,
    pub(crate) entra: Entra,
    pub(crate) folder: TempDir,
    pub(crate) address: SocketAddr,
    /// The address of the port for probes alone.
    pub(crate) probes: SocketAddr,
    published: mpsc::UnboundedReceiver<PublishedEvent>,
    /// How many requests there were before the last rotation.
    requests_before: usize,
    process: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// An app that references the secret `sql`. The policy pins, so that one delivery has the evidence.
pub(crate) fn app() -> Setup {
    Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured("[[rotation]]\nsecret = \"*\"\npolicy = \"pin\"")
}

impl Webhook {
    /// Starts it, and waits until it is ready. `more` is added to the table `webhook`.
    pub(crate) async fn start(setup: Setup, more: &str) -> Self {
        let webhook = Self::begin(setup, more).await;
        webhook.wait_until_ready().await;
        webhook
    }

    /// Starts it, and waits only until it listens.
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
            .env("KEYRELAY_PROBE_LISTEN", "127.0.0.1:0")
            .env("KEYRELAY_STORE", folder.path().join("store"))
            .env(
                "KEYRELAY_SCOPE",
                format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shop"),
            )
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = collect_lines(process.stdout.take().unwrap());
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut webhook = Self {
            cloud,
            entra,
            folder,
            address,
            probes: address,
            published,
            requests_before: 0,
            process,
            lines,
        };
        webhook.address = webhook.logged_address("listening").await;
        webhook.probes = webhook.logged_address("serving probes").await;
        webhook
    }

    async fn logged_address(&self, message: &str) -> SocketAddr {
        self.until_logged(message).await;
        let lines = self.lines();
        let mut logged = lines.iter();
        let line = logged.find(|line| field(line, "message") == message);
        field(line.unwrap(), "address").parse().unwrap()
    }

    pub(crate) async fn wait_until_ready(&self) {
        let ready = async {
            while !self
                .get("readyz")
                .await
                .is_ok_and(|response| response.status() == 200)
            {
                sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(
            timeout(PATIENCE, ready).await.is_ok(),
            "it does not become ready:\n{}",
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

    /// Delivers in Event Grid's schema.
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
    ///
    /// The comparison that begins at the start would find the new version, too, and might be the first
    /// to handle it. So this waits for its end: up to ten seconds, and its own time. The next one is an
    /// hour later.
    pub(crate) async fn rotate(&mut self, secret: &str) -> Value {
        self.until_compared().await;
        self.requests_before = self.cloud.requests().len();
        self.cloud
            .set_secret(VAULT, secret, format!("{PLANTED}{secret}-next"))
            .unwrap();
        self.published.recv().await.unwrap().event
    }

    /// The stand-in for Event Grid with an event subscription for the vault, after the handshake of
    /// its schema. A proxy adds the token, because the stand-in sends none.
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

    /// Waits until the comparison that begins at the start has ended.
    pub(crate) async fn until_compared(&self) {
        self.until_logged("reconciled: ").await;
    }

    /// Waits until the references of apps are being read for the last rotation.
    pub(crate) async fn until_under_way(&self) {
        let is_requested = || {
            self.cloud
                .requests()
                .iter()
                .skip(self.requests_before)
                .any(|request| request.path.contains("configreferences"))
        };
        self.until("a request for references", is_requested).await;
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let waited = timeout(PATIENCE, async {
            while !holds() {
                sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(
            waited.await.is_ok(),
            "{what} did not happen:\n{}",
            self.log()
        );
    }

    /// Waits until as many verdicts are logged, and compares them, oldest first. A response can
    /// arrive before its log line. What the comparison does, which begins at the start, is left out.
    pub(crate) async fn expect_verdicts(&self, expected: &[&str]) {
        let verdicts = || -> Vec<String> {
            let lines = self.lines();
            lines
                .iter()
                .filter(|line| !field(line, "event.id").starts_with("missed-"))
                .filter_map(|line| line.get("verdict")?.as_str().map(str::to_owned))
                .collect()
        };
        self.until("verdicts", || verdicts().len() >= expected.len())
            .await;
        assert_eq!(verdicts(), expected, "{}", self.log());
    }

    /// How many runs the deliveries have made. Those of the comparison, which begins at the start, are
    /// left out.
    pub(crate) fn runs(&self) -> usize {
        let files = files_below(&self.folder.path().join("store/runs"));
        // A record that is being written has another name, which is soon gone.
        let records = files
            .iter()
            .filter(|it| it.extension().is_some_and(|it| it == "json"));
        let texts = records.map(|file| fs::read_to_string(file).unwrap());
        texts.filter(|text| !text.contains("\"missed-")).count()
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

/// Collects the lines of an output while they arrive.
fn collect_lines(output: ChildStdout) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&lines);
    let mut output = BufReader::new(output).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = output.next_line().await {
            collected.lock().unwrap().push(line);
        }
    });
    lines
}

#[derive(Clone)]
struct WithToken {
    events: String,
    token: String,
}

/// Forwards a request with a token, and returns the response. `OPTIONS` gets no token, as in
/// CloudEvents.
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
    let received = request.send().await.unwrap();
    let mut response = axum::response::Response::builder().status(received.status());
    *response.headers_mut().unwrap() = received.headers().clone();
    response
        .body(received.bytes().await.unwrap().into())
        .unwrap()
}

impl Drop for Webhook {
    /// Checks, for every test, that no planted value and no token is in the log or the store.
    fn drop(&mut self) {
        // The header of every token starts with `{"`, which is `eyJ` in base64url.
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

/// The same event in the schema of CloudEvents 1.0, as Event Grid maps it.
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
