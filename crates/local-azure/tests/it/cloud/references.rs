use std::time::Duration;

use keyrelay_local_azure::{
    Attributes, CloudOptions, Effect, Fault, Profile, ResolveStatus, Service,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ORDERS, Stand, until};

/// A delay longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

async fn refresh(stand: &Stand) {
    let path = format!("{ORDERS}/config/configreferences/appsettings/refresh");
    assert_eq!(stand.manage(Method::POST, &path, None).await.status, 200);
}

/// Checks the status of a reference after it was written to an app.
async fn check(app: &str, reference: &str, expected: &str) {
    let stand = Stand::start().await;
    let id = stand.cloud.app_id(app).unwrap();
    stand.put_settings(&id, json!({ "X": reference })).await;
    assert_eq!(stand.row(&id, "X").await["status"], expected, "{reference}");
}

#[tokio::test]
async fn a_row_has_the_reference_and_its_status() {
    let stand = Stand::start().await;
    let version = stand
        .cloud
        .newest_version("contoso-kv", "sql-password")
        .unwrap();
    let mut row = stand.row(ORDERS, "SQL").await;
    assert_eq!(row["identityType"].take()["type"], "SystemAssigned");
    assert!(row["details"].take().is_string());
    let expected = json!({
        "reference": "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)",
        "status": "Resolved", "vaultName": "contoso-kv", "secretName": "sql-password", "secretVersion": null,
        "activeVersion": version, "source": "KeyVault", "identityType": null, "details": null,
    });
    assert_eq!(row, expected);
}

#[tokio::test]
async fn every_failure_has_its_status() {
    let good = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)";
    check("orders/staging", good, "Resolved").await;
    check("legacy", good, "MSINotEnabled").await;
    check("reports", good, "AccessToKeyVaultDenied").await;
    check(
        "orders",
        "@Microsoft.KeyVault(VaultName=contoso-kv)",
        "InvalidSyntax",
    )
    .await;
    check(
        "orders",
        "@Microsoft.KeyVault(VaultName=nobody;SecretName=sql-password)",
        "VaultNotFound",
    )
    .await;
    check(
        "orders",
        "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=nobody)",
        "SecretNotFound",
    )
    .await;
    let version =
        "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password;SecretVersion=1)";
    check("orders", version, "SecretVersionNotFound").await;
    let other_cloud =
        "@Microsoft.KeyVault(SecretUri=https://contoso-kv.vault.azure.cn/secrets/sql-password)";
    check("orders", other_cloud, "VaultNotFound").await;
}

#[tokio::test]
async fn an_unusable_version_is_not_resolved() {
    let stand = Stand::start().await;
    let version = stand
        .cloud
        .newest_version("contoso-kv", "sql-password")
        .unwrap();
    let future = "2999-01-01T00:00:00Z".parse().ok();
    for (attributes, expected) in [
        (
            Attributes {
                enabled: false,
                ..Attributes::default()
            },
            ResolveStatus::AccessToKeyVaultDenied,
        ),
        (
            Attributes {
                not_before: future,
                ..Attributes::default()
            },
            ResolveStatus::OtherReasons,
        ),
        (
            Attributes {
                expires: future,
                ..Attributes::default()
            },
            ResolveStatus::Resolved,
        ),
    ] {
        stand
            .cloud
            .set_attributes("contoso-kv", "sql-password", &version, attributes)
            .unwrap();
        stand.cloud.edit_settings("orders", |_| ()).unwrap();
        assert_eq!(
            stand.cloud.references("orders").unwrap()[0].status,
            expected
        );
    }
}

#[tokio::test]
async fn a_new_version_is_resolved_at_the_next_write() {
    let stand = Stand::start().await;
    let first = stand
        .cloud
        .newest_version("contoso-kv", "sql-password")
        .unwrap();
    let second = stand
        .cloud
        .set_secret("contoso-kv", "sql-password", "second")
        .unwrap();
    assert_eq!(stand.row(ORDERS, "SQL").await["activeVersion"], first);
    stand.cloud.edit_settings("orders", |_| ()).unwrap();
    assert_eq!(stand.row(ORDERS, "SQL").await["activeVersion"], second);
}

