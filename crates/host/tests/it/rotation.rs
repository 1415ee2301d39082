//! Rotations: the effects on apps of a new version of a secret.

use std::time::Duration;

use keyrelay_local_azure::{Effect, Fault, ResolveStatus, Service};

use crate::fixtures::{PLANTED, event, reference};
use crate::harness::field;
use crate::setup::Setup;

/// An app with a reference to `sql` without a version, and plain text.
fn unpinned() -> Setup {
    Setup::new().site(
        "orders",
        &format!("SQL = \"{}\", TEXT = \"{PLANTED}text\"", reference("sql")),
    )
}

#[tokio::test]
async fn a_reference_without_a_version_is_refreshed_and_no_setting_is_read() {
    let app = unpinned().start().await;
    let version = app.rotate_and_finish("sql").await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "refreshed", "{}", app.log());
    assert!(message.contains("refreshed twice"), "{message}");
    let line = app.verdicts().pop().unwrap();
    assert_eq!(field(&line, "evidence"), "refreshed twice");
    assert_eq!(app.active_version("orders", "SQL"), Some(version));
    assert_eq!((app.writes(), app.reads_of_settings()), (0, 0));
    assert_eq!(app.requests("POST", "/refresh"), 2);
    // The run of the event has the final verdict, with its evidence.
    let first = &app.runs()[0]["rotations"][0];
    assert_eq!(first["verdict"], "refreshed", "{first}");
    assert_eq!(first["evidence"], "refreshed twice", "{first}");
    assert!(app.pending().is_empty());
}

#[tokio::test]
async fn an_ideal_azure_lets_one_invocation_verify_the_version() {
    let app = unpinned().ideal().start().await;
    let version = app.rotate_and_settle("sql").await;
    let line = app.verdicts().pop().unwrap();
    assert_eq!(field(&line, "verdict"), "verified", "{}", app.log());
    assert_eq!(field(&line, "evidence"), "active version");
    assert_eq!(app.active_version("orders", "SQL"), Some(version));
    assert_eq!(app.requests("POST", "/refresh"), 1);
}

#[tokio::test]
async fn a_single_refresh_waits_until_the_version_has_existed_for_a_while() {
    let app = unpinned().configured("refresh = \"once\"").start().await;
    let version = app.rotate_and_settle("sql").await;
    assert_eq!(app.requests("POST", "/refresh"), 0);
    assert_eq!(app.outcome("orders").0, "pending", "{}", app.log());
    app.reconcile().await;
    let line = app.verdicts().pop().unwrap();
    assert_eq!(field(&line, "verdict"), "refreshed", "{}", app.log());
    assert_eq!(field(&line, "evidence"), "refreshed once");
    assert_eq!(app.active_version("orders", "SQL"), Some(version));
    assert_eq!(app.requests("POST", "/refresh"), 1);
}

#[tokio::test]
async fn a_pinned_reference_moves_and_nothing_else_changes() {
    let pinned = format!(
        "@Microsoft.KeyVault(VaultName=contoso-kv; SecretName=sql;SecretVersion={})",
        "0".repeat(32)
    );
    let app = Setup::new()
        .site(
            "orders",
            &format!(
                "SQL = \"{pinned}\", NEWEST = \"{}\", TEXT = \"{PLANTED}text\"",
                reference("sql")
            ),
        )
        .start()
        .await;
    let before = app.settings("orders");
    let version = app.rotate_and_finish("sql").await;
    // The weaker evidence, of the reference without a version, is that of the rotation.
    assert_eq!(app.outcome("orders").0, "refreshed", "{}", app.log());
    let mut expected = before.clone();
    expected.insert("SQL".to_owned(), pinned.replace(&"0".repeat(32), &version));
    assert_eq!(app.settings("orders"), expected);
    assert_eq!(app.active_version("orders", "SQL"), Some(version.clone()));
    assert_eq!(app.active_version("orders", "NEWEST"), Some(version));
    assert_eq!(app.writes(), 1);
}

