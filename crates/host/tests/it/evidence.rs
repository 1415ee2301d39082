//! Evidence: the references that Azure names no version of, the number of refreshes, and what the
//! comparison and the audit log make of them.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_local_azure::{AuditOptions, Effect, Fault, ResolveStatus, Service};
use keyrelay_records::fleet::{Fleet, State};
use keyrelay_records::resubmission::resubmit;
use keyrelay_store::Store;
use serde_json::Value;

use crate::fixtures::{PLANTED, VAULT, event, reference};
use crate::harness::{Harness, field};
use crate::setup::Setup;

const WORKSPACE: &str = "11111111-2222-3333-4444-555555555555";

fn unpinned() -> Setup {
    Setup::new().site("orders", &format!("SQL = \"{}\"", reference("sql")))
}

/// An app that references a secret of a vault whose events nobody gets.
fn without_events() -> Setup {
    let reference = "@Microsoft.KeyVault(VaultName=quiet-kv;SecretName=sql)";
    let vault = format!(
        "[[vault]]\nname = \"quiet-kv\"\nresource_group = \"shop\"\nsubscribed = false\n\
         secrets = {{ sql = \"{PLANTED}quiet\" }}"
    );
    Setup::new()
        .site("orders", &format!("SQL = \"{reference}\""))
        .also(&vault)
}

/// Sets the secret of that vault.
fn miss_an_event(app: &Harness) -> String {
    let value = format!("{PLANTED}quiet-next");
    app.azure
        .cloud
        .set_secret("quiet-kv", "sql", value)
        .unwrap()
}

fn refreshes(app: &Harness) -> usize {
    app.requests("POST", "/refresh")
}

/// Rotates the secret while Azure confirms no refresh, until keyrelay gives up. The invocation of the
/// event sends so many refreshes.
async fn rotate_without_confirmation(app: &Harness, at_once: usize) -> String {
    let gateway = Effect::status(504, "GatewayTimeout");
    let fault = Fault::new(Service::ResourceManager, gateway).path("/refresh");
    app.azure.cloud.switch_on(fault);
    let version = app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "pending", "{}", app.log());
    assert_eq!(
        (refreshes(app), app.azure.event_grid.deliveries().len()),
        (at_once, 1)
    );
    invoke_timer(app, 4).await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "failed", "{}", app.log());
    assert!(message.contains("resubmit the run"), "{message}");
    app.azure.cloud.switch_off_faults();
    version
}

/// Invokes the timer so many times, each time with all pending work due.
async fn invoke_timer(app: &Harness, times: usize) {
    for _ in 0..times {
        app.make_due();
        app.reconcile().await;
    }
}

/// Resubmits the first run as an operator does.
async fn resubmit_first(app: &Harness) {
    let runs = app.runs();
    let id = runs.first().and_then(|run| run["id"].as_str()).unwrap();
    let store = Store::folder(&app.store()).unwrap();
    resubmit(&store, &id.parse().unwrap()).await.unwrap();
}

/// The state of the one reference, as `keyrelay status` has it.
async fn state(app: &Harness) -> State {
    let store = Store::folder(&app.store()).unwrap();
    let fleet = Fleet::read(&store, Timestamp::UNIX_EPOCH).await.unwrap();
    let [only] = fleet.uses.as_slice() else {
        panic!("{fleet:?}");
    };
    only.state
}

/// The rotation of the first run.
fn first_rotation(app: &Harness) -> Value {
    let runs = app.runs();
    let first = runs.first().and_then(|run| run.pointer("/rotations/0"));
    first.cloned().unwrap()
}

#[tokio::test]
async fn a_row_that_was_broken_before_the_refresh_is_not_believed() {
    let app = Setup::new()
        .site("orders", &format!("NEW = \"{}\"", reference("new")))
        .start()
        .await;
    // The secret does not exist yet: its creation is the event.
    let version = app.rotate_and_settle("new").await;
    assert_eq!(app.outcome("orders").0, "pending", "{}", app.log());
    app.reconcile().await;
    assert_eq!(app.outcome("orders").0, "refreshed", "{}", app.log());
    assert_eq!(app.active_version("orders", "NEW"), Some(version));
    assert!(refreshes(&app) <= 3, "{} refreshes", refreshes(&app));
}