#[tokio::test]
async fn a_refresh_resolves_the_new_version_after_the_delay() {
    let stand = Stand::start().await;
    let second = stand
        .cloud
        .set_secret("contoso-kv", "sql-password", "second")
        .unwrap();
    refresh(&stand).await;
    until("the new version is active", async || {
        stand.row(ORDERS, "SQL").await["activeVersion"] == *second
    })
    .await;
}

#[tokio::test]
async fn the_old_version_stays_active_until_then() {
    let options = CloudOptions {
        profile: Profile {
            refresh_takes: NEVER,
            ..Profile::ideal()
        },
        resolve_after: NEVER,
        ..CloudOptions::default()
    };
    let stand = Stand::start_with(options).await;
    let first = stand
        .cloud
        .newest_version("contoso-kv", "sql-password")
        .unwrap();
    let second = stand
        .cloud
        .set_secret("contoso-kv", "sql-password", "second")
        .unwrap();
    refresh(&stand).await;
    assert_eq!(stand.row(ORDERS, "SQL").await["activeVersion"], first);
    let pinned = format!(
        "@Microsoft.KeyVault(SecretUri=https://contoso-kv.vault.azure.net/secrets/sql-password/{second})"
    );
    stand
        .put_settings(ORDERS, json!({ "SQL": pinned, "NEW": pinned }))
        .await;
    let row = stand.row(ORDERS, "SQL").await;
    assert_eq!(
        (&row["status"], &row["activeVersion"], &row["secretVersion"]),
        (&"Resolved".into(), &first.into(), &second.into())
    );
    let row = stand.row(ORDERS, "NEW").await;
    assert_eq!(
        (&row["status"], row.get("activeVersion")),
        (&"Initialized".into(), None)
    );
}

#[tokio::test]
async fn the_active_version_can_be_null() {
    let stand = Stand::start_with(CloudOptions {
        profile: Profile {
            names_active_version: false,
            ..Profile::ideal()
        },
        ..CloudOptions::default()
    })
    .await;
    let row = stand.row(ORDERS, "SQL").await;
    assert_eq!(
        (&row["status"], row.get("activeVersion")),
        (&"Resolved".into(), Some(&Value::Null))
    );
    assert_eq!(row.get("secretVersion"), None);
}

#[tokio::test]
async fn only_references_have_rows() {
    let stand = Stand::start().await;
    let listed = stand
        .get(&format!("{ORDERS}/config/configreferences/appsettings"))
        .await;
    assert_eq!(listed.names(), ["SQL"]);
    let plain = stand
        .get(&format!(
            "{ORDERS}/config/configreferences/appsettings/PLAIN"
        ))
        .await;
    assert_eq!(
        (plain.status, &plain.body["Code"], &plain.body["error"]),
        (404, &"NotFound".into(), &Value::Null)
    );
}

#[tokio::test]
async fn rows_are_paged() {
    let stand = Stand::start_with(CloudOptions {
        page_size: 1,
        ..CloudOptions::default()
    })
    .await;
    stand
        .put_settings(
            ORDERS,
            json!({ "A B": "@Microsoft.KeyVault(x)", "C": "@Microsoft.KeyVault(y)" }),
        )
        .await;
    let path = format!("{ORDERS}/config/configreferences/appsettings");
    let first = stand.get(&path).await;
    assert_eq!(first.names(), ["A B"]);
    let query = first.body["nextLink"]
        .as_str()
        .unwrap()
        .split_once('?')
        .unwrap()
        .1
        .to_owned();
    assert_eq!(stand.get(&format!("{path}?{query}")).await.names(), ["C"]);
    assert_eq!(stand.row(ORDERS, "a%20b").await["status"], "InvalidSyntax");
}

#[tokio::test]
async fn a_fault_forces_a_status() {
    let stand = Stand::start().await;
    let effect = Effect::ReferenceStatus {
        status: ResolveStatus::FetchTimedOut,
    };
    stand.cloud.switch_on(
        Fault::new(Service::ResourceManager, effect)
            .path("sites/orders/")
            .path("/SQL")
            .times(1),
    );
    stand.cloud.edit_settings("orders/staging", |_| ()).unwrap();
    stand.cloud.edit_settings("orders", |_| ()).unwrap();
    let statuses = [
        stand.row(ORDERS, "SQL").await,
        stand.row(&format!("{ORDERS}/slots/staging"), "SQL").await,
    ];
    assert_eq!(
        statuses.map(|row| row["status"].clone()),
        ["Resolved", "FetchTimedOut"]
    );
}
