//! The rows and refreshes of the profiles.

use std::time::Duration;

use keyrelay_local_azure::{CloudOptions, Effect, Fault, Profile, ResolveStatus, Service};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ORDERS, Stand, TestResponse, until};

const ROWS: &str = "config/configreferences/appsettings";

/// A profile with a refresh that takes 150 ms, and no effect in 20 s after a new version.
fn reported() -> Profile {
    Profile {
        ignores_refresh_within: Duration::from_secs(20),
        ..Profile::as_reported().faster(100.0)
    }
}

async fn start(profile: Profile) -> Stand {
    Stand::start_with(CloudOptions {
        profile,
        ..CloudOptions::default()
    })
    .await
}

async fn refresh(stand: &Stand) -> TestResponse {
    let path = format!("{ORDERS}/{ROWS}/refresh");
    stand.manage(Method::POST, &path, None).await
}

/// The properties of the only row of a list, without the value of its identity.
fn properties(list: &TestResponse) -> Value {
    let rows = list.body["value"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{}", list.body);
    let mut properties = rows[0]["properties"].clone();
    assert_eq!(properties["identityType"].take()["type"], "SystemAssigned");
    properties
}

/// The version that the app `orders` uses.
fn active(stand: &Stand) -> Option<String> {
    stand.cloud.references("orders").unwrap()[0]
        .active_version
        .clone()
}

fn set(stand: &Stand, value: &str) -> Option<String> {
    Some(
        stand
            .cloud
            .set_secret("contoso-kv", "sql-password", value)
            .unwrap(),
    )
}

#[tokio::test]
async fn the_default_is_as_reported() {
    assert_eq!(CloudOptions::default().profile, Profile::as_reported());
}

#[tokio::test]
async fn rows_are_as_captured() {
    let stand = start(Profile::as_reported()).await;
    let listed = stand.get(&format!("{ORDERS}/{ROWS}")).await;
    let row = &listed.body["value"][0];
    assert_eq!(
        (&row["id"], &row["name"], &row["location"]),
        (&Value::Null, &"SQL".into(), &"West Europe".into())
    );
    assert_eq!(listed.body["nextLink"], Value::Null);
    let mut expected = json!({
        "reference": "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)",
        "status": "Resolved", "vaultName": "contoso-kv", "secretName": "sql-password", "identityType": null,
    });
    assert_eq!(properties(&listed), expected);

    let refreshed = refresh(&stand).await;
    expected["activeVersion"] = Value::Null;
    assert_eq!(properties(&refreshed), expected);
    assert_eq!(refreshed.body["value"][0]["id"], Value::Null);
    assert!(active(&stand).is_some());
}

#[tokio::test]
async fn a_pinned_reference_names_only_its_own_version() {
    let stand = start(Profile::as_reported()).await;
    let version = active(&stand).unwrap();
    let pinned = format!(
        "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password;SecretVersion={version})"
    );
    stand.put_settings(ORDERS, json!({ "SQL": pinned })).await;
    let row = stand.row(ORDERS, "SQL").await;
    assert_eq!(
        (&row["secretVersion"], &row["activeVersion"]),
        (&version.clone().into(), &Value::Null)
    );
    assert_eq!(active(&stand), Some(version));
}

#[tokio::test]
async fn captured_rows_are_paged() {
    let stand = Stand::start_with(CloudOptions {
        page_size: 1,
        ..CloudOptions::default()
    })
    .await;
    let broken = "@Microsoft.KeyVault(x)";
    stand
        .put_settings(ORDERS, json!({ "A": broken, "B": broken }))
        .await;
    let listed = stand.get(&format!("{ORDERS}/{ROWS}")).await;
    assert_eq!(listed.names(), ["A"]);
    assert!(listed.body["nextLink"].is_string());
    let refreshed = refresh(&stand).await;
    assert_eq!(refreshed.names(), ["A", "B"]);
    assert_eq!(refreshed.body["nextLink"], Value::Null);
}

#[tokio::test]
async fn rows_stay_until_the_refresh_is_carried_out() {
    let profile = Profile {
        ignores_refresh_within: Duration::ZERO,
        refresh_takes: Duration::from_secs(1),
        ..Profile::as_reported()
    };
    let stand = start(profile).await;
    let denied = Effect::ReferenceStatus {
        status: ResolveStatus::AccessToKeyVaultDenied,
    };
    stand
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, denied).times(1));
    stand.cloud.edit_settings("orders", |_| ()).unwrap();
    let second = set(&stand, "second");
    refresh(&stand).await;
    assert_eq!(
        stand.row(ORDERS, "SQL").await["status"],
        "AccessToKeyVaultDenied"
    );
    assert_eq!(active(&stand), None);
    until("the refresh is carried out", async || {
        active(&stand) == second
    })
    .await;
    assert_eq!(stand.row(ORDERS, "SQL").await["status"], "Resolved");
}

#[tokio::test]
async fn a_refresh_right_after_a_new_version_does_not_take() {
    let stand = start(reported()).await;
    let reference = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=late)";
    stand.put_settings(ORDERS, json!({ "A": reference, "SQL": "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)" })).await;
    let first = stand
        .cloud
        .newest_version("contoso-kv", "sql-password")
        .unwrap();
    stand.cloud.set_secret("contoso-kv", "late", "x").unwrap();
    // The only reference to another secret shows when the refresh is carried out.
    let disabled = keyrelay_local_azure::Attributes {
        enabled: false,
        ..Default::default()
    };
    stand
        .cloud
        .set_attributes("contoso-kv", "sql-password", &first, disabled)
        .unwrap();
    refresh(&stand).await;
    let statuses = || {
        let rows = stand.cloud.references("orders").unwrap();
        rows.iter().map(|row| row.status).collect::<Vec<_>>()
    };
    assert_eq!(
        statuses(),
        [ResolveStatus::SecretNotFound, ResolveStatus::Resolved]
    );
    let after = [
        ResolveStatus::SecretNotFound,
        ResolveStatus::AccessToKeyVaultDenied,
    ];
    until("the other reference is resolved", async || {
        statuses() == after
    })
    .await;
}

#[tokio::test]
async fn a_later_refresh_takes() {
    let profile = Profile {
        ignores_refresh_within: Duration::from_secs(1),
        refresh_takes: Duration::ZERO,
        ..Profile::as_reported()
    };
    let stand = start(profile).await;
    let first = active(&stand);
    let second = set(&stand, "second");
    refresh(&stand).await;
    assert_eq!(active(&stand), first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    refresh(&stand).await;
    assert_eq!(active(&stand), second);
}

#[tokio::test]
async fn a_write_resolves_new_versions_at_once() {
    let stand = start(reported()).await;
    let second = set(&stand, "second");
    stand.cloud.edit_settings("orders", |_| ()).unwrap();
    assert_eq!(active(&stand), second);
}

#[tokio::test]
async fn a_calibration_is_a_profile() {
    let text = r#"{ "findings": { "names_active_version": true, "refresh_seconds": 0.1,
        "first_refresh_took": true, "rows_have_ids": null } }"#;
    let stand = start(Profile::from_calibration(text).unwrap()).await;
    let second = set(&stand, "second");
    refresh(&stand).await;
    until("the refresh is carried out", async || {
        active(&stand) == second
    })
    .await;
    let listed = stand.get(&format!("{ORDERS}/{ROWS}")).await;
    assert_eq!(properties(&listed)["activeVersion"], json!(second));
    assert!(Profile::from_calibration("[]").is_err());
}
