//! Nothing is done without the store, and everything is done when it is back.

use std::fs;

use crate::harness::{Harness, Setup, reference};

fn app() -> Setup {
    let rule = "answer_within_ms = 2000\n[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"";
    Setup::new().site("orders", &format!("SQL = \"{}\"", reference("sql"))).configured(rule)
}

/// Puts a file in the place of the store's folder.
fn take_away(app: &Harness) {
    fs::rename(app.store(), app.folder.path().join("store-away")).unwrap();
    fs::write(app.store(), "").unwrap();
}

fn give_back(app: &Harness) {
    fs::remove_file(app.store()).unwrap();
    fs::rename(app.folder.path().join("store-away"), app.store()).unwrap();
}

#[tokio::test]
async fn without_the_store_nothing_is_written_and_everything_afterwards() {
    let app = app().start().await;
    take_away(&app);
    let version = app.rotate("sql");
    app.until("two failed deliveries", |app| app.azure.event_grid.deliveries().len() >= 2).await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "failed");
    assert!(message.contains("nothing is done without the store"), "{message}");
    assert_eq!((app.writes(), app.requests("POST", "/refresh")), (0, 0));
    give_back(&app);
    app.settled().await;
    assert_eq!(app.active_version("orders", "SQL"), Some(version), "{}", app.log());
    assert_eq!(app.writes(), 1);
}

#[tokio::test]
async fn every_run_is_on_record() {
    let app = app().start().await;
    let version = app.rotate_and_settle("sql").await;
    let runs = app.runs();
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((&run["format"], &run["cause"]), (&1.into(), &"event".into()));
    assert_eq!(run["event"]["version"], version.as_str());
    assert_eq!(run["policy"]["name"], "pin");
    assert_eq!(run["policy"]["digest"].as_str().unwrap().len(), 64);
    let rotation = &run["rotations"][0];
    assert_eq!(rotation["verdict"], "verified");
    assert!(rotation["plan"][0].as_str().unwrap().starts_with("SQL: @Microsoft.KeyVault("), "{rotation}");
    let requests = rotation["requests"].as_array().unwrap();
    let write = requests.iter().find(|request| request["operation"] == "write the settings").unwrap();
    assert_eq!(write["status"], 200);
    assert!(write["request_id"].is_string() && write["at"].is_string(), "{write}");
    // The lease is given back, and nothing is left open.
    assert!(app.pending().is_empty());
}
