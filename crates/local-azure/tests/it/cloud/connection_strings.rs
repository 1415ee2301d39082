use keyrelay_local_azure::{
    CloudOptions, Effect, Fault, Profile, ReferenceKind, ResolveStatus, Service,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ORDERS, RESOURCE_MANAGER, Stand, next, until};

const WORLD: &str = r#"
    subscription = "11111111-2222-3333-4444-555555555555"
    [[vault]]
    name = "contoso-kv"
    resource_group = "shop"
    secrets = { sql-password = "first" }
    [[site]]
    name = "orders"
    resource_group = "shop"
    command = ["sh", "-c", "echo \"$CUSTOMCONNSTR_DB $PLAIN $APPSETTING_PLAIN\"; exec sleep 1000"]
    settings = { PLAIN = "text", SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)" }
    connection_strings = { DB = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)", LOCAL = "Server=x" }
    [[site.slot]]
    name = "staging"
    connection_strings = { DB = "Server=y" }
    [[site]]
    name = "reader"
    resource_group = "shop"
    [[role]]
    identity = "reader"
    actions = ["*/read"]
"#;

const REFERENCE: &str = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)";
const ROWS: &str = "config/configreferences/connectionstrings";

async fn start() -> Stand {
    Stand::start_in(WORLD, super::ideal()).await
}

async fn list(stand: &Stand, app: &str) -> Value {
    let path = format!("{app}/config/connectionstrings/list");
    stand.manage(Method::POST, &path, None).await.body
}

async fn put(stand: &Stand, properties: Value) -> super::TestResponse {
    let body = json!({ "properties": properties });
    let path = format!("{ORDERS}/config/connectionstrings");
    stand.manage(Method::PUT, &path, Some(body)).await
}

#[tokio::test]
async fn the_strings_of_an_app_are_listed_in_azures_form() {
    let stand = start().await;
    let listed = list(&stand, ORDERS).await;
    assert_eq!(
        (&listed["name"], &listed["properties"]),
        (
            &"connectionstrings".into(),
            &json!({
                "DB": { "value": REFERENCE, "type": "Custom" },
                "LOCAL": { "value": "Server=x", "type": "Custom" },
            })
        )
    );
    let staging = list(&stand, &format!("{ORDERS}/slots/staging")).await;
    assert_eq!(staging["properties"]["DB"]["value"], "Server=y");
}

#[tokio::test]
async fn a_write_replaces_the_whole_set() {
    let stand = start().await;
    let wanted = json!({ "NEW": { "value": "Server=z", "type": "SQLAzure" } });
    let written = put(&stand, wanted.clone()).await;
    assert_eq!(
        (written.status, &written.body["properties"]),
        (200, &wanted)
    );
    assert_eq!(list(&stand, ORDERS).await, written.body);
    assert_eq!(
        stand.cloud.connection_strings("orders").unwrap()["NEW"].expose(),
        "Server=z"
    );
    for invalid in [
        json!({ "A": "text" }),
        json!({ "A": { "value": "x" } }),
        json!({ "A": { "value": "x", "type": "Colour" } }),
    ] {
        assert_eq!(put(&stand, invalid).await.status, 400);
    }
    assert_eq!(stand.cloud.connection_strings("orders").unwrap().len(), 1);
}

#[tokio::test]
async fn their_references_have_rows_of_their_own() {
    let stand = start().await;
    let listed = stand.get(&format!("{ORDERS}/{ROWS}")).await;
    assert_eq!(listed.names(), ["DB"]);
    assert_eq!(listed.body["value"][0]["id"], format!("{ORDERS}/{ROWS}/DB"));
    let row = stand.get(&format!("{ORDERS}/{ROWS}/db")).await;
    assert_eq!(row.body["properties"]["status"], "Resolved");
    let missing = stand.get(&format!("{ORDERS}/{ROWS}/SQL")).await;
    assert_eq!(missing.status, 404);
    let rows = stand.cloud.references("orders").unwrap();
    let kinds: Vec<_> = rows
        .iter()
        .map(|row| (row.kind, row.setting.as_str()))
        .collect();
    assert_eq!(
        kinds,
        [
            (ReferenceKind::AppSetting, "SQL"),
            (ReferenceKind::ConnectionString, "DB")
        ]
    );
}

#[tokio::test]
async fn each_refresh_resolves_both_kinds() {
    for kind in ["appsettings", "connectionstrings"] {
        let stand = start().await;
        let second = stand
            .cloud
            .set_secret("contoso-kv", "sql-password", "second")
            .unwrap();
        let path = format!("{ORDERS}/config/configreferences/{kind}/refresh");
        let refreshed = stand.manage(Method::POST, &path, None).await;
        let own = if kind == "appsettings" { "SQL" } else { "DB" };
        assert_eq!(refreshed.names(), [own]);
        until("both use the new version", async || {
            let rows = stand.cloud.references("orders").unwrap();
            rows.iter()
                .all(|row| row.active_version.as_deref() == Some(&second))
        })
        .await;
    }
}

#[tokio::test]
async fn a_fault_forces_their_status() {
    let stand = start().await;
    let effect = Effect::ReferenceStatus {
        status: ResolveStatus::FetchTimedOut,
    };
    stand.cloud.switch_on(
        Fault::new(Service::ResourceManager, effect).path("configreferences/connectionstrings/DB"),
    );
    stand
        .cloud
        .set_connection_string("orders", "DB", REFERENCE)
        .unwrap();
    let rows = stand.cloud.references("orders").unwrap();
    assert_eq!(
        [rows[0].status, rows[1].status],
        [ResolveStatus::Resolved, ResolveStatus::FetchTimedOut]
    );
}

#[tokio::test]
async fn a_reader_sees_the_rows_only() {
    let stand = start().await;
    let token = stand.token(Some("reader"), RESOURCE_MANAGER).await;
    let url = |path: &str| {
        let path = format!("{ORDERS}/{path}?api-version=2025-05-01");
        stand.cloud.resource_manager_url().join(&path).unwrap()
    };
    let rows = stand.http.get(url(ROWS)).bearer_auth(&token);
    assert_eq!(stand.send(rows).await.unwrap().status, 200);
    let values = stand
        .http
        .post(url("config/connectionstrings/list"))
        .bearer_auth(&token);
    assert_eq!(stand.send(values).await.unwrap().status, 403);
    let refresh = stand
        .http
        .post(url(&format!("{ROWS}/refresh")))
        .bearer_auth(&token);
    assert_eq!(stand.send(refresh).await.unwrap().status, 403);
}

#[tokio::test]
async fn an_app_sees_its_strings_and_the_twins_of_its_settings() {
    for (profile, expected) in [
        (Profile::ideal(), "first text "),
        (Profile::as_reported(), "first text text"),
    ] {
        let options = CloudOptions {
            profile,
            ..CloudOptions::default()
        };
        let (_stand, mut lines) = Stand::start_with_lines(WORLD, options).await;
        assert_eq!(next(&mut lines).await.text, expected);
    }
}
