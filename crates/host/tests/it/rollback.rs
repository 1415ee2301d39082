//! Rollbacks of patches that do not resolve, and pending work, through restarts and failures of
//! Azure.

use std::time::Duration;

use keyrelay_local_azure::{Attributes, Effect, Fault, ResolveStatus, Service};
use serde_json::{Value, json};

use crate::fixtures::{VAULT, event, reference};
use crate::harness::{Harness, field};
use crate::setup::Setup;

const RULE: &str = "[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"\n";

fn pinning(configuration: &str) -> Setup {
    let setup = Setup::new().site("orders", &format!("SQL = \"{}\"", reference("sql")));
    setup.configured(&format!("{configuration}\n{RULE}"))
}

/// Makes Azure report this status for the reference from now on.
fn resolves_to(app: &Harness, status: ResolveStatus) {
    app.azure.cloud.switch_off_faults();
    let effect = Effect::ReferenceStatus { status };
    app.azure
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, effect).path("SQL"));
}

/// Makes Azure resolve all references of the app again, as it does once a day.
fn resolve(app: &Harness) {
    app.azure.cloud.edit_settings("orders", |_| {}).unwrap();
}

/// Changes all pending work.
fn edit_pending(app: &Harness, change: impl Fn(&mut Value)) {
    for file in app.pending() {
        let mut entry: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        match entry.get_mut("works").and_then(Value::as_array_mut) {
            Some(works) => works.iter_mut().for_each(&change),
            None => change(&mut entry),
        }
        std::fs::write(&file, entry.to_string()).unwrap();
    }
}

/// Makes all pending work due, and runs the reconcile timer.
async fn go_on(app: &Harness) {
    app.make_due();
    app.reconcile().await;
}

/// Rotates the secret. The write is done, and Azure reports that it is still fetching the secret.
async fn written_and_pending(app: &Harness) -> String {
    resolves_to(app, ResolveStatus::FetchTimedOut);
    let version = app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "pending", "{}", app.log());
    assert!(
        app.settings("orders")
            .get("SQL")
            .is_some_and(|value| value.contains(&version))
    );
    version
}

#[tokio::test]
async fn a_rollback_that_fails_is_repeated_later() {
    let app = pinning("answer_within_ms = 8000").start().await;
    let before = app.settings("orders");
    resolves_to(&app, ResolveStatus::AccessToKeyVaultDenied);
    app.rotate("sql");
    app.until("the write", |app| {
        app.writes() == 1 && app.reads_of_settings() >= 4
    })
    .await;
    let away = Effect::status(503, "ServiceUnavailable");
    app.azure
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, away).path("appsettings/list"));
    app.settled().await;
    assert_eq!(app.outcome("orders").0, "pending", "{}", app.log());
    go_on(&app).await;
    assert_ne!(app.settings("orders"), before);
    assert_eq!(app.pending().len(), 1, "{:?}", app.pending());
    resolves_to(&app, ResolveStatus::AccessToKeyVaultDenied);
    go_on(&app).await;
    assert_eq!(app.settings("orders"), before, "{}", app.log());
    assert!(app.pending().is_empty(), "{:?}", app.pending());
}

#[tokio::test]
async fn a_verification_that_azure_denies_is_repeated_later() {
    let app = pinning("").start().await;
    let (met, is_met) = tokio::sync::oneshot::channel();
    let write = keyrelay_local_azure::Intercept::new(
        Service::ResourceManager,
        keyrelay_local_azure::Moment::CarriedOut,
    )
    .method("PUT")
    .path("config/appsettings");
    let (go, may_go) = tokio::sync::oneshot::channel::<()>();
    app.azure.cloud.intercept(write, move || async move {
        let _ = met.send(());
        let _ = may_go.await;
        keyrelay_local_azure::Then::GoOn
    });
    let version = app.rotate("sql");
    is_met.await.unwrap();
    let denied = Effect::status(403, "AuthorizationFailed");
    app.azure.cloud.switch_on(
        Fault::new(Service::ResourceManager, denied)
            .method("GET")
            .path("configreferences"),
    );
    go.send(()).unwrap();
    app.settled().await;
    assert_eq!(app.outcome("orders").0, "pending", "{}", app.log());
    app.azure.cloud.switch_off_faults();
    go_on(&app).await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    assert_eq!(app.active_version("orders", "SQL"), Some(version));
    assert!(app.pending().is_empty());
}

