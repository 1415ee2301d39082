//! References that are pinned to an older version: what a person has set back, and what was older when
//! keyrelay was installed, is reported and not repaired.

use std::time::Duration;

use jiff::Timestamp;

use crate::fixtures::VAULT;
use crate::harness::Harness;
use crate::setup::Setup;

/// A vault whose events do not arrive.
const QUIET: &str = "quiet-kv";

fn pinned_to(vault: &str, version: &str) -> String {
    format!("@Microsoft.KeyVault(VaultName={vault};SecretName=sql;SecretVersion={version})")
}

fn old() -> String {
    "0".repeat(32)
}

async fn start(vault: &str, configuration: &str) -> Harness {
    let app = Setup::new()
        .also(
            "[[vault]]\nname = \"quiet-kv\"\nresource_group = \"shop\"\nsubscribed = false\n\
             secrets = { sql = \"one\" }",
        )
        .site("orders", &format!("SQL = \"{}\"", pinned_to(vault, &old())))
        .configured(configuration)
        .ideal()
        .start()
        .await;
    // Versions of one second could not be ordered.
    let yesterday = Timestamp::now() - Duration::from_hours(24);
    let cloud = &app.azure.cloud;
    cloud.set_created(vault, "sql", yesterday).unwrap();
    app
}

fn pin(app: &Harness, version: &str) {
    let set = |settings: &mut std::collections::BTreeMap<String, _>| {
        settings.insert("SQL".to_owned(), pinned_to(VAULT, version).into());
    };
    app.azure.cloud.edit_settings("orders", set).unwrap();
}

#[tokio::test]
async fn a_version_that_a_person_has_set_back_is_reported_once_and_not_repaired() {
    let app = start(VAULT, "").await;
    let first = app.azure.cloud.newest_version(VAULT, "sql").unwrap();
    pin(&app, &first);
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    pin(&app, &first);
    let (before, writes) = (app.settings("orders"), app.writes());
    for _ in 0..2 {
        app.reconcile_all().await;
    }
    assert_eq!((app.settings("orders"), app.writes()), (before, writes));
    let runs = app.runs();
    let reported: Vec<&str> = runs
        .iter()
        .filter(|run| run["cause"] == "drift")
        .filter_map(|run| run["rotations"][0]["message"].as_str())
        .collect();
    assert_eq!(reported.len(), 1, "{}", app.log());
    assert!(
        reported[0].starts_with("reported, not repaired"),
        "{reported:?}"
    );
    assert!(
        app.log().contains("1 set back by hand are left"),
        "{}",
        app.log()
    );

    // A new version is another decision.
    let third = app.rotate_and_settle("sql").await;
    assert!(
        app.settings("orders")["SQL"].contains(&third),
        "{}",
        app.log()
    );
}

#[tokio::test]
async fn the_first_comparison_changes_nothing_that_is_pinned() {
    let app = start(QUIET, "").await;
    let before = app.settings("orders");
    app.reconcile_first().await;
    assert_eq!((app.settings("orders"), app.writes()), (before.clone(), 0));
    assert!(
        app.log().contains("1 pinned to older versions are left"),
        "{}",
        app.log()
    );

    // What is missed from now on is repaired.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let version = app.azure.cloud.set_secret(QUIET, "sql", "two").unwrap();
    app.compare_again().await;
    assert!(
        app.settings("orders")["SQL"].contains(&version),
        "{}",
        app.log()
    );
}

#[tokio::test]
async fn with_adopt_the_first_comparison_moves_what_is_pinned() {
    let app = start(QUIET, "adopt = true").await;
    let newest = app.azure.cloud.newest_version(QUIET, "sql").unwrap();
    app.reconcile_first().await;
    assert!(
        app.settings("orders")["SQL"].contains(&newest),
        "{}",
        app.log()
    );
}
