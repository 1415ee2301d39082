//! The audit log, as Log Analytics returns it.

use std::time::Duration;

use keyrelay_local_azure::{AuditOptions, CloudOptions, Effect, Fault, Service};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Stand, TestResponse};

const LOG_ANALYTICS: &str = "https://api.loganalytics.io";
const WORKSPACE: &str = "77777777-0000-0000-0000-000000000001";

const WORLD: &str = r#"
    subscription = "s"
    [[vault]]
    name = "Contoso-kv"
    resource_group = "shop"
    secrets = { sql-password = "first" }
    [[site]]
    name = "orders"
    resource_group = "shop"
    settings = { SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql-password)" }
    [[site]]
    name = "allowed"
    resource_group = "shop"
    [[site]]
    name = "forbidden"
    resource_group = "shop"
    [[role]]
    identity = "allowed"
    scope = "/subscriptions/s/resourceGroups/logs/providers/Microsoft.OperationalInsights/workspaces/77777777-0000-0000-0000-000000000001"
    actions = ["Microsoft.OperationalInsights/workspaces/query/read"]
    [[role]]
    identity = "forbidden"
    actions = ["Microsoft.Web/sites/*"]
"#;

async fn start(takes: Duration) -> Stand {
    let audit = AuditOptions {
        workspace: WORKSPACE.to_owned(),
        takes,
    };
    Stand::start_in(
        WORLD,
        CloudOptions {
            audit: Some(audit),
            ..CloudOptions::default()
        },
    )
    .await
}

async fn query_as(stand: &Stand, app: Option<&str>, workspace: &str, body: Value) -> TestResponse {
    let token = stand.token(app, LOG_ANALYTICS).await;
    let url = stand
        .cloud
        .log_analytics_url()
        .join(&format!("v1/workspaces/{workspace}/query"))
        .unwrap();
    let request = stand.http.request(Method::POST, url).bearer_auth(token);
    stand.send(request.json(&body)).await.unwrap()
}

async fn query(stand: &Stand, text: &str) -> TestResponse {
    query_as(stand, None, WORKSPACE, json!({ "query": text })).await
}

fn rows(response: &TestResponse) -> &Vec<Value> {
    response.body["tables"][0]["rows"].as_array().unwrap()
}

/// A query for the version that the app `orders` used at the start.
fn about_the_first(stand: &Stand) -> (String, String) {
    let version = stand
        .cloud
        .newest_version("contoso-kv", "sql-password")
        .unwrap();
    let id = format!("https://contoso-kv.vault.azure.net/secrets/sql-password/{version}");
    let text = format!(
        "AZKVAuditLogs | where OperationName == \"SecretGet\" and Id =~ '{}'",
        id.to_uppercase().replace("HTTPS", "https")
    );
    (id, text)
}

#[tokio::test]
async fn a_resolution_has_an_entry() {
    let stand = start(Duration::ZERO).await;
    let (id, text) = about_the_first(&stand);
    let response = query(&stand, &text).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let table = &response.body["tables"][0];
    assert_eq!(table["name"], "PrimaryResult");
    assert_eq!(
        table["columns"],
        json!([
            { "name": "TimeGenerated", "type": "datetime" },
            { "name": "SecretId", "type": "string" },
            { "name": "ObjectId", "type": "string" },
        ])
    );
    let site = stand.get(&stand.cloud.app_id("orders").unwrap()).await;
    let principal = &site.body["identity"]["principalId"];
    assert_eq!(rows(&response).len(), 1);
    let row = &rows(&response)[0];
    assert_eq!((&row[1], &row[2]), (&id.into(), principal));
    assert!(row[0].as_str().unwrap().ends_with('Z'));

    stand.cloud.edit_settings("orders", |_| ()).unwrap();
    assert_eq!(rows(&query(&stand, &text).await).len(), 2);
    assert!(rows(&query(&stand, "AZKVAuditLogs").await).is_empty());
}

#[tokio::test]
async fn an_entry_becomes_visible_later() {
    let stand = start(Duration::from_secs(1)).await;
    let (_, text) = about_the_first(&stand);
    assert!(rows(&query(&stand, &text).await).is_empty());
    super::until("the entry is visible", async || {
        !rows(&query(&stand, &text).await).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_timespan_limits_the_entries() {
    let stand = start(Duration::ZERO).await;
    let (_, text) = about_the_first(&stand);
    for (timespan, expected) in [
        ("PT1H", Some(1)),
        ("2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", Some(0)),
        ("yesterday", None),
    ] {
        let body = json!({ "query": text, "timespan": timespan });
        let response = query_as(&stand, None, WORKSPACE, body).await;
        match expected {
            Some(count) => assert_eq!(rows(&response).len(), count, "{timespan}"),
            None => assert_eq!(
                (response.status, response.code()),
                (400, "BadArgumentError")
            ),
        }
    }
}

#[tokio::test]
async fn a_query_needs_its_right() {
    let stand = start(Duration::ZERO).await;
    for (app, expected) in [("orders", 200), ("allowed", 200), ("forbidden", 403)] {
        let body = json!({ "query": "T" });
        let response = query_as(&stand, Some(app), WORKSPACE, body).await;
        assert_eq!(response.status, expected, "{app}: {}", response.body);
    }
}

#[tokio::test]
async fn errors_have_the_codes_of_log_analytics() {
    let stand = start(Duration::ZERO).await;
    let unknown = query_as(&stand, None, "other", json!({ "query": "T" })).await;
    assert_eq!(
        (unknown.status, unknown.code()),
        (404, "WorkspaceNotFoundError")
    );
    let invalid = query_as(&stand, None, WORKSPACE, json!({})).await;
    assert_eq!((invalid.status, invalid.code()), (400, "BadArgumentError"));
    let url = stand.cloud.log_analytics_url().clone();
    let anonymous = stand.send(stand.http.post(url)).await.unwrap();
    assert_eq!(
        (anonymous.status, anonymous.code()),
        (401, "AuthorizationRequiredError")
    );

    let without = Stand::start().await;
    let none = query(&without, "T").await;
    assert_eq!((none.status, none.code()), (404, "WorkspaceNotFoundError"));
}

#[tokio::test]
async fn faults_and_the_record_include_queries() {
    let stand = start(Duration::ZERO).await;
    stand
        .cloud
        .switch_on(Fault::new(Service::LogAnalytics, Effect::status(503, "Busy")).times(1));
    assert_eq!(query(&stand, "T").await.code(), "Busy");
    let last = stand.cloud.requests().pop().unwrap();
    assert_eq!(
        (last.service, last.status),
        (Service::LogAnalytics, Some(503))
    );
}
