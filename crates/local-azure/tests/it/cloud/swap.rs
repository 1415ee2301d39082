//! The swap of slots.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ORDERS, RESOURCE_MANAGER, Stand, TestResponse};

const WORLD: &str = r#"
    subscription = "11111111-2222-3333-4444-555555555555"
    [[vault]]
    name = "contoso-kv"
    resource_group = "shop"
    secrets = { sql-password = "first" }
    [[site]]
    name = "orders"
    resource_group = "shop"
    settings = { COLOUR = "blue", STAGE = "production", ONLY_HERE = "1" }
    connection_strings = { DB = "Server=production", CACHE = "Server=blue" }
    [[site.slot]]
    name = "staging"
    settings = { COLOUR = "green", STAGE = "staging", SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)" }
    connection_strings = { DB = "Server=staging", CACHE = "Server=green" }
    [[site.slot]]
    name = "canary"
"#;

async fn start() -> Stand {
    Stand::start_in(WORLD, super::ideal()).await
}

async fn swap(stand: &Stand, app: &str, target: &str) -> TestResponse {
    let body = json!({ "targetSlot": target, "preserveVnet": true });
    let path = format!("{app}/slotsswap");
    stand.manage(Method::POST, &path, Some(body)).await
}

async fn list(stand: &Stand, app: &str, kind: &str) -> Value {
    let path = format!("{app}/config/{kind}/list");
    let mut listed = stand.manage(Method::POST, &path, None).await;
    listed.body["properties"].take()
}

async fn set_sticky(stand: &Stand) {
    let names =
        json!({ "appSettingNames": ["stage", "ONLY_HERE"], "connectionStringNames": ["DB"] });
    let body = json!({ "properties": names });
    let path = format!("{ORDERS}/config/slotConfigNames");
    let written = stand.manage(Method::PUT, &path, Some(body)).await;
    assert_eq!(written.status, 200);
}

#[tokio::test]
async fn a_swap_exchanges_all_settings_except_the_sticky_ones() {
    let stand = start().await;
    set_sticky(&stand).await;
    let staging = format!("{ORDERS}/slots/staging");
    let swapped = swap(&stand, &staging, "production").await;
    assert_eq!(swapped.status, 202);
    let reference = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)";
    assert_eq!(
        list(&stand, ORDERS, "appsettings").await,
        json!({ "COLOUR": "green", "STAGE": "production", "ONLY_HERE": "1", "SQL": reference })
    );
    assert_eq!(
        list(&stand, &staging, "appsettings").await,
        json!({ "COLOUR": "blue", "STAGE": "staging" })
    );
    let strings = list(&stand, ORDERS, "connectionstrings").await;
    assert_eq!(strings["DB"]["value"], "Server=production");
    assert_eq!(strings["CACHE"]["value"], "Server=green");
    // The references are resolved with the identity of their new app.
    assert_eq!(stand.row(ORDERS, "SQL").await["status"], "Resolved");
    assert!(stand.cloud.references("orders/staging").unwrap().is_empty());
}

#[tokio::test]
async fn the_response_refers_to_the_result() {
    let stand = start().await;
    let swapped = swap(&stand, ORDERS, "staging").await;
    let location = swapped.header("location");
    let token = stand.token(None, RESOURCE_MANAGER).await;
    let result = stand.send(stand.http.get(location).bearer_auth(token));
    let result = result.await.unwrap();
    assert_eq!((result.status, &result.body["id"]), (200, &ORDERS.into()));
    let colour = &list(&stand, ORDERS, "appsettings").await["COLOUR"];
    assert_eq!(colour, "green");
}

#[tokio::test]
async fn two_slots_are_swapped() {
    let stand = start().await;
    let canary = format!("{ORDERS}/slots/canary");
    assert_eq!(swap(&stand, &canary, "Staging").await.status, 202);
    let colour = &list(&stand, &canary, "appsettings").await["COLOUR"];
    assert_eq!(colour, "green");
    let staging = format!("{ORDERS}/slots/staging");
    assert_eq!(list(&stand, &staging, "appsettings").await, json!({}));
}

#[tokio::test]
async fn an_impossible_swap_is_rejected() {
    let stand = start().await;
    for (app, target, status, code) in [
        (ORDERS.to_owned(), "nobody", 404, "NotFound"),
        (ORDERS.to_owned(), "production", 409, "Conflict"),
        (format!("{ORDERS}/slots/canary"), "canary", 409, "Conflict"),
    ] {
        let response = swap(&stand, &app, target).await;
        assert_eq!(
            (response.status, &response.body["Code"]),
            (status, &code.into()),
            "{target}"
        );
    }
    let path = format!("{ORDERS}/slotsswap");
    let response = stand.manage(Method::POST, &path, Some(json!({}))).await;
    assert_eq!(response.status, 400);
}
