//! The reconcile timer: pending work, drifted references, and reminders of secrets that expire.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_local_azure::{Attributes, Effect, Fault, ResolveStatus, Service};

use crate::fixtures::{VAULT, reference};
use crate::harness::{Harness, field};
use crate::setup::Setup;

fn unpinned() -> Setup {
    Setup::new().site("orders", &format!("SQL = \"{}\"", reference("sql")))
}

fn pinned() -> String {
    format!(
        "@Microsoft.KeyVault(VaultName={VAULT};SecretName=sql;SecretVersion={})",
        "0".repeat(32)
    )
}

/// The verdicts of the runs with a cause, oldest first.
fn recorded(app: &Harness, cause: &str) -> Vec<String> {
    let runs = app.runs().into_iter().filter(|run| run["cause"] == cause);
    let verdict = |run: serde_json::Value| {
        let verdict = run
            .pointer("/ended/verdict")
            .or_else(|| run.pointer("/rotations/0/verdict"));
        verdict
            .and_then(|verdict| verdict.as_str())
            .unwrap()
            .to_owned()
    };
    runs.map(verdict).collect()
}

#[tokio::test]
async fn pending_work_is_verified_later() {
    let app = unpinned()
        .ideal()
        .configured("answer_within_ms = 4000")
        .with(|options| options.cloud.profile.refresh_takes = Duration::from_secs(3))
        .start()
        .await;
    let version = app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "pending", "{}", app.log());
    assert_eq!(app.pending().len(), 1);
    app.until("the refresh", |app| {
        app.active_version("orders", "SQL").as_ref() == Some(&version)
    })
    .await;
    app.make_due();
    app.reconcile().await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    assert!(app.pending().is_empty());
    // The first run has the final verdict, and the one before.
    let first = &app.runs()[0];
    assert_eq!(first["rotations"][0]["verdict"], "verified", "{first}");
    assert_eq!(
        first["rotations"][0]["before"]["verdict"], "pending",
        "{first}"
    );
    assert_eq!(app.requests("POST", "/refresh"), 1);
}

#[tokio::test]
async fn a_refresh_without_effect_is_repeated() {
    let app = unpinned()
        .ideal()
        .configured("answer_within_ms = 4000")
        .start()
        .await;
    // The refresh gets a response and has no effect.
    let lost = Fault::new(Service::ResourceManager, Effect::status(202, "Accepted"))
        .path("/refresh")
        .times(1);
    app.azure.cloud.switch_on(lost);
    let version = app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "pending", "{}", app.log());
    app.make_due();
    app.reconcile().await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    assert_eq!(app.active_version("orders", "SQL"), Some(version));
}

#[tokio::test]
async fn a_patch_that_breaks_while_it_is_pending_is_rolled_back() {
    let app = unpinned()
        .configured("answer_within_ms = 4000\n[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"")
        .start()
        .await;
    let before = app.settings("orders");
    let resolves_to = |status| {
        let effect = Effect::ReferenceStatus { status };
        let fault = Fault::new(Service::ResourceManager, effect).path("SQL");
        app.azure.cloud.switch_off_faults();
        app.azure.cloud.switch_on(fault);
    };
    resolves_to(ResolveStatus::Initialized);
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "pending", "{}", app.log());
    resolves_to(ResolveStatus::AccessToKeyVaultDenied);
    app.azure.cloud.edit_settings("orders", |_| {}).unwrap();
    app.until("the denied status", |app| {
        app.azure.cloud.references("orders").unwrap()[0].status
            == ResolveStatus::AccessToKeyVaultDenied
    })
    .await;
    // Another process continues, and knows only the store.
    app.azure.functions_host.kill_handler();
    app.until("the restart", |app| {
        app.azure.functions_host.restarts() == 1
    })
    .await;
    app.make_due();
    app.reconcile().await;
    assert_eq!(app.outcome("orders").0, "rolled back", "{}", app.log());
    assert_eq!(app.settings("orders"), before, "{}", app.log());
    assert!(app.pending().is_empty());
}

#[tokio::test]
async fn a_reference_that_has_drifted_is_repaired_within_the_hour() {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", pinned()))
        .start()
        .await;
    let version = app.azure.cloud.newest_version(VAULT, "sql").unwrap();
    let invocation = app.reconcile_all().await;
    assert!(invocation.outcome.is_ok(), "{:?}", invocation.outcome);
    assert_eq!(
        app.active_version("orders", "SQL"),
        Some(version),
        "{}",
        app.log()
    );
    assert_eq!(recorded(&app, "drift"), ["verified"]);
    // Nothing is compared again within the hour, and nothing has drifted after it.
    let requests = app.azure.cloud.requests().len();
    app.reconcile().await;
    assert_eq!(app.azure.cloud.requests().len(), requests);
    app.reconcile_all().await;
    assert!(app.azure.cloud.requests().len() > requests);
    assert_eq!(recorded(&app, "drift"), ["verified"]);
}

