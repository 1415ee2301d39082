use keyrelay_azure::{Progress, ReferenceStatus, Status};
use keyrelay_model::SettingName;
use serde_json::{Value, json};

use crate::fake::{Fake, ORDERS, Reply, call, orders, respond};

const REFERENCE: &str = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/sql/)";

fn row(name: &str, status: &str) -> Value {
    json!({
        "id": format!("{ORDERS}/config/configreferences/appsettings/{name}"),
        "name": name,
        "type": "Microsoft.Web/sites/config/configreferences/appsettings",
        "properties": {
            "reference": REFERENCE, "status": status, "vaultName": "v", "secretName": "sql",
            "secretVersion": "", "activeVersion": "0123456789abcdef0123456789abcdef",
            "identityType": { "type": "SystemAssigned" }, "source": "KeyVault", "location": "ApplicationSetting",
        },
    })
}

async fn one(reply: Reply, name: &str) -> (Option<ReferenceStatus>, Vec<String>) {
    let fake = Fake::start([reply]).await;
    let name = SettingName::listed(name);
    let status = fake
        .resource_manager()
        .reference_status(&orders(), &name, &call())
        .await
        .unwrap();
    (status, fake.lines())
}

#[tokio::test]
async fn all_pages_of_statuses_are_read() {
    let next = format!("{{origin}}{ORDERS}/next?page=2");
    let fake = Fake::start([
        respond(
            200,
            json!({ "value": [row("A", "Resolved")], "nextLink": next }),
        ),
        respond(
            200,
            json!({ "value": [row("B", "SecretNotFound")], "nextLink": null }),
        ),
    ])
    .await;
    let statuses = fake
        .resource_manager()
        .reference_statuses(&orders(), &call())
        .await
        .unwrap();
    let list = format!("GET {ORDERS}/config/configreferences/appsettings?api-version=2025-05-01");
    assert_eq!(fake.lines(), [list, format!("GET {ORDERS}/next?page=2")]);
    let [a, b] = &statuses[..] else {
        panic!("two statuses")
    };
    assert_eq!(
        (a.setting.as_str(), &a.status, a.reference.as_str()),
        ("A", &Status::Resolved, REFERENCE)
    );
    assert_eq!(
        (a.vault_name.as_deref(), a.secret_name.as_deref()),
        (Some("v"), Some("sql"))
    );
    assert_eq!(
        (&a.secret_version, a.identity_type.as_deref()),
        (&None, Some("SystemAssigned"))
    );
    assert_eq!(
        a.active_version.as_ref().unwrap().as_str(),
        "0123456789abcdef0123456789abcdef"
    );
    assert_eq!(
        (b.setting.as_str(), b.status.progress()),
        ("B", Progress::Broken)
    );
}

#[tokio::test]
async fn incomplete_rows_are_read_or_skipped() {
    let fake = Fake::start([respond(
        200,
        json!({ "value": [
        { "name": "NULLS", "properties": {
            "reference": null, "status": null, "vaultName": null, "secretName": null, "secretVersion": null,
            "activeVersion": null, "details": null, "identityType": null } },
        { "name": "EMPTY", "properties": {} },
        { "id": format!("{ORDERS}/config/configreferences/appsettings/BY_ID"), "name": null,
          "properties": { "status": "NeverHeardOf", "identityType": "UserAssigned", "activeVersion": "no version!" } },
        { "name": "NO_PROPERTIES", "properties": null },
        { "properties": { "status": "Resolved" } },
        null,
        7,
    ] }),
    )])
    .await;
    let statuses = fake
        .resource_manager()
        .reference_statuses(&orders(), &call())
        .await
        .unwrap();
    let names: Vec<&str> = statuses
        .iter()
        .map(|status| status.setting.as_str())
        .collect();
    assert_eq!(names, ["NULLS", "EMPTY", "BY_ID"]);
    assert!(
        statuses
            .iter()
            .all(|status| status.status.may_heal() && status.active_version.is_none())
    );
    assert_eq!(statuses[2].status.to_string(), "NeverHeardOf");
    assert_eq!(statuses[2].identity_type.as_deref(), Some("UserAssigned"));
}

#[tokio::test]
async fn a_status_is_requested_by_the_encoded_name() {
    let (status, lines) = one(respond(200, row("ignored", "Initialized")), "A:b/c ?é").await;
    let path = format!("{ORDERS}/config/configreferences/appsettings/A:b%2Fc%20%3F%C3%A9");
    assert_eq!(lines, [format!("GET {path}?api-version=2025-05-01")]);
    let status = status.unwrap();
    assert_eq!(
        (status.setting.as_str(), status.status),
        ("A:b/c ?é", Status::Initialized)
    );
}

#[tokio::test]
async fn a_name_that_is_no_path_segment_is_found_in_the_list() {
    let (status, lines) = one(
        respond(
            200,
            json!({ "value": [row("A", "Resolved"), row("..", "Resolved")] }),
        ),
        "..",
    )
    .await;
    assert_eq!(
        lines,
        [format!(
            "GET {ORDERS}/config/configreferences/appsettings?api-version=2025-05-01"
        )]
    );
    assert_eq!(status.unwrap().setting.as_str(), "..");
}

#[tokio::test]
async fn a_setting_that_is_no_reference_has_no_status() {
    assert_eq!(
        one(respond(404, json!({ "Code": "NotFound" })), "A")
            .await
            .0,
        None
    );
    assert_eq!(one(respond(404, json!({})), "A").await.0, None);
    assert_eq!(
        one(
            respond(200, json!({ "name": "A", "properties": null })),
            "A"
        )
        .await
        .0,
        None
    );
}

#[tokio::test]
async fn a_deleted_app_is_an_error() {
    let fake = Fake::start([respond(
        404,
        json!({ "error": { "code": "ResourceNotFound", "message": "gone" } }),
    )])
    .await;
    let name = "A".parse().unwrap();
    let error = fake
        .resource_manager()
        .reference_status(&orders(), &name, &call())
        .await
        .unwrap_err();
    assert!(error.is_not_found());
}

#[tokio::test]
async fn a_refresh_is_an_empty_post_and_its_body_is_ignored() {
    let fake = Fake::start([Reply::Response {
        status: 204,
        headers: vec![],
        body: String::new(),
    }])
    .await;
    fake.resource_manager()
        .refresh_references(&orders(), &call())
        .await
        .unwrap();
    let path = format!("{ORDERS}/config/configreferences/appsettings/refresh");
    assert_eq!(
        fake.lines(),
        [format!("POST {path}?api-version=2022-03-01")]
    );
    assert_eq!(fake.seen()[0].headers["content-length"], "0");
}
