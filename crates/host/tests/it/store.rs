//! Outages of the store: nothing is written during one, and everything afterwards.

use std::time::Duration;

use keyrelay_local_azure::{Effect, Fault, Service};

use crate::fixtures::reference;
use crate::harness::field;
use crate::setup::Setup;

fn app() -> Setup {
    let rule = "answer_within_ms = 2000\n[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"";
    Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured(rule)
}

#[tokio::test]
async fn without_the_folder_nothing_is_written_and_everything_afterwards() {
    outage(app()).await;
}

#[tokio::test]
async fn without_the_container_nothing_is_written_and_everything_afterwards() {
    outage(app().in_azurite()).await;
}

async fn outage(setup: Setup) {
    let app = setup.start().await;
    app.take_store_away().await;
    let version = app.rotate("sql");
    app.until("two failed deliveries", |app| {
        app.azure.event_grid.deliveries().len() >= 2
    })
    .await;
    let line = app.verdicts().pop().unwrap();
    let (verdict, message) = (field(&line, "verdict"), field(&line, "message"));
    assert_eq!(verdict, "failed");
    assert!(
        message.contains("nothing is done without the store"),
        "{message}"
    );
    assert_eq!((app.writes(), app.requests("POST", "/refresh")), (0, 0));
    app.bring_store_back().await;
    app.settled().await;
    // A delivery that has seen only the end of the outage leaves the app to the timer, 15 s later.
    for _ in 0..30 {
        if app.active_version("orders", "SQL").as_ref() == Some(&version) {
            break;
        }
        app.reconcile().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(
        app.active_version("orders", "SQL"),
        Some(version),
        "{}",
        app.log()
    );
    assert_eq!(app.writes(), 1);
}

#[tokio::test]
async fn a_missing_role_for_the_container_is_named() {
    let app = app().in_azurite().start().await;
    if app.azurite.is_none() {
        return;
    }
    let denied = Effect::status(403, "AuthorizationPermissionMismatch");
    app.azure
        .cloud
        .switch_on(Fault::new(Service::Storage, denied));
    app.rotate("sql");
    app.until("a failed delivery", |app| !app.verdicts().is_empty())
        .await;
    let line = app.verdicts().pop().unwrap();
    let message = field(&line, "message");
    assert!(
        message.contains("Storage Blob Data Contributor"),
        "{message}"
    );
    app.azure.cloud.switch_off_faults();
    app.settled().await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
}

#[tokio::test]
async fn every_run_is_on_record() {
    let app = app().start().await;
    let version = app.rotate_and_settle("sql").await;
    let runs = app.runs();
    let [run] = runs.as_slice() else {
        panic!("{runs:?}")
    };
    assert_eq!(
        (&run["format"], &run["cause"]),
        (&1.into(), &"event".into())
    );
    assert_eq!(run["event"]["version"], version.as_str());
    assert_eq!(run["policy"]["name"], "pin");
    assert_eq!(run["policy"]["digest"].as_str().unwrap().len(), 64);
    let rotation = &run["rotations"][0];
    assert_eq!(rotation["verdict"], "verified");
    assert!(
        rotation["plan"][0]["after"]
            .as_str()
            .unwrap()
            .starts_with("@Microsoft.KeyVault("),
        "{rotation}"
    );
    let requests = rotation["requests"].as_array().unwrap();
    let write = requests
        .iter()
        .find(|request| request["operation"] == "write the settings")
        .unwrap();
    assert_eq!(write["status"], 200);
    assert!(
        write["request_id"].is_string() && write["at"].is_string(),
        "{write}"
    );
    // The lease is released, and nothing stays pending.
    assert!(app.pending().is_empty());
}
