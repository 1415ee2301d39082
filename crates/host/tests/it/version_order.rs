//! The order of versions: no app goes backwards, and no version is applied before it is valid.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_local_azure::{Attributes, Effect, Fault, Intercept, Moment, Service, Then};
use serde_json::json;
use tokio::sync::oneshot;

use crate::fixtures::{VAULT, event, reference};
use crate::harness::field;
use crate::setup::Setup;

fn pinning() -> Setup {
    let rule = "[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"\n";
    Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured(rule)
}

#[tokio::test]
async fn without_the_vaults_list_the_record_decides_the_order() {
    let app = pinning().start().await;
    app.azure.cloud.switch_on(Fault::new(
        Service::KeyVault,
        Effect::status(403, "Forbidden"),
    ));
    let (old, new) = (
        "0a".repeat(16),
        app.azure.cloud.newest_version(VAULT, "sql").unwrap(),
    );
    let at = |id: &str, version: &str, time: &str| {
        let mut event = event(id, "sql", version);
        event["eventTime"] = json!(time);
        event
    };
    app.invoke(&at("new", &new, "2026-03-01T10:20:30.2Z")).await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    // Another process reads it from the store.
    app.azure.functions_host.kill_handler();
    app.until("the restart", |app| {
        app.azure.functions_host.restarts() == 1
    })
    .await;
    app.invoke(&at("old", &old, "2026-03-01T10:20:30.1Z")).await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "unchanged", "{}", app.log());
    assert!(
        message.contains(&new) && message.contains("to an older version"),
        "{message}"
    );
    assert_eq!(app.writes(), 1);
}

#[tokio::test]
async fn of_two_versions_of_one_second_the_later_event_wins_in_any_order() {
    let app = pinning().start().await;
    let [first, second] = [app.rotate("sql"), app.rotate("sql")];
    app.settled().await;
    assert_eq!(
        app.active_version("orders", "SQL"),
        Some(second.clone()),
        "{}",
        app.log()
    );
    let mut late = event("late", "sql", &first);
    late["eventTime"] = json!("2026-03-01T10:20:30Z");
    app.invoke(&late).await;
    assert_eq!(
        app.active_version("orders", "SQL"),
        Some(second),
        "{}",
        app.log()
    );
}

#[tokio::test]
async fn a_version_that_is_not_valid_yet_is_applied_later_by_the_timer() {
    let app = pinning().start().await;
    let version = app.azure.cloud.newest_version(VAULT, "sql").unwrap();
    let not_before = Timestamp::now() + Duration::from_secs(9);
    let valid_from = |not_before| {
        let attributes = Attributes {
            enabled: true,
            not_before: Some(not_before),
            expires: None,
        };
        app.azure
            .cloud
            .set_attributes(VAULT, "sql", &version, attributes)
            .unwrap();
    };
    valid_from(not_before);
    let invocation = app.invoke(&event("early", "sql", &version)).await;
    assert!(invocation.outcome.is_ok());
    let line = app.verdicts().pop().unwrap();
    assert_eq!(field(&line, "verdict"), "pending", "{}", app.log());
    assert!(
        field(&line, "message").contains("is not valid before"),
        "{line:?}"
    );
    app.reconcile().await;
    assert_eq!((app.writes(), app.pending().len()), (0, 1), "not yet");
    // The event is kept if a person moves the date meanwhile.
    app.make_due();
    app.reconcile().await;
    assert_eq!((app.writes(), app.pending().len()), (0, 1), "not yet");
    app.until("the time of the version", |_| {
        Timestamp::now() > not_before + Duration::from_secs(1)
    })
    .await;
    app.reconcile().await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    assert_eq!(app.active_version("orders", "SQL"), Some(version));
    assert!(app.pending().is_empty());
    let first = app
        .runs()
        .into_iter()
        .find(|run| run["cause"] == "event")
        .unwrap();
    assert_eq!(first["ended"]["verdict"], "verified", "{first}");
}

#[tokio::test]
async fn a_disabled_version_is_refused_and_on_record() {
    let app = pinning().start().await;
    let version = app.azure.cloud.newest_version(VAULT, "sql").unwrap();
    let attributes = Attributes {
        enabled: false,
        not_before: None,
        expires: None,
    };
    app.azure
        .cloud
        .set_attributes(VAULT, "sql", &version, attributes)
        .unwrap();
    app.invoke(&event("disabled", "sql", &version)).await;
    let runs = app.runs();
    assert_eq!(runs[0]["ended"]["verdict"], "refused", "{}", app.log());
    assert_eq!(app.writes(), 0);
}

/// The list of one instance does not have the newest version yet, which another instance applies
/// meanwhile.
#[tokio::test]
async fn a_stale_list_of_versions_moves_no_app_backwards() {
    let app = pinning()
        .with(|options| options.functions_host.instances = 2)
        .start()
        .await;
    let (met, is_met) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let list = Intercept::new(Service::KeyVault, Moment::CarriedOut).path("/secrets/sql/versions");
    app.azure.cloud.intercept(list, move || async move {
        let _ = met.send(());
        let _ = may_go_on.await;
        Then::GoOn
    });
    let older = app.rotate("sql");
    is_met.await.unwrap();
    let newer = app.rotate("sql");
    app.until("the newer version", |app| {
        app.settings("orders")["SQL"].contains(&newer)
    })
    .await;
    go_on.send(()).unwrap();
    app.settled().await;
    assert!(
        app.settings("orders")["SQL"].contains(&newer),
        "{}",
        app.log()
    );
    let of_older = app
        .verdicts()
        .into_iter()
        .find(|line| field(line, "secret.version") == older)
        .unwrap();
    assert_eq!(field(&of_older, "verdict"), "unchanged", "{}", app.log());
    assert!(
        field(&of_older, "message").contains(&newer),
        "{}",
        app.log()
    );
}