#[tokio::test]
async fn after_a_rollback_the_version_before_still_counts() {
    let app = pinning("").start().await;
    app.azure.cloud.switch_on(Fault::new(
        Service::KeyVault,
        Effect::status(403, "Forbidden"),
    ));
    let newest = || app.azure.cloud.newest_version(VAULT, "sql").unwrap();
    let first = newest();
    let second = app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    resolves_to(&app, ResolveStatus::AccessToKeyVaultDenied);
    app.azure.cloud.switch_on(Fault::new(
        Service::KeyVault,
        Effect::status(403, "Forbidden"),
    ));
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "rolled back", "{}", app.log());
    app.azure.cloud.switch_off_faults();
    app.azure.cloud.switch_on(Fault::new(
        Service::KeyVault,
        Effect::status(403, "Forbidden"),
    ));
    app.invoke(&event("late", "sql", &first)).await;
    let line = app.verdicts().pop().unwrap();
    assert!(
        field(&line, "message").contains("to an older version"),
        "{}",
        app.log()
    );
    assert!(app.settings("orders")["SQL"].contains(&second));
}

#[tokio::test]
async fn a_version_that_was_disabled_after_it_was_written_is_rolled_back() {
    let app = pinning("answer_within_ms = 4000").start().await;
    let before = app.settings("orders");
    let version = written_and_pending(&app).await;
    let disabled = Attributes {
        enabled: false,
        ..Attributes::default()
    };
    app.azure
        .cloud
        .set_attributes(VAULT, "sql", &version, disabled)
        .unwrap();
    app.azure.cloud.switch_off_faults();
    resolve(&app);
    go_on(&app).await;
    assert_eq!(app.outcome("orders").0, "rolled back", "{}", app.log());
    assert_eq!(app.settings("orders"), before);
    assert!(app.pending().is_empty());
}

#[tokio::test]
async fn a_rollback_waits_for_the_mode_enforce() {
    let app = pinning("answer_within_ms = 4000")
        .with(|options| options.functions_host.max_crashes = 10)
        .start()
        .await;
    let before = app.settings("orders");
    written_and_pending(&app).await;
    let configure = async |mode: &str| {
        let restarts = app.azure.functions_host.restarts();
        let text = format!("answer_within_ms = 5000\n{RULE}mode = \"{mode}\"\n");
        std::fs::write(app.folder.path().join("keyrelay.toml"), text).unwrap();
        app.azure.functions_host.kill_handler();
        app.until("the restart", |app| {
            app.azure.functions_host.restarts() == restarts + 1
        })
        .await;
    };
    resolves_to(&app, ResolveStatus::AccessToKeyVaultDenied);
    resolve(&app);
    let writes = app.writes();
    for mode in ["monitor", "off"] {
        configure(mode).await;
        go_on(&app).await;
        assert_eq!(
            (app.writes(), app.pending().len()),
            (writes, 1),
            "{mode}\n{}",
            app.log()
        );
    }
    configure("enforce").await;
    go_on(&app).await;
    assert_eq!(app.settings("orders"), before, "{}", app.log());
    assert!(app.pending().is_empty());
}

#[tokio::test]
async fn work_that_stays_pending_for_a_day_is_rolled_back_and_given_up_once() {
    let app = pinning("answer_within_ms = 4000").start().await;
    let before = app.settings("orders");
    written_and_pending(&app).await;
    edit_pending(&app, |work| work["since"] = json!("2026-01-01T00:00:00Z"));
    // A roll-back that fails is kept, and repeated.
    let away = Effect::status(503, "ServiceUnavailable");
    app.azure
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, away).path("appsettings/list"));
    go_on(&app).await;
    assert_eq!(app.pending().len(), 1, "{:?}", app.pending());
    assert_ne!(app.settings("orders"), before);

    resolves_to(&app, ResolveStatus::FetchTimedOut);
    go_on(&app).await;
    assert!(app.pending().is_empty(), "{:?}", app.pending());
    assert_eq!(app.settings("orders"), before, "{}", app.log());
    let first = &app.runs()[0]["rotations"][0];
    assert_eq!(first["verdict"], "rolled back", "{first}");
    let message = first["message"].as_str().unwrap();
    assert!(message.contains("given up after 24 hours"), "{message}");
    let runs = app.runs().len();
    go_on(&app).await;
    assert_eq!(app.runs().len(), runs);
}

