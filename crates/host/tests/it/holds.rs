//! A held secret: its events are decided and recorded, and no app is changed until it is resumed.

use std::fs;

use serde_json::json;

use crate::fixtures::reference;
use crate::harness::Harness;
use crate::setup::Setup;

async fn start() -> Harness {
    let app = Setup::new()
        .configured("[[rotation]]\nsecret = \"pinned\"\npolicy = \"pin\"")
        .site(
            "orders",
            &format!(
                "SQL = \"{}\", PINNED = \"{}\"",
                reference("sql"),
                reference("pinned")
            ),
        )
        .ideal()
        .start()
        .await;
    app.reconcile_all().await;
    app
}

/// Writes the hold of a secret, or an object that cannot be read.
fn hold(app: &Harness, secret: &str, text: Option<&str>) -> std::path::PathBuf {
    let folder = app.store().join("holds/contoso-kv.vault.azure.net");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{secret}.json"));
    let hold = json!({
        "format": 1,
        "vault_host": "contoso-kv.vault.azure.net",
        "secret": secret,
        "by": "ada",
        "at": "2026-11-26T10:00:00Z",
        "why": "the freeze",
    });
    fs::write(&file, text.map_or_else(|| hold.to_string(), str::to_owned)).unwrap();
    file
}

#[tokio::test]
async fn a_held_secret_changes_no_app_until_it_is_resumed() {
    let app = start().await;
    for secret in ["sql", "pinned"] {
        let file = hold(&app, secret, None);
        let (writes, refreshes) = (app.writes(), app.requests("POST", "/refresh"));
        app.rotate_and_settle(secret).await;
        assert_eq!(app.outcome("orders").0, "monitored", "{}", app.log());
        // The comparison does not repair what is behind.
        app.compare_again().await;
        assert_eq!(app.writes(), writes, "{}", app.log());
        assert_eq!(app.requests("POST", "/refresh"), refreshes, "{}", app.log());
        let run = app.runs().pop().unwrap();
        let note = run["notes"][0].as_str().unwrap();
        assert!(note.contains("ada holds the secret since"), "{note}");
        fs::remove_file(file).unwrap();
        app.rotate_and_settle(secret).await;
        assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    }
}

#[tokio::test]
async fn a_hold_that_cannot_be_read_holds_its_own_secret_only() {
    let app = start().await;
    hold(&app, "sql", Some("{"));
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "monitored", "{}", app.log());
    app.rotate_and_settle("pinned").await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
}