#[tokio::test]
async fn slots_are_found_and_rotated_like_their_sites() {
    let slot = format!(
        "[[site.slot]]\nname = \"staging\"\nsettings = {{ SQL = \"{}\" }}",
        reference("sql")
    );
    let app = Setup::new()
        .site("orders", "A = \"b\"")
        .also(&slot)
        .start()
        .await;
    let version = app.rotate_and_finish("sql").await;
    assert_eq!(
        app.outcome("orders/slots/staging").0,
        "refreshed",
        "{}",
        app.log()
    );
    assert_eq!(app.active_version("orders/staging", "SQL"), Some(version));
}

#[tokio::test]
async fn every_app_of_the_scope_that_uses_the_secret_is_rotated_and_no_other() {
    let mut setup = Setup::new();
    for number in 0..20 {
        let secret = if number % 2 == 0 { "sql" } else { "other" };
        setup = setup.site(
            &format!("app-{number}"),
            &format!("S = \"{}\"", reference(secret)),
        );
    }
    // The list needs several pages.
    let app = setup
        .with(|options| options.cloud.page_size = 7)
        .start()
        .await;
    let version = app.rotate_and_settle("sql").await;
    assert_eq!(app.verdicts().len(), 10, "{}", app.log());
    app.reconcile().await;
    for number in 0..20 {
        let fresh = app.active_version(&format!("app-{number}"), "S") == Some(version.clone());
        assert_eq!(fresh, number % 2 == 0, "app-{number}");
    }
}

#[tokio::test]
async fn an_app_that_is_named_needs_no_scope() {
    let rule = "[[rotation]]\nsecret = \"sql\"\napps = [\"/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.Web/sites/orders\"]";
    let app = unpinned().configured(rule).start().await;
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "pending");
    assert_eq!(
        app.requests("GET", "/providers/Microsoft.Web/sites?") + app.requests("GET", "/slots"),
        0
    );
}

#[tokio::test]
async fn a_reference_that_is_fresh_already_is_not_refreshed() {
    let app = unpinned().start().await;
    let version = app.rotate_and_finish("sql").await;
    let refreshes = app.requests("POST", "/refresh");
    app.invoke(&event("again", "sql", &version)).await;
    assert_eq!(app.outcome("orders").0, "unchanged", "{}", app.log());
    assert_eq!(app.requests("POST", "/refresh"), refreshes);
}

#[tokio::test]
async fn an_event_without_a_version_causes_a_refresh() {
    let app = unpinned().start().await;
    let version = app
        .azure
        .cloud
        .set_secret("contoso-kv", "sql", format!("{PLANTED}unannounced"))
        .unwrap();
    app.settled().await;
    let mut event = event("bare", "sql", &version);
    event["data"] = serde_json::json!({ "Id": "https://contoso-kv.vault.azure.net/secrets/sql" });
    let refreshes = app.requests("POST", "/refresh");
    app.invoke(&event).await;
    app.reconcile().await;
    assert_eq!(app.outcome("orders").0, "refreshed", "{}", app.log());
    // They may be shared with those for the event that has a version.
    let refreshes = app.requests("POST", "/refresh") - refreshes;
    assert!((1..=3).contains(&refreshes), "{refreshes} refreshes");
}

#[tokio::test]
async fn an_older_version_never_replaces_a_newer_one() {
    let app = unpinned()
        .configured("[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"")
        .start()
        .await;
    let first = app.azure.cloud.newest_version("contoso-kv", "sql").unwrap();
    // Key Vault's timestamps are whole seconds, so versions of the same second have no order.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let second = app.rotate_and_settle("sql").await;
    app.invoke(&event("late", "sql", &first)).await;
    let last = app.verdicts().pop().unwrap();
    assert!(
        field(&last, "message").contains("is newer"),
        "{}",
        app.log()
    );
    assert_eq!(app.active_version("orders", "SQL"), Some(second));
    assert_eq!(app.writes(), 1);
}

#[tokio::test]
async fn a_patch_that_does_not_resolve_is_rolled_back() {
    let app = unpinned()
        .configured("[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"")
        .start()
        .await;
    let before = app.settings("orders");
    let denied = Effect::ReferenceStatus {
        status: ResolveStatus::AccessToKeyVaultDenied,
    };
    app.azure
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, denied).path("SQL"));
    app.rotate_and_settle("sql").await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "rolled back", "{}", app.log());
    assert!(message.contains("Key Vault Secrets User"), "{message}");
    assert_eq!(app.settings("orders"), before);
    assert_eq!(app.writes(), 2);
}

