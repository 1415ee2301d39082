//! What `keyrelay doctor` prints about hundreds of apps: one finding for one cause, on one screen.

use std::time::Duration;

use serde_json::Value;

use super::installation::{Installation, ROLE, world};
use crate::harness::{Done, history, run};

/// The width of each line.
const COLUMNS: usize = 80;

/// The number of lines of a screen.
const SCREEN: usize = 40;

/// The ids of all apps begin so.
const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop";

const REFRESH: &str = "\"Microsoft.Web/sites/config/*/action\",";

const REFERENCE: &str = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)";
const PINNED: &str = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql;SecretVersion=0)";

/// An app with a setting, and without slots: these would cost requests.
fn app(name: &str, setting: &str) -> String {
    format!(
        "[[site]]\nname = \"{name}\"\nresource_group = \"shop\"\nsku = \"FlexConsumption\"\n\
         settings = {{ SQL = \"{setting}\" }}\n"
    )
}

fn numbered(count: usize) -> Vec<String> {
    let numbers = 1..=count;
    numbers
        .map(|it| app(&format!("app-{it:03}"), REFERENCE))
        .collect()
}

/// The world with these apps besides `orders` and its slot.
fn with_apps(apps: &[String]) -> String {
    world().replace(ROLE, &format!("\n{}{ROLE}", apps.concat()))
}

/// 300 apps need some 600 reads, of which Resource Manager allows 25 a second after the first 250.
async fn doctor_in_time(installation: &Installation) -> Done {
    let done = installation.doctor_within(Duration::from_secs(110), &[]);
    done.await
}

fn about<'a>(what: &str, findings: &'a [Value]) -> Vec<&'a Value> {
    findings.iter().filter(|it| it["what"] == what).collect()
}

#[track_caller]
fn assert_fits(output: &str) {
    let too_long = output.lines().find(|it| it.chars().count() > COLUMNS);
    assert_eq!(too_long, None, "{output}");
    assert!(output.lines().count() <= SCREEN, "{output}");
}

#[tokio::test]
async fn one_right_that_300_apps_miss_is_one_finding_with_one_fix_on_one_screen() {
    let without = with_apps(&numbered(299)).replace(REFRESH, "");
    let installation = Installation::new(&without).await;
    let done = doctor_in_time(&installation).await;
    let output = done.output;
    assert_fits(&output);
    assert_eq!(done.code, Some(1), "{output}");
    let lines: Vec<&str> = output.lines().collect();
    // No event was delivered in this installation, either.
    assert!(lines[0].starts_with("2 failed, 0 warnings, "), "{output}");
    assert_eq!(lines[1], "rights", "the worst part is the first: {output}");
    let words = "FAIL  rights: 300 apps: missing";
    assert!(lines[2].starts_with(words), "{output}");
    let names = lines.iter().find(|it| it.starts_with("      apps: "));
    let names = names.unwrap();
    assert!(
        names.contains("app-001, app-002") && names.ends_with(" more"),
        "{names}"
    );
    for command in ["az role definition create", "az role assignment create"] {
        assert_eq!(output.matches(command).count(), 1, "{output}");
    }
    assert!(output.contains("\nFAIL  last event: "), "{output}");
}

#[tokio::test]
async fn json_has_all_apps_that_a_finding_concerns_and_one_command_for_their_group() {
    let without = with_apps(&numbered(28)).replace(REFRESH, "");
    let installation = Installation::new(&without).await;
    let findings = installation.findings(&["--failed"]).await;
    assert!(findings.iter().all(|it| it["level"] != "ok"));
    let [finding] = about("rights", &findings)[..] else {
        panic!("{findings:#?}");
    };
    assert_eq!(finding["part"], "rights");
    assert_eq!(finding["level"], "failed");
    assert_eq!(finding["ok"], false);
    let apps = finding["apps"].as_array().unwrap();
    assert_eq!(apps.len(), 29);
    let last = format!("{GROUP}/providers/Microsoft.Web/sites/app-028");
    assert!(apps.iter().any(|app| app["id"] == *last), "{apps:#?}");
    let fix = finding["fix"].as_str().unwrap();
    assert!(fix.ends_with(&format!("--scope {GROUP}")), "{fix}");
    assert!(!fix.contains("app-0"), "{fix}");
}

#[tokio::test]
async fn two_causes_are_two_findings_with_roles_of_different_names() {
    let mut apps = numbered(5);
    // These apps have to be written as well.
    apps.extend((1..=3).map(|it| app(&format!("pinned-{it}"), PINNED)));
    let without = with_apps(&apps)
        .replace(REFRESH, "")
        .replace("\"Microsoft.Web/sites/config/Write\",", "");
    let installation = Installation::new(&without).await;
    let failures = installation.failures().await;
    let rights = failures.iter().filter(|it| it.0.starts_with("rights"));
    let find = |words: &str| {
        let mut found = rights.clone().filter(|it| it.0.starts_with(words));
        found.next().unwrap_or_else(|| panic!("{failures:#?}"))
    };
    assert_eq!(rights.clone().count(), 2, "{failures:#?}");
    let refresh = find("rights: 6 apps: missing ");
    let patch = find("rights: 3 apps: missing ");
    assert!(
        refresh.1.contains("--role \"keyrelay refresh (shop)\""),
        "{refresh:?}"
    );
    assert!(
        patch
            .1
            .contains("--role \"keyrelay refresh list write (shop)\""),
        "{patch:?}"
    );
}

