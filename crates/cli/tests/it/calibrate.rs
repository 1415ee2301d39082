//! `keyrelay calibrate` in stand-ins that behave differently.

mod stand_in;

use std::process::Stdio;
use std::time::Duration;

use keyrelay_local_azure::{Intercept, Moment, Profile, Service, Then};
use serde_json::{Value, from_value, json};
use tokio::process::Command;

use crate::harness::in_time;
use stand_in::{Azure, SECRET, WORLD};

#[tokio::test]
async fn the_reported_azure_is_found() {
    let azure = Azure::as_reported().await;
    let (file, output) = azure.calibrate().await;
    let findings = &file["findings"];
    assert_eq!(findings["names_active_version"], false, "{file:#}");
    assert_eq!(findings["first_refresh_took"], false, "{file:#}");
    assert_eq!(findings["second_refresh_took"], true, "{file:#}");
    assert_eq!(findings["rows_have_ids"], false);
    assert_eq!(findings["slot_refreshed"], true, "{file:#}");
    assert_eq!(findings["slot_follows_site"], false, "{file:#}");
    assert_eq!(findings["connection_string_refreshed"], true, "{file:#}");
    assert_eq!(findings["missing_rights"], json!([]));
    let seconds = findings["refresh_seconds"].as_f64().unwrap();
    assert!((0.29..0.9).contains(&seconds), "{seconds}");
    assert!(
        output.contains("Azure does not name the active version"),
        "{output}"
    );
    assert!(output.contains("found.json"), "{output}");
    assert!(!output.contains("azure_refresh_ms"), "{output}");
    assert!(azure.is_enabled().await && azure.all_resolved());

    let profile = azure.profile();
    assert!(!profile.names_active_version && profile.lists_rows_as_captured);
    assert!(!profile.ignores_refresh_within.is_zero());
    assert!(
        profile.refresh_takes.abs_diff(Duration::from_millis(300)) < Duration::from_millis(600)
    );
}

#[tokio::test]
async fn the_ideal_azure_is_found() {
    let azure = Azure::start(WORLD, Profile::ideal()).await;
    let (file, output) = azure.calibrate().await;
    let findings = &file["findings"];
    assert_eq!(findings["names_active_version"], true, "{file:#}");
    assert_eq!(findings["first_refresh_took"], true, "{file:#}");
    assert_eq!(findings["second_refresh_took"], Value::Null);
    assert_eq!(findings["rows_have_ids"], true);
    assert_eq!(findings["slot_refreshed"], true, "{file:#}");
    assert_eq!(findings["connection_string_refreshed"], true);
    let seconds = findings["refresh_seconds"].as_f64().unwrap();
    assert!((0.19..0.8).contains(&seconds), "{seconds}");
    assert!(
        output.contains("Azure names the active version"),
        "{output}"
    );
    assert!(azure.is_enabled().await && azure.all_resolved());

    let profile = azure.profile();
    assert!(profile.names_active_version && !profile.lists_rows_as_captured);
    assert!(profile.ignores_refresh_within.is_zero());
    assert!(
        profile.refresh_takes.abs_diff(Duration::from_millis(200)) < Duration::from_millis(600)
    );
}

#[tokio::test]
async fn the_file_has_every_call() {
    let azure = Azure::start(WORLD, Profile::ideal()).await;
    let (file, _) = azure.calibrate().await;
    assert_eq!(file["format"], 1);
    let calls = file["calls"].as_array().unwrap();
    let first: Vec<&str> = calls
        .iter()
        .take(8)
        .map(|call| call["call"].as_str().unwrap())
        .collect();
    let expected = [
        "GET {site}",
        "POST {site}/config/appsettings/list",
        "GET {site}/config/configreferences/appsettings",
        "POST {site}/config/connectionstrings/list",
        "GET {site}/config/configreferences/connectionstrings",
        "GET {site}/slots",
        "GET {site}/slots/{slot}/config/configreferences/appsettings",
        "PUT {vault}/secrets/{secret} (disabled)",
    ];
    assert_eq!(first, expected);
    assert!(calls.iter().all(|call| call["status"] == 200));
    let row = &calls[2]["body"]["value"][0];
    assert_eq!(row["properties"]["status"], "Resolved");
    assert_eq!(row["properties"]["vaultName"], "vault-1");
    assert_eq!(row["properties"]["activeVersion"], "version-1");
    assert_eq!(row["name"], "setting-2");
    let set = &calls[7]["body"];
    assert_eq!(set["id"], "vault-1/secrets/secret-1/version-2");
    assert_eq!(set["value"], "redacted");
    assert!(calls[2]["headers"]["x-ms-ratelimit-remaining-subscription-reads"].is_string());
    let refreshed = azure.cloud.requests();
    let mut refreshed = refreshed.iter().filter(|it| it.path.ends_with("/refresh"));
    assert!(refreshed.all(|it| it.api_version.as_deref() == Some("2022-03-01")));
}

