use keyrelay_local_azure::{AppLine, CloudOptions};
use tokio::sync::mpsc;

use super::{Stand, is_alive, next, until};

/// An app that prints its environment once and keeps running.
const WORLD: &str = r#"
    subscription = "s"
    [[vault]]
    name = "contoso-kv"
    resource_group = "shop"
    secrets = { sql-password = "first" }
    [[site]]
    name = "orders"
    resource_group = "shop"
    command = ["sh", "-c", "echo \"$PLAIN $SQL $HOME\"; exec sleep 1000"]
    settings = { PLAIN = "text", SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)" }
"#;

async fn start() -> (Stand, mpsc::UnboundedReceiver<AppLine>) {
    Stand::start_with_lines(WORLD, CloudOptions::default()).await
}

#[tokio::test]
async fn an_app_sees_its_settings_and_the_values_of_its_references() {
    let (_stand, mut lines) = start().await;
    let line = next(&mut lines).await;
    assert_eq!(
        (line.app.as_str(), line.text.as_str()),
        ("orders", "text first ")
    );
}

#[tokio::test]
async fn an_unresolved_reference_appears_as_its_text() {
    let (stand, mut lines) = start().await;
    next(&mut lines).await;
    let change = stand.cloud.edit_settings("orders", |settings| {
        settings.insert(
            "SQL".into(),
            "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=nobody)".into(),
        );
    });
    change.unwrap();
    let line = next(&mut lines).await.text;
    assert_eq!(
        line,
        "text @Microsoft.KeyVault(VaultName=contoso-kv;SecretName=nobody) "
    );
}

#[tokio::test]
async fn a_new_value_restarts_the_process() {
    let (stand, mut lines) = start().await;
    let first = next(&mut lines).await;
    stand
        .cloud
        .set_secret("contoso-kv", "sql-password", "second")
        .unwrap();
    // A write of unchanged settings makes Azure resolve the references again.
    stand.cloud.edit_settings("orders", |_| ()).unwrap();
    let second = next(&mut lines).await;
    assert_eq!(second.text, "text second ");
    until("the old process is gone", async || !is_alive(first.process)).await;
}

#[tokio::test]
async fn a_write_without_a_change_does_not_restart_the_process() {
    let (stand, mut lines) = start().await;
    let first = next(&mut lines).await;
    stand.cloud.edit_settings("orders", |_| ()).unwrap();
    stand
        .cloud
        .edit_settings("orders", |settings| {
            settings.insert("PLAIN".into(), "other".into());
        })
        .unwrap();
    let second = next(&mut lines).await;
    assert_eq!(second.text, "other first ");
    assert_ne!(first.process, second.process);
}

#[tokio::test]
async fn an_app_that_exits_is_restarted() {
    let (_stand, mut lines) = start().await;
    let first = next(&mut lines).await;
    std::process::Command::new("kill")
        .arg(first.process.to_string())
        .status()
        .unwrap();
    let second = next(&mut lines).await;
    assert_eq!(second.text, first.text);
    assert_ne!(second.process, first.process);
}

#[tokio::test]
async fn dropping_the_stand_in_ends_all_processes() {
    let (stand, mut lines) = start().await;
    let process = next(&mut lines).await.process;
    let address = stand.cloud.key_vault_url().socket_addrs(|| None).unwrap()[0];
    assert!(is_alive(process));
    drop(stand);
    until("the process is gone", async || !is_alive(process)).await;
    until("the port is free", async || {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
}