#[tokio::test]
async fn apps_without_an_identity_have_one_fix_with_the_ids_of_all() {
    let without = "identity = false\nresource_group";
    let apps: Vec<String> = numbered(6)
        .iter()
        .map(|app| app.replace("resource_group", without))
        .collect();
    let installation = Installation::new(&with_apps(&apps)).await.rotated().await;
    let failures = installation.failures().await;
    let identity = failures.iter();
    let identity = identity.filter(|it| it.0.starts_with("identity of references"));
    let [(words, fix)] = &identity.collect::<Vec<_>>()[..] else {
        panic!("{failures:#?}");
    };
    assert!(words.contains(": 6 apps: "), "{words}");
    let ids = fix
        .strip_prefix("az webapp identity assign --ids ")
        .unwrap();
    assert_eq!(ids.split(' ').count(), 6, "{fix}");
    let output = installation.doctor(&[]).await.output;
    assert_fits(&output);
    let short = "\naz webapp identity assign --ids IDS\n";
    assert!(output.contains(short), "{output}");
    let references = "6 references of 6 apps: MSINotEnabled";
    assert!(output.contains(references), "{output}");
}

#[tokio::test]
async fn when_everything_is_fine_it_fits_too_and_nothing_failed() {
    let world = with_apps(&numbered(299));
    let installation = Installation::new(&world).await;
    // A rotation of 300 apps would take half a minute.
    let event = run("2026-01-01T10:00:00Z", "contoso-kv/sql", &[]);
    let history = history(&installation.file(".keyrelay/store"));
    history.keep(&event).await.unwrap();
    let done = doctor_in_time(&installation).await;
    assert_eq!(done.code, Some(0), "{}{}", done.output, done.errors);
    assert_fits(&done.output);
    let first = done.output.lines().next().unwrap();
    assert!(first.starts_with("0 failed, 0 warnings, "), "{first}");
    for part in [
        "files",
        "environment",
        "vaults",
        "rights",
        "apps",
        "events",
        "state",
    ] {
        let heading = format!("\n{part}\n");
        assert!(done.output.contains(&heading), "{}", done.output);
    }
    let rights = "ok    rights: 301 apps: may refresh\n";
    assert!(done.output.contains(rights), "{}", done.output);
    assert_eq!(reads_of_rights(&installation), 1);
}

fn reads_of_rights(installation: &Installation) -> usize {
    let requests = installation.azure.cloud.requests();
    let requests = requests.iter();
    let rights = requests.filter(|it| it.path.ends_with("Microsoft.Authorization/permissions"));
    rights.count()
}

#[tokio::test]
async fn rights_that_are_not_inherited_are_read_for_each_app() {
    let role = |name: &str| {
        let scope = format!("scope = \"{GROUP}/providers/Microsoft.Web/sites/{name}\"\nactions");
        let role = ROLE.replace("actions", &scope);
        role.replace("\"Microsoft.Authorization/permissions/read\", ", "")
    };
    // The role of the group lacks one action, which one of two apps has by a role of its own.
    let apps = with_apps(&numbered(2)).replace(REFRESH, "");
    let world = format!("{apps}{}", role("app-001"));
    let installation = Installation::new(&world).await;
    let findings = installation.findings(&["--failed"]).await;
    let [finding] = about("rights", &findings)[..] else {
        panic!("{findings:#?}");
    };
    let apps = finding["apps"].as_array().unwrap();
    let ids: Vec<&str> = apps.iter().map(|app| app["id"].as_str().unwrap()).collect();
    let sites = ["orders", "app-002"];
    let expected = sites.map(|name| format!("{GROUP}/providers/Microsoft.Web/sites/{name}"));
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(
        expected.iter().all(|id| ids.contains(&id.as_str())),
        "{ids:?}"
    );
}

#[tokio::test]
async fn failed_shows_only_what_is_not_fine() {
    let installation = Installation::new(&world()).await.rotated().await;
    let failed = installation.doctor(&["--failed"]).await;
    assert_eq!(failed.code, Some(0));
    assert_eq!(failed.output.lines().count(), 1, "{}", failed.output);
    assert!(failed.output.starts_with("0 failed, 0 warnings, 1"));
    assert!(installation.findings(&["--failed"]).await.is_empty());

    std::fs::write(installation.file("policies/half.wasm"), b"\0asm\x01\0").unwrap();
    let failed = installation.doctor(&["--failed"]).await;
    assert_eq!(failed.code, Some(1));
    let output = failed.output;
    assert!(output.starts_with("1 failed, 0 warnings, 1"), "{output}");
    assert!(output.contains("\nfiles\nFAIL  policy half: "), "{output}");
    assert!(!output.contains("\nok  "), "{output}");
}