#[tokio::test]
async fn a_reference_that_stays_broken_is_refreshed_three_times_and_no_more() {
    let app = unpinned().start().await;
    let denied = Effect::ReferenceStatus {
        status: ResolveStatus::AccessToKeyVaultDenied,
    };
    app.azure
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, denied).path("SQL"));
    app.rotate_and_finish("sql").await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "failed", "{}", app.log());
    assert!(message.contains("Key Vault Secrets User"), "{message}");
    assert_eq!(refreshes(&app), 3);
    // Neither a repetition of the event nor the comparison begins again.
    let version = app.azure.cloud.newest_version(VAULT, "sql").unwrap();
    app.invoke(&event("again", "sql", &version)).await;
    app.reconcile_all().await;
    assert_eq!(refreshes(&app), 3, "{}", app.log());
}

#[tokio::test]
async fn a_reference_that_is_never_resolved_is_refreshed_twice_and_only_checked_afterwards() {
    let app = unpinned().start().await;
    let slow = Effect::ReferenceStatus {
        status: ResolveStatus::FetchTimedOut,
    };
    app.azure
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, slow).path("SQL"));
    app.azure.cloud.edit_settings("orders", |_| {}).unwrap();
    app.rotate_and_settle("sql").await;
    for _ in 0..4 {
        app.make_due();
        app.reconcile().await;
        assert!(refreshes(&app) <= 2, "{}", app.log());
    }
    assert_eq!(app.outcome("orders").0, "pending", "{}", app.log());
    assert_eq!(refreshes(&app), 2);
}

#[tokio::test]
async fn refreshes_are_counted_across_restarts() {
    let app = unpinned()
        .with(|options| options.functions_host.max_crashes = 10)
        .start()
        .await;
    let version = app.rotate_and_settle("sql").await;
    for round in 1..=3 {
        app.azure.functions_host.kill_handler();
        app.until("the restart", |app| {
            app.azure.functions_host.restarts() == round
        })
        .await;
        app.invoke(&event("again", "sql", &version)).await;
        app.reconcile().await;
    }
    assert_eq!(refreshes(&app), 2, "{}", app.log());
    assert_eq!(first_rotation(&app)["verdict"], "refreshed");
}

#[tokio::test]
async fn secrets_that_are_rotated_together_share_their_refreshes() {
    let settings = format!(
        "SQL = \"{}\", O = \"{}\"",
        reference("sql"),
        reference("other")
    );
    let app = Setup::new().site("orders", &settings).start().await;
    let versions = ["sql", "other"].map(|secret| app.rotate(secret));
    app.settled().await;
    app.reconcile().await;
    for (setting, version) in ["SQL", "O"].into_iter().zip(versions) {
        assert_eq!(app.active_version("orders", setting), Some(version));
    }
    assert!(refreshes(&app) <= 3, "{} refreshes", refreshes(&app));
    let refreshed = |run: &Value| run["rotations"][0]["evidence"] == "refreshed twice";
    assert_eq!(
        app.runs().iter().filter(|run| refreshed(run)).count(),
        4,
        "{}",
        app.log()
    );
}

#[tokio::test]
async fn the_comparison_repairs_a_missed_event_once() {
    let app = without_events().start().await;
    let version = miss_an_event(&app);
    app.reconcile_all().await;
    let line = app.verdicts().pop().unwrap();
    assert_eq!(field(&line, "verdict"), "refreshed", "{}", app.log());
    assert_eq!(app.active_version("orders", "SQL"), Some(version));
    assert_eq!(refreshes(&app), 2);
    for _ in 0..3 {
        app.reconcile_all().await;
    }
    assert_eq!(refreshes(&app), 2, "{}", app.log());
}

#[tokio::test]
async fn the_comparison_leaves_alone_what_azure_refreshes_once_a_day() {
    let app = without_events().start().await;
    let yesterday = jiff::Timestamp::now() - Duration::from_hours(25);
    app.azure
        .cloud
        .set_created("quiet-kv", "sql", yesterday)
        .unwrap();
    app.reconcile_all().await;
    assert_eq!(refreshes(&app), 0, "{}", app.log());
}

#[tokio::test]
async fn the_audit_log_makes_a_refreshed_rotation_verified() {
    let app = unpinned()
        .configured(&format!("audit = {{ workspace = \"{WORKSPACE}\" }}"))
        .with(|options| {
            let mut audit = AuditOptions::new(WORKSPACE);
            audit.takes = Duration::from_millis(100);
            options.cloud.audit = Some(audit);
        })
        .start()
        .await;
    app.rotate_and_finish("sql").await;
    assert_eq!(
        first_rotation(&app)["evidence"],
        "refreshed twice",
        "{}",
        app.log()
    );
    app.make_due();
    app.reconcile().await;
    let rotation = first_rotation(&app);
    assert_eq!(rotation["verdict"], "verified", "{}", app.log());
    assert_eq!(rotation["evidence"], "audit log", "{rotation}");
    // The outcome before it was settled is kept, and nothing is left to check.
    assert_eq!(rotation["before"]["verdict"], "pending", "{rotation}");
    let audits = app.store().join("pending/audits");
    assert!(crate::harness::files_below(&audits).is_empty());
}