#[tokio::test]
async fn a_rotation_that_is_not_verified_in_time_is_pending() {
    let app = unpinned()
        .ideal()
        .configured("answer_within_ms = 2000")
        .with(|options| options.cloud.profile.refresh_takes = Duration::from_secs(3_600))
        .start()
        .await;
    // Two versions of one second could not be ordered.
    let yesterday = jiff::Timestamp::now() - Duration::from_hours(24);
    let cloud = &app.azure.cloud;
    cloud.set_created("contoso-kv", "sql", yesterday).unwrap();
    app.rotate_and_settle("sql").await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "pending", "{}", app.log());
    assert!(message.contains("still has version"), "{message}");
    assert_eq!(app.azure.event_grid.deliveries().len(), 1);
}

#[tokio::test]
async fn monitoring_decides_and_changes_nothing() {
    let rule = "mode = \"monitor\"\n[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"";
    let app = unpinned().configured(rule).start().await;
    let (before, version) = (app.settings("orders"), app.rotate_and_settle("sql").await);
    assert_eq!(
        app.outcome("orders"),
        ("monitored".to_owned(), "would write SQL".to_owned())
    );
    let line = app.verdicts().pop().unwrap();
    assert!(
        field(&line, "plan").ends_with(&format!("/secrets/sql/{version})")),
        "{line:?}"
    );
    assert_eq!((app.settings("orders"), app.writes()), (before, 0));
}

#[tokio::test]
async fn the_kill_switch_stops_everything() {
    let app = unpinned().configured("mode = \"off\"").start().await;
    app.rotate_and_settle("sql").await;
    let line = app.verdicts().pop().unwrap();
    assert_eq!(field(&line, "message"), "not handled: the mode is `off`");
    assert!(app.azure.cloud.requests().is_empty());
}

#[tokio::test]
async fn keyrelay_does_not_touch_its_own_app() {
    let own = Setup::new().also(&format!("settings = {{ SQL = \"{}\" }}", reference("sql")));
    let app = own.start().await;
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("keyrelay").0, "refused", "{}", app.log());
    assert_eq!((app.writes(), app.requests("POST", "/refresh")), (0, 0));
}

#[tokio::test]
async fn a_write_that_did_not_last_is_repeated() {
    let app = unpinned()
        .configured("[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"")
        .start()
        .await;
    app.azure
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, Effect::LoseWrite).times(2));
    let version = app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    assert_eq!(app.active_version("orders", "SQL"), Some(version));
    assert_eq!(app.writes(), 3);
}

#[tokio::test]
async fn a_write_without_a_response_is_checked_before_it_is_repeated() {
    let app = unpinned()
        .configured("[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"")
        .start()
        .await;
    app.azure.cloud.switch_on(
        Fault::new(Service::ResourceManager, Effect::Cut)
            .method("PUT")
            .times(1),
    );
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    assert_eq!(app.writes(), 1);
}

#[tokio::test]
async fn another_writers_change_is_not_lost() {
    let app = unpinned()
        .configured("[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"")
        .start()
        .await;
    let interfere = Effect::Interfere {
        setting: "THEIRS".to_owned(),
        value: format!("{PLANTED}theirs").into(),
    };
    app.azure
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, interfere).times(1));
    let version = app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    let settings = app.settings("orders");
    assert_eq!(settings["THEIRS"], format!("{PLANTED}theirs"));
    assert!(settings["SQL"].ends_with(&format!("/{version})")));
}