#[tokio::test]
async fn nothing_is_called_without_confirmation() {
    let azure = Azure::as_reported().await;
    let done = azure.run(&SECRET).await;
    assert_eq!(done.code, Some(2));
    assert!(
        done.errors.contains("no terminal") && done.errors.contains("--yes"),
        "{}",
        done.errors
    );
    assert!(
        done.errors.contains("may restart the app"),
        "{}",
        done.errors
    );
    assert!(
        done.errors.contains("new versions of `planted-secret`"),
        "{}",
        done.errors
    );
    assert_eq!(azure.cloud.requests().len(), 0);
    assert!(!azure.file().exists());
}

#[tokio::test]
async fn without_a_secret_only_an_active_version_tells() {
    let azure = Azure::as_reported().await;
    let done = azure.run(&["--yes"]).await;
    assert_eq!(done.code, Some(0), "{}", done.errors);
    let file = azure.found();
    assert_eq!(file["findings"]["names_active_version"], false);
    assert_eq!(file["findings"]["first_refresh_took"], Value::Null);
    assert_eq!(file["findings"]["refresh_seconds"], Value::Null);
    assert_eq!(file["findings"]["slot_refreshed"], Value::Null);
    assert_eq!(azure.count("PUT", "/secrets/"), 0);
    assert_eq!(
        azure.count(
            "POST",
            "sites/planted-site/config/configreferences/appsettings/refresh"
        ),
        2
    );
    assert_eq!(
        azure.count(
            "POST",
            "slots/planted-slot/config/configreferences/appsettings/refresh"
        ),
        1
    );

    let azure = Azure::start(WORLD, Profile::ideal()).await;
    azure
        .cloud
        .set_secret("planted-vault", "planted-secret", "planted-value-3")
        .unwrap();
    let done = azure.run(&["--yes"]).await;
    assert_eq!(done.code, Some(0), "{}", done.errors);
    let findings = &azure.found()["findings"];
    assert_eq!(findings["first_refresh_took"], true, "{findings:#}");
    assert_eq!(findings["slot_refreshed"], true, "{findings:#}");
    assert_eq!(
        findings["connection_string_refreshed"], true,
        "{findings:#}"
    );
}

/// The world in which the caller has a role with these actions.
fn with_role(actions: &str) -> String {
    format!("{WORLD}\n[[role]]\nidentity = \"planted-caller\"\nactions = [{actions}]\n")
}

#[tokio::test]
async fn missing_rights_are_named_and_the_other_calls_are_made() {
    let role = with_role(
        r#""Microsoft.Web/sites/Read", "Microsoft.Web/sites/config/Read", "Microsoft.Web/sites/slots/Read""#,
    );
    let azure = Azure::start(&role, Profile::ideal()).await;
    let (file, output) = azure.calibrate().await;
    let missing = file["findings"]["missing_rights"].as_array().unwrap();
    let rights: Vec<(&str, &str, &str)> = missing
        .iter()
        .map(|it| {
            let text = |field: &str| it[field].as_str().unwrap();
            (text("call"), text("right"), text("named_by_azure"))
        })
        .collect();
    let expected = [
        (
            "POST {site}/config/appsettings/list",
            "Microsoft.Web/sites/config/list/Action",
            "microsoft.web/sites/config/list/action",
        ),
        (
            "POST {site}/config/connectionstrings/list",
            "Microsoft.Web/sites/config/list/Action",
            "microsoft.web/sites/config/list/action",
        ),
        (
            "GET {site}/slots/{slot}/config/configreferences/appsettings",
            "Microsoft.Web/sites/slots/config/Read",
            "microsoft.web/sites/slots/config/read",
        ),
        (
            "POST {site}/config/configreferences/appsettings/refresh",
            "Microsoft.Web/sites/config/*/action",
            "microsoft.web/sites/config/appsettings/refresh/action",
        ),
    ];
    assert_eq!(rights, expected);
    assert_eq!(file["findings"]["first_refresh_took"], Value::Null);
    assert_eq!(file["findings"]["names_active_version"], true);
    assert!(
        output.contains("Missing right: Microsoft.Web/sites/config/*/action"),
        "{output}"
    );
    assert!(azure.is_enabled().await);
}