#[tokio::test]
async fn a_secret_that_expires_causes_each_reminder_once() {
    let app = unpinned()
        .ideal()
        .with_scripted_policy_as("scripted")
        .configured(
            "[[rotation]]\nsecret = \"sql\"\npolicy = \"scripted\"\nparameters = { script = \"notice expiring\" }",
        )
        .start()
        .await;
    let version = app.azure.cloud.newest_version(VAULT, "sql").unwrap();
    let expires_in = |days: i64| {
        let expires = Timestamp::now() + Duration::from_hours(24 * days.unsigned_abs())
            - Duration::from_mins(5);
        let attributes = Attributes {
            enabled: true,
            not_before: None,
            expires: Some(expires),
        };
        app.azure
            .cloud
            .set_attributes(VAULT, "sql", &version, attributes)
            .unwrap();
    };
    for (days, expected) in [(40, 0), (29, 1), (28, 1), (10, 2), (6, 3), (1, 4), (1, 4)] {
        expires_in(days);
        app.reconcile_all().await;
        let reminders = app
            .runs()
            .into_iter()
            .filter(|run| run["cause"] == "reminder")
            .count();
        assert_eq!(reminders, expected, "{days} days\n{}", app.log());
    }
    assert!(app.pending().is_empty());
    let line = app.verdicts().pop().unwrap();
    assert_eq!(field(&line, "event.type"), "keyrelay.SecretExpiryReminder");
    assert_eq!(field(&line, "message"), "expiring");
    // What an alert looks for.
    assert_eq!(field(&line, "level"), "WARN");
    assert_eq!(line["notice"], true);
}

#[tokio::test]
async fn the_kill_switch_stops_the_timer_too() {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", pinned()))
        .configured("mode = \"off\"")
        .start()
        .await;
    let response = app.reconcile().await.outcome.unwrap();
    assert_eq!(response["Logs"][0], "nothing is done: the mode is `off`");
    assert!(app.azure.cloud.requests().is_empty());
}

#[tokio::test]
async fn an_app_setting_changes_the_mode_of_one_rotation() {
    let rules = "[[rotation]]\nsecret = \"sql\"\n[[rotation]]\nname = \"rest\"\nsecret = \"*\"";
    let app = Setup::new()
        .site(
            "orders",
            &format!(
                "SQL = \"{}\", O = \"{}\"",
                reference("sql"),
                reference("other")
            ),
        )
        .configured(rules)
        .with(|options| {
            let settings = [
                ("KEYRELAY_MODE_REST", "monitor"),
                ("KEYRELAY_MODE_SQL", "enforce"),
            ];
            let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
            options.functions_host.environment.extend(settings);
        })
        .start()
        .await;
    app.rotate_and_finish("sql").await;
    assert_eq!(app.outcome("orders").0, "refreshed", "{}", app.log());
    app.rotate_and_settle("other").await;
    assert_eq!(app.outcome("orders").0, "monitored", "{}", app.log());
}

#[tokio::test]
async fn a_comparison_that_failed_is_repeated_the_next_time() {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", pinned()))
        .start()
        .await;
    let away = Effect::status(403, "AuthorizationFailed");
    app.azure.cloud.switch_on(
        Fault::new(Service::ResourceManager, away).path("providers/Microsoft.Web/sites"),
    );
    app.reconcile_all().await;
    assert!(recorded(&app, "drift").is_empty());
    app.azure.cloud.switch_off_faults();
    app.reconcile().await;
    assert_eq!(recorded(&app, "drift"), ["verified"], "{}", app.log());
}

#[tokio::test]
async fn a_comparison_that_a_wrong_clock_dated_in_the_future_is_repeated() {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", pinned()))
        .start()
        .await;
    let progress = serde_json::json!({ "compared": "2099-01-01T00:00:00Z", "after": null });
    let folder = app.store().join("pending/comparison");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("all--due-4070908800000.json"),
        progress.to_string(),
    )
    .unwrap();
    app.reconcile().await;
    assert_eq!(recorded(&app, "drift"), ["verified"], "{}", app.log());
}
