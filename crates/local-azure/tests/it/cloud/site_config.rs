//! The site configuration, and the names of settings that stay with their slot.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ORDERS, Stand, TestResponse};

async fn write(stand: &Stand, method: Method, properties: Value) -> TestResponse {
    let body = json!({ "properties": properties });
    let path = format!("{ORDERS}/config/web");
    stand.manage(method, &path, Some(body)).await
}

#[tokio::test]
async fn a_write_keeps_the_other_properties() {
    let stand = Stand::start().await;
    for (method, properties) in [
        (Method::PUT, json!({ "alwaysOn": true })),
        (
            Method::PATCH,
            json!({ "linuxFxVersion": "PYTHON|3.13", "alwaysOn": null }),
        ),
    ] {
        assert_eq!(write(&stand, method, properties).await.status, 200);
    }
    let read = stand.get(&format!("{ORDERS}/config/web")).await.body;
    assert_eq!(
        (
            &read["properties"]["alwaysOn"],
            &read["properties"]["linuxFxVersion"]
        ),
        (&true.into(), &"PYTHON|3.13".into())
    );
    assert_eq!(read["properties"]["http20Enabled"], false);
    let staging = format!("{ORDERS}/slots/staging/config/web");
    assert_eq!(
        stand.get(&staging).await.body["properties"]["alwaysOn"],
        false
    );
}

#[tokio::test]
async fn settings_in_the_site_configuration_are_replaced_and_not_returned() {
    let stand = Stand::start().await;
    let written = write(
        &stand,
        Method::PATCH,
        json!({
            "appSettings": [{ "name": "A", "value": "1" }],
            "connectionStrings": [{ "name": "DB", "connectionString": "Server=x", "type": "SQLAzure" }],
        }),
    )
    .await;
    assert_eq!(written.body["properties"]["appSettings"], Value::Null);
    let list = |kind: &str| format!("{ORDERS}/config/{kind}/list");
    let settings = stand.manage(Method::POST, &list("appsettings"), None).await;
    assert_eq!(settings.body["properties"], json!({ "A": "1" }));
    let strings = stand
        .manage(Method::POST, &list("connectionstrings"), None)
        .await;
    assert_eq!(
        strings.body["properties"],
        json!({ "DB": { "value": "Server=x", "type": "SQLAzure" } })
    );
}

#[tokio::test]
async fn an_invalid_write_changes_nothing() {
    let stand = Stand::start().await;
    for properties in [
        json!([]),
        json!({ "alwaysOn": true, "appSettings": "A" }),
        json!({ "alwaysOn": true, "connectionStrings": [{ "name": "DB", "connectionString": "x", "type": "Paper" }] }),
    ] {
        let response = write(&stand, Method::PUT, properties).await;
        assert_eq!(
            (response.status, &response.body["Code"]),
            (400, &"BadRequest".into())
        );
    }
    let read = stand.get(&format!("{ORDERS}/config/web")).await.body;
    assert_eq!(read["properties"]["alwaysOn"], false);
}

#[tokio::test]
async fn a_write_resolves_references() {
    let stand = Stand::start().await;
    let version = stand
        .cloud
        .set_secret("contoso-kv", "sql-password", "second")
        .unwrap();
    assert_ne!(stand.row(ORDERS, "SQL").await["activeVersion"], version);
    write(&stand, Method::PATCH, json!({ "alwaysOn": true })).await;
    assert_eq!(stand.row(ORDERS, "SQL").await["activeVersion"], version);
}

#[tokio::test]
async fn the_names_of_slot_settings_belong_to_the_site() {
    let stand = Stand::start().await;
    let path = format!("{ORDERS}/config/slotConfigNames");
    let before = stand.get(&path).await;
    assert_eq!(
        before.body["properties"],
        json!({ "appSettingNames": null, "connectionStringNames": null, "azureStorageConfigNames": null })
    );
    let names = json!({
        "appSettingNames": ["PLAIN"], "connectionStringNames": [], "azureStorageConfigNames": null,
    });
    let body = json!({ "properties": names });
    let written = stand.manage(Method::PUT, &path, Some(body)).await;
    assert_eq!((written.status, &written.body["properties"]), (200, &names));
    assert_eq!(stand.get(&path).await.body, written.body);
    let body = json!({ "properties": { "appSettingNames": "PLAIN" } });
    assert_eq!(
        stand.manage(Method::PUT, &path, Some(body)).await.status,
        400
    );
    let of_slot = format!("{ORDERS}/slots/staging/config/slotConfigNames");
    assert_eq!(stand.get(&of_slot).await.status, 404);
}