#[tokio::test]
async fn a_vault_that_denies_is_named_and_the_refresh_is_still_measured() {
    let world = WORLD.replace("secrets = {", "denies = [\"planted-caller\"]\nsecrets = {");
    let azure = Azure::start(&world, Profile::ideal()).await;
    let (file, _) = azure.calibrate().await;
    let missing = &file["findings"]["missing_rights"][0];
    assert_eq!(missing["call"], "PUT {vault}/secrets/{secret} (disabled)");
    assert!(
        missing["right"]
            .as_str()
            .unwrap()
            .starts_with("Microsoft.KeyVault/vaults/secrets/setSecret")
    );
    assert_eq!(azure.count("PUT", "/secrets/"), 1);
    assert_eq!(
        azure.count(
            "POST",
            "sites/planted-site/config/configreferences/appsettings/refresh"
        ),
        2
    );
}

#[tokio::test]
async fn nothing_is_learned_if_no_call_succeeds() {
    let azure = Azure::start(&with_role("\"None/*\""), Profile::ideal()).await;
    let done = azure.run(&[&SECRET[..], &["--yes"]].concat()).await;
    assert_eq!(done.code, Some(1), "{}", done.errors);
    assert!(
        done.errors.contains("nothing could be learned"),
        "{}",
        done.errors
    );
    assert_eq!(azure.count("PUT", "/secrets/"), 0);
    let missing = azure.found()["findings"]["missing_rights"]
        .as_array()
        .unwrap()
        .len();
    assert!(missing >= 6, "{missing}");
}

#[tokio::test]
async fn the_secret_is_enabled_after_a_lost_connection() {
    let azure = Azure::start(WORLD, Profile::ideal()).await;
    let second = Intercept::new(Service::KeyVault, Moment::Arrived)
        .method("PUT")
        .nth(2);
    azure.cloud.intercept(second, || async { Then::Drop });
    let (file, _) = azure.calibrate().await;
    assert_eq!(azure.count("PUT", "/secrets/"), 3);
    assert_eq!(file["findings"]["first_refresh_took"], true);
    assert!(azure.is_enabled().await);
}

#[tokio::test]
async fn a_failure_of_azure_is_recorded_and_passes() {
    let azure = Azure::start(WORLD, Profile::ideal()).await;
    let fault = json!({
        "service": "resource-manager", "path": "configreferences/appsettings", "times": 2,
        "effect": { "kind": "status", "status": 503, "code": "ServiceUnavailable" }
    });
    azure.cloud.switch_on(from_value(fault).unwrap());
    let (file, _) = azure.calibrate().await;
    let failed = &file["calls"][2];
    assert_eq!(failed["status"], 503);
    assert_eq!(failed["code"], "ServiceUnavailable");
    assert_eq!(file["findings"]["first_refresh_took"], true, "{file:#}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_secret_is_enabled_after_an_interruption() {
    let azure = Azure::as_reported().await;
    let mut command = azure.command(&[&SECRET[..], &["--yes", "--for", "60"]].concat());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let disabled = async {
        while azure.count("POST", "/refresh") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(disabled).await;
    assert!(!azure.is_enabled().await);
    let id = child.id().unwrap().to_string();
    let kill = Command::new("kill").args(["-INT", &id]).status();
    assert!(kill.await.unwrap().success());
    assert_eq!(in_time(child.wait()).await.unwrap().code(), Some(1));
    assert!(azure.is_enabled().await);
    let summary = azure.found()["summary"].to_string();
    assert!(summary.contains("interrupted"), "{summary}");
}
