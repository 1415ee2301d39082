//! A function app in a temporary folder, with the example `handler` as its handler.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use keyrelay_local_azure::functions_host::{FunctionsHost, FunctionsHostOptions, HandlerStatus};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The deadline of every expected event.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// The folder of an app. Dropping it removes the folder.
pub(crate) struct AppFolder {
    folder: TempDir,
}

impl AppFolder {
    /// An app with the functions `Event`, `Events`, `Timer` and `Http`.
    pub(crate) fn new() -> Self {
        let app = Self {
            folder: TempDir::new().unwrap(),
        };
        app.write("host.json", &host_json(handler()));
        app.write(
            "Event/function.json",
            &json!({ "bindings": [event_trigger()] }),
        );
        let mut many = event_trigger();
        many["cardinality"] = json!("many");
        app.write("Events/function.json", &json!({ "bindings": [many] }));
        let timer = json!({ "type": "timerTrigger", "name": "timer", "direction": "in", "schedule": "0 0 0 1 1 *" });
        app.write("Timer/function.json", &json!({ "bindings": [timer] }));
        let request = json!({
            "type": "httpTrigger", "name": "req", "direction": "in", "authLevel": "anonymous",
            "methods": ["get", "post"], "route": "things/{name}",
        });
        let response = json!({ "type": "http", "name": "res", "direction": "out" });
        app.write(
            "Http/function.json",
            &json!({ "bindings": [request, response] }),
        );
        app
    }

    pub(crate) fn write(&self, name: &str, content: &Value) {
        let file = self.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content.to_string()).unwrap();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub(crate) fn options(&self) -> FunctionsHostOptions {
        FunctionsHostOptions::new(self.folder.path())
    }
}

pub(crate) fn host_json(executable: PathBuf) -> Value {
    json!({
        "version": "2.0",
        "extensionBundle": { "id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)" },
        "customHandler": {
            "description": { "defaultExecutablePath": executable, "arguments": ["--from", "host.json"] },
        },
    })
}

pub(crate) fn event_trigger() -> Value {
    json!({ "type": "eventGridTrigger", "name": "event", "direction": "in" })
}

/// An event with an action for the handler.
pub(crate) fn event(action: &str) -> Value {
    json!({
        "id": format!("id of {action}"), "topic": "/t", "subject": "s", "eventType": "T",
        "eventTime": "2026-03-01T10:20:30.1234567Z", "data": { "do": action }, "dataVersion": "1", "metadataVersion": "1",
    })
}

/// Starts the host and waits until its handler is running.
pub(crate) async fn start(options: FunctionsHostOptions) -> FunctionsHost {
    let host = FunctionsHost::start(options).await.unwrap();
    let status = host.wait_while_starting().await;
    assert!(matches!(status, HandlerStatus::Running { .. }), "{status}");
    host
}

/// A client with the deadline as its timeout.
pub(crate) fn client() -> Client {
    Client::builder()
        .no_proxy()
        .timeout(DEADLINE)
        .build()
        .unwrap()
}

/// Polls until there is a value.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, found)
        .await
        .unwrap_or_else(|_| panic!("never happened: {what}"))
}

/// The path of the example, which cargo builds together with the tests.
fn handler() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let handler = test
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/handler");
    assert!(
        handler.is_file(),
        "`{}` is not built: `cargo test` without `--test` builds it",
        handler.display()
    );
    handler
}