#[tokio::test]
async fn a_reference_that_azure_never_lists_is_rolled_back_after_a_day() {
    let app = pinning("answer_within_ms = 4000").start().await;
    let before = app.settings("orders");
    written_and_pending(&app).await;
    edit_pending(&app, |work| work["since"] = json!("2026-01-01T00:00:00Z"));
    let unlisted = Effect::PartialList { keep: 0 };
    app.azure
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, unlisted).path("configreferences"));
    go_on(&app).await;
    assert_eq!(app.settings("orders"), before, "{}", app.log());
    assert!(app.pending().is_empty(), "{:?}", app.pending());
}

#[tokio::test]
async fn a_policy_that_is_gone_does_not_keep_what_is_owed_from_happening() {
    for (status, verdict) in [
        (ResolveStatus::Resolved, "verified"),
        (ResolveStatus::AccessToKeyVaultDenied, "rolled back"),
    ] {
        let app = pinning("answer_within_ms = 4000").start().await;
        let before = app.settings("orders");
        written_and_pending(&app).await;
        let policy = app.folder.path().join("policies/pin.wasm");
        std::fs::write(policy, "no policy").unwrap();
        app.until("the quarantine", |app| app.log().contains("quarantined"))
            .await;
        resolves_to(&app, status);
        resolve(&app);
        go_on(&app).await;
        assert_eq!(app.outcome("orders").0, verdict, "{}", app.log());
        assert_eq!(app.settings("orders") == before, verdict == "rolled back");
        assert!(app.pending().is_empty(), "{:?}", app.pending());
    }
}

#[tokio::test]
async fn the_comparison_does_not_repeat_pending_work() {
    let app = pinning("answer_within_ms = 4000").start().await;
    written_and_pending(&app).await;
    for _ in 0..3 {
        app.reconcile_all().await;
        assert_eq!(app.pending().len(), 1, "{}", app.log());
    }
}

#[tokio::test]
async fn a_version_that_was_rolled_back_is_not_written_again_every_hour() {
    let app = pinning("").start().await;
    resolves_to(&app, ResolveStatus::AccessToKeyVaultDenied);
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "rolled back", "{}", app.log());
    let writes = app.writes();
    // The reference without a version has drifted, too, but only an operator can restore the
    // access.
    for _ in 0..2 {
        app.reconcile_all().await;
    }
    assert_eq!(app.writes(), writes, "{}", app.log());
}

#[tokio::test]
async fn a_postponed_event_that_stays_pending_has_its_run_and_its_outcome() {
    let app = pinning("answer_within_ms = 4000").start().await;
    resolves_to(&app, ResolveStatus::FetchTimedOut);
    let mut later = event(
        "later",
        "sql",
        &app.azure.cloud.newest_version(VAULT, "sql").unwrap(),
    );
    later["data"]["NBF"] = json!(jiff::Timestamp::now().as_second() + 2);
    app.azure.cloud.switch_on(Fault::new(
        Service::KeyVault,
        Effect::status(403, "Forbidden"),
    ));
    app.invoke(&later).await;
    app.invoke(&later).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    app.reconcile().await;
    let runs = app.runs();
    let open: Vec<&Value> = runs
        .iter()
        .filter(|run| run["cause"] == "pending")
        .collect();
    let [open] = open.as_slice() else {
        panic!("{runs:?}")
    };
    assert_eq!(open["rotations"][0]["verdict"], "pending", "{open}");
    app.azure.cloud.switch_off_faults();
    resolve(&app);
    go_on(&app).await;
    assert!(app.pending().is_empty());
    let runs = app.runs();
    let is_pending = |run: &&Value| {
        run["ended"]["verdict"] == "pending" || run["rotations"][0]["verdict"] == "pending"
    };
    assert!(!runs.iter().any(|run| is_pending(&run)), "{runs:?}");
    let verified = runs
        .iter()
        .filter(|run| run["rotations"][0]["verdict"] == "verified")
        .count();
    assert!(verified >= 1, "{runs:?}");
}
