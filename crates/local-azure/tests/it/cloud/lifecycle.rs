//! Restart, start and stop of apps.

use keyrelay_local_azure::AppLine;
use reqwest::Method;
use tokio::sync::mpsc;

use super::{ORDERS, Stand, is_alive, next, until};

/// An app that prints its environment once and keeps running.
const WORLD: &str = r#"
    subscription = "11111111-2222-3333-4444-555555555555"
    [[vault]]
    name = "contoso-kv"
    resource_group = "shop"
    secrets = { sql-password = "first" }
    [[site]]
    name = "orders"
    resource_group = "shop"
    command = ["sh", "-c", "echo \"$SQL\"; exec sleep 1000"]
    settings = { SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)" }
    [[site.slot]]
    name = "staging"
    settings = { SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)" }
"#;

async fn start() -> (Stand, mpsc::UnboundedReceiver<AppLine>) {
    Stand::start_with_lines(WORLD, super::ideal()).await
}

async fn post(stand: &Stand, app: &str, operation: &str) {
    let path = format!("{app}/{operation}");
    let response = stand.manage(Method::POST, &path, None).await;
    assert_eq!(response.status, 200, "{}", response.body);
}

async fn state(stand: &Stand, app: &str) -> String {
    let body = stand.get(app).await.body;
    body["properties"]["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_restart_resolves_references_and_starts_another_process() {
    let (stand, mut lines) = start().await;
    let first = next(&mut lines).await;
    stand
        .cloud
        .set_secret("contoso-kv", "sql-password", "second")
        .unwrap();
    post(&stand, ORDERS, "restart").await;
    // A process can start between the restart and the resolution.
    let mut last = next(&mut lines).await;
    while last.text != "second" {
        last = next(&mut lines).await;
    }
    assert_eq!(
        (first.text.as_str(), last.process == first.process),
        ("first", false)
    );
    post(&stand, ORDERS, "restart").await;
    let again = next(&mut lines).await;
    assert_eq!(
        (again.text.as_str(), again.process == last.process),
        ("second", false)
    );
}

#[tokio::test]
async fn a_stopped_app_has_no_process_until_its_start() {
    let (stand, mut lines) = start().await;
    let first = next(&mut lines).await;
    post(&stand, ORDERS, "stop").await;
    assert_eq!(state(&stand, ORDERS).await, "Stopped");
    let staging = format!("{ORDERS}/slots/staging");
    assert_eq!(state(&stand, &staging).await, "Running");
    until("the process is gone", async || !is_alive(first.process)).await;
    // A restart does not start it.
    post(&stand, ORDERS, "restart?softRestart=true").await;
    assert_eq!(state(&stand, ORDERS).await, "Stopped");
    stand
        .cloud
        .set_secret("contoso-kv", "sql-password", "second")
        .unwrap();
    post(&stand, ORDERS, "start").await;
    assert_eq!(state(&stand, ORDERS).await, "Running");
    let mut last = next(&mut lines).await;
    while last.text != "second" {
        last = next(&mut lines).await;
    }
}

#[tokio::test]
async fn a_slot_is_restarted_alone() {
    let (stand, _lines) = start().await;
    let version = stand
        .cloud
        .set_secret("contoso-kv", "sql-password", "second")
        .unwrap();
    let staging = format!("{ORDERS}/slots/staging");
    post(&stand, &staging, "restart").await;
    assert_eq!(stand.row(&staging, "SQL").await["activeVersion"], version);
    assert_ne!(stand.row(ORDERS, "SQL").await["activeVersion"], version);
}
