//! Grants: a patch that exceeds its grant is refused as a whole.

use crate::fixtures::{PLANTED, reference};
use crate::harness::Harness;
use crate::setup::Setup;

async fn rotated(script: &str, grant: &str) -> Harness {
    let settings = format!(
        "SQL = \"{}\", TEXT = \"{PLANTED}text\", OTHER = \"{}\"",
        reference("sql"),
        reference("other")
    );
    let app = Setup::new()
        .site("orders", &settings)
        .scripted(script, grant)
        .start()
        .await;
    app.rotate_and_settle("sql").await;
    app
}

#[track_caller]
fn check_refused(app: &Harness, missing: &str) {
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "refused", "{}", app.log());
    assert!(
        message.contains(missing),
        "`{message}` does not name {missing}"
    );
    assert_eq!(app.writes(), 0);
    assert!(
        app.azure.event_grid.deliveries().len() == 1,
        "a refusal is not delivered again"
    );
}

#[tokio::test]
async fn another_name_is_not_set() {
    check_refused(
        &rotated("set OTHER pin", "").await,
        "missing grant `set = [\"OTHER\"]`",
    );
}

#[tokio::test]
async fn a_new_name_is_not_set() {
    check_refused(
        &rotated("set NEW pin", "").await,
        "missing grant `set = [\"NEW\"]`",
    );
}

#[tokio::test]
async fn another_secret_is_not_referenced() {
    let script = "set SQL reference contoso-kv.vault.azure.net other";
    check_refused(
        &rotated(script, "set = [\"SQL\"]").await,
        "missing grant `secrets = [\"contoso-kv/other\"]`",
    );
}

#[tokio::test]
async fn another_vault_is_not_referenced() {
    let script = "set SQL reference evil-kv.vault.azure.net sql";
    check_refused(
        &rotated(script, "set = [\"SQL\"]").await,
        "missing grant `secrets = [\"evil-kv/sql\"]`",
    );
}

#[tokio::test]
async fn plain_text_is_not_written() {
    let script = format!("set SQL text {PLANTED}new");
    check_refused(
        &rotated(&script, "set = [\"SQL\"]").await,
        "missing grant `text = true`",
    );
}

#[tokio::test]
async fn nothing_is_removed() {
    check_refused(
        &rotated("remove TEXT", "set = [\"*\"]").await,
        "missing grant `remove = [\"TEXT\"]`",
    );
}

#[tokio::test]
async fn a_pattern_does_not_reach_a_protected_name() {
    let script = format!("set AzureWebJobsStorage text {PLANTED}new");
    let app = rotated(&script, "set = [\"*\"], text = true").await;
    check_refused(
        &app,
        "missing grant `set = [\"AzureWebJobsStorage\"]` (a protected name",
    );
}

#[tokio::test]
async fn a_protected_name_in_disguise_is_not_set() {
    for name in ["LD.PRELOAD", "AzureFunctionsJobHost:x", "JAVA_TOOL_OPTIONS"] {
        let script = format!("set {name} text {PLANTED}new");
        let app = rotated(&script, "set = [\"*\"], text = true").await;
        check_refused(
            &app,
            &format!("missing grant `set = [\"{name}\"]` (a protected name"),
        );
    }
}

#[tokio::test]
async fn text_does_not_go_around_the_secrets() {
    let script = "set TEXT text @microsoft.KeyVault(SecretUri=https://prod-kv.vault.azure.net/secrets/admin/)";
    let app = rotated(script, "set = [\"TEXT\"], text = true").await;
    check_refused(&app, "missing grant `secrets = [\"prod-kv/admin\"]`");
    let script = "set TEXT text @Microsoft.AppConfiguration(Endpoint=https://a.azconfig.io;Key=k)";
    let app = rotated(script, "set = [\"TEXT\"], text = true").await;
    check_refused(&app, "is no valid Key Vault reference");
}

#[tokio::test]
async fn a_rule_of_another_vault_grants_nothing() {
    let settings = format!(
        "SQL = \"{}\", OTHER = \"{}\"",
        reference("sql"),
        reference("other")
    );
    let rule = "[[rotation]]\nsecret = \"trusted-kv/sql\"\npolicy = \"scripted\"\n\
                parameters = { script = \"set OTHER pin\" }\ngrant = { set = [\"OTHER\"] }\n";
    let app = Setup::new()
        .site("orders", &settings)
        .with_scripted_policy_as("scripted")
        .configured(rule)
        .start()
        .await;
    app.rotate_and_settle("sql").await;
    // The event is of another vault, so that the default policy decides, without a grant.
    assert_eq!(app.settings("orders")["OTHER"], reference("other"));
    assert_eq!(app.writes(), 0);
}

#[tokio::test]
async fn one_forbidden_change_and_nothing_is_written() {
    check_refused(
        &rotated("set SQL pin\nset NEW pin", "").await,
        "missing grant `set = [\"NEW\"]`",
    );
}

#[tokio::test]
async fn granted_changes_are_written() {
    let script = format!(
        "set SQL pin\nset NEW reference contoso-kv.vault.azure.net other\nset TEXT text {PLANTED}new\nremove OTHER"
    );
    let grant =
        "set = [\"NEW\", \"TEXT\"], remove = [\"OTHER\"], secrets = [\"other\"], text = true";
    let app = rotated(&script, grant).await;
    // `NEW` references another secret without a version, so its evidence is two refreshes.
    app.reconcile().await;
    assert_eq!(app.outcome("orders").0, "refreshed", "{}", app.log());
    let settings = app.settings("orders");
    assert_eq!(settings["NEW"], reference("other"));
    assert_eq!(settings["TEXT"], format!("{PLANTED}new"));
    assert!(!settings.contains_key("OTHER"));
    assert_eq!(app.writes(), 1);
}

#[tokio::test]
async fn a_patch_of_text_only_says_what_it_did() {
    let script = format!("set TEXT text {PLANTED}new\nremove OTHER");
    let grant = "set = [\"TEXT\"], remove = [\"OTHER\"], text = true";
    let settings = format!("SQL = \"{}\", OTHER = \"{PLANTED}text\"", reference("sql"));
    let app = Setup::new()
        .site("orders", &settings)
        .scripted(&script, grant)
        .ideal()
        .start()
        .await;
    app.rotate_and_settle("sql").await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "verified", "{}", app.log());
    assert!(
        message.starts_with("set `TEXT`; removed `OTHER`"),
        "{message}"
    );
}