#[tokio::test]
async fn a_log_that_shows_nothing_leaves_the_verdict() {
    let app = unpinned()
        .configured(&format!("audit = {{ workspace = \"{WORKSPACE}\" }}"))
        .with(|options| options.cloud.audit = Some(AuditOptions::new(WORKSPACE)))
        .start()
        .await;
    app.rotate_and_finish("sql").await;
    app.make_due();
    app.reconcile().await;
    assert_eq!(
        first_rotation(&app)["verdict"],
        "refreshed",
        "{}",
        app.log()
    );
    assert_eq!(app.azure.event_grid.deliveries().len(), 1);
}

#[tokio::test]
async fn a_reference_in_a_connection_string_is_refreshed_and_not_patched() {
    let connection = format!("connection_strings = {{ DB = \"{}\" }}", reference("sql"));
    let app = Setup::new()
        .site("orders", &format!("TEXT = \"{PLANTED}text\""))
        .also(&connection)
        .start()
        .await;
    let version = app.rotate_and_finish("sql").await;
    assert_eq!(app.outcome("orders").0, "refreshed", "{}", app.log());
    assert_eq!(app.active_version("orders", "DB"), Some(version));
    assert_eq!(refreshes(&app), 2);

    let pinning = Setup::new()
        .site("orders", &format!("TEXT = \"{PLANTED}text\""))
        .also(&connection)
        .configured("[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"")
        .start()
        .await;
    pinning.rotate_and_settle("sql").await;
    let (verdict, message) = pinning.outcome("orders");
    assert_eq!(verdict, "refused", "{}", pinning.log());
    assert!(message.contains("`DB` is a connection string"), "{message}");
    assert_eq!(pinning.writes(), 0);
}

#[tokio::test]
async fn three_refreshes_of_unknown_fate_are_the_end_and_none_is_repeated_at_once() {
    let app = unpinned().start().await;
    rotate_without_confirmation(&app, 1).await;
    assert_eq!(refreshes(&app), 3, "{}", app.log());
    // The comparison takes the three for no evidence either.
    app.reconcile_all().await;
    assert_eq!(refreshes(&app), 3, "{}", app.log());
    assert_eq!(state(&app).await, State::Broken, "{}", app.log());
}

#[tokio::test]
async fn a_resubmission_counts_the_refreshes_from_the_beginning() {
    for is_away in [false, true] {
        let app = unpinned().start().await;
        rotate_without_confirmation(&app, 1).await;
        resubmit_first(&app).await;
        if is_away {
            let away = Effect::status(503, "ServiceUnavailable");
            let fault = Fault::new(Service::ResourceManager, away).path("configreferences");
            app.azure.cloud.switch_on(fault);
            invoke_timer(&app, 1).await;
            assert_eq!(app.outcome("orders").0, "pending", "{}", app.log());
            app.azure.cloud.switch_off_faults();
        }
        invoke_timer(&app, 3).await;
        assert_eq!(app.outcome("orders").0, "refreshed", "{}", app.log());
        assert_eq!(refreshes(&app), 5, "{}", app.log());
    }
}

#[tokio::test]
async fn what_was_written_and_works_is_not_rolled_back_for_want_of_evidence() {
    let app = unpinned().start().await;
    let old = app.azure.cloud.newest_version(VAULT, "sql").unwrap();
    let pinned =
        format!("@Microsoft.KeyVault(SecretUri=https://{VAULT}.vault.azure.net/secrets/sql/{old})");
    let pin = |settings: &mut std::collections::BTreeMap<String, _>| {
        settings.insert("PINNED".to_owned(), pinned.clone().into());
    };
    app.azure.cloud.edit_settings("orders", pin).unwrap();
    let version = rotate_without_confirmation(&app, 0).await;
    let settings = app.settings("orders");
    assert!(settings["PINNED"].contains(&version), "{}", app.log());
}

#[tokio::test]
async fn several_events_of_one_version_share_their_refreshes() {
    let app = unpinned().start().await;
    let version = app.azure.cloud.newest_version(VAULT, "sql").unwrap();
    let events = ["a", "b", "c"].map(|id| event(id, "sql", &version));
    futures::future::join_all(events.iter().map(|event| app.invoke(event))).await;
    app.reconcile().await;
    assert_eq!(refreshes(&app), 2, "{}", app.log());
    for run in app.runs().iter().filter(|run| run["cause"] == "event") {
        assert_eq!(run["rotations"][0]["verdict"], "refreshed", "{run}");
    }
}
