//! Identity, Key Vault, Resource Manager, faults and app processes.

mod access_policies;
mod api_versions;
mod app_process;
mod audit;
mod connection_strings;
mod control;
mod faults;
mod https;
mod identity;
mod intercept;
mod key_vault;
mod lifecycle;
mod plans;
mod profile;
mod references;
mod resource_manager;
mod secrets;
mod settings;
mod site_config;
mod storage;
mod subscriptions;
mod swap;
mod world;
mod writer;

use std::time::{Duration, Instant};

use keyrelay_local_azure::{AppLine, Cloud, CloudOptions, Profile, PublishedEvent, World};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const SUBSCRIPTION: &str = "11111111-2222-3333-4444-555555555555";
const ORDERS: &str = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/shop/providers/Microsoft.Web/sites/orders";
const RESOURCE_MANAGER: &str = "https://management.azure.com/";
const KEY_VAULT: &str = "https://vault.azure.net";

const WORLD: &str = r#"
    subscription = "11111111-2222-3333-4444-555555555555"
    [[vault]]
    name = "contoso-kv"
    resource_group = "shop"
    denies = ["reports"]
    secrets = { sql-password = "first" }
    [[site]]
    name = "orders"
    resource_group = "shop"
    settings = { PLAIN = "text", SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)" }
    [[site.slot]]
    name = "staging"
    settings = { SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)" }
    [[site]]
    name = "reports"
    resource_group = "shop"
    [[site]]
    name = "legacy"
    resource_group = "archive"
    identity = false
    [[identity]]
    name = "deployer"
    resource_group = "shop"
    client_id = "99999999-0000-0000-0000-000000000001"
"#;

/// A running stand-in and a client for it.
struct Stand {
    cloud: Cloud,
    events: mpsc::UnboundedReceiver<PublishedEvent>,
    http: Client,
}

/// A response.
#[derive(Debug)]
struct TestResponse {
    status: u16,
    headers: HeaderMap,
    /// Null if the body is not JSON.
    body: Value,
}

impl TestResponse {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The code of an error with the wrapped body.
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn names(&self) -> Vec<&str> {
        self.body["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].as_str().unwrap())
            .collect()
    }
}

impl Stand {
    /// Starts with the ideal profile.
    async fn start() -> Self {
        Self::start_with(ideal()).await
    }

    async fn start_with(options: CloudOptions) -> Self {
        Self::start_in(WORLD, options).await
    }

    async fn start_in(world: &str, options: CloudOptions) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let cloud = Cloud::start(World::parse(world).unwrap(), options, sender)
            .await
            .unwrap();
        // Reused connections hide faults, because the client retries on them.
        let http = Client::builder()
            .timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self {
            cloud,
            events,
            http,
        }
    }

    /// Starts with a receiver of the lines that the apps write.
    async fn start_with_lines(
        world: &str,
        options: CloudOptions,
    ) -> (Self, mpsc::UnboundedReceiver<AppLine>) {
        let (sender, lines) = mpsc::unbounded_channel();
        let options = CloudOptions {
            app_lines: Some(sender),
            ..options
        };
        (Self::start_in(world, options).await, lines)
    }

    /// A token for an audience, of an app or of the identity outside the world.
    async fn token(&self, app: Option<&str>, resource: &str) -> String {
        let response = self
            .ask_for_token(
                app,
                &[("resource", resource), ("api-version", "2019-08-01")],
            )
            .await;
        response.body["access_token"].as_str().unwrap().to_owned()
    }

    async fn ask_for_token(&self, app: Option<&str>, query: &[(&str, &str)]) -> TestResponse {
        let environment = match app {
            Some(app) => self.cloud.environment_of(app).unwrap(),
            None => self.cloud.environment(),
        };
        let variable = |name: &str| {
            environment
                .iter()
                .find(|(it, _)| it == name)
                .unwrap()
                .1
                .clone()
        };
        let url = Url::parse_with_params(&variable("IDENTITY_ENDPOINT"), query).unwrap();
        self.send(
            self.http
                .get(url)
                .header("X-IDENTITY-HEADER", variable("IDENTITY_HEADER")),
        )
        .await
        .unwrap()
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<TestResponse> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        Ok(TestResponse {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or_default(),
        })
    }

    /// Sends a request to Resource Manager.
    async fn try_manage(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<TestResponse> {
        self.try_manage_at("2025-05-01", method, path, body).await
    }

    /// Sends a request with this api-version to Resource Manager.
    async fn try_manage_at(
        &self,
        version: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<TestResponse> {
        let token = self.token(None, RESOURCE_MANAGER).await;
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = self
            .cloud
            .resource_manager_url()
            .join(&format!("{path}{separator}api-version={version}"))
            .unwrap();
        let request = self.http.request(method, url).bearer_auth(token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        self.send(request).await
    }

    /// Reads with this api-version from Resource Manager.
    async fn get_at(&self, version: &str, path: &str) -> TestResponse {
        let response = self.try_manage_at(version, Method::GET, path, None);
        response.await.unwrap()
    }

    async fn manage(&self, method: Method, path: &str, body: Option<Value>) -> TestResponse {
        self.try_manage(method, path, body).await.unwrap()
    }

    async fn get(&self, path: &str) -> TestResponse {
        self.manage(Method::GET, path, None).await
    }

    /// Writes all settings of an app.
    async fn put_settings(&self, app: &str, settings: Value) -> TestResponse {
        let body = json!({ "properties": settings });
        self.manage(
            Method::PUT,
            &format!("{app}/config/appsettings"),
            Some(body),
        )
        .await
    }

    /// The row of the reference in a setting.
    async fn row(&self, app: &str, setting: &str) -> Value {
        let response = self
            .get(&format!(
                "{app}/config/configreferences/appsettings/{setting}"
            ))
            .await;
        response.body["properties"].clone()
    }

    /// Sends a request to the vault.
    async fn vault(&self, method: Method, path: &str, body: Option<Value>) -> TestResponse {
        self.vault_as(None, method, path, body).await
    }

    async fn vault_as(
        &self,
        app: Option<&str>,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> TestResponse {
        let token = self.token(app, KEY_VAULT).await;
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = self
            .cloud
            .key_vault_url()
            .join(&format!("{path}{separator}api-version=7.4"))
            .unwrap();
        let request = self.http.request(method, url).bearer_auth(token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        self.send(request).await.unwrap()
    }
}

/// The default options with the ideal profile.
fn ideal() -> CloudOptions {
    CloudOptions {
        profile: Profile::ideal(),
        ..CloudOptions::default()
    }
}

/// Whether the process exists, which is the condition for sending a signal.
fn is_alive(process: u32) -> bool {
    let script = format!("kill -0 {process} 2>/dev/null");
    std::process::Command::new("sh")
        .args(["-c", &script])
        .status()
        .unwrap()
        .success()
}

/// The next event, which must arrive before the deadline.
async fn next<T>(from: &mut mpsc::UnboundedReceiver<T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), from.recv())
        .await
        .unwrap()
        .unwrap()
}

/// Polls until the condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
