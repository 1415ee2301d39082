use keyrelay_azure::{
    AzureError, Failure, Operation, Progress, ReferenceKind, ReferenceStatus, Status,
};
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
        .app_setting_reference_statuses(&orders(), &call())
        .await
        .unwrap();
    let list = format!("GET {ORDERS}/config/configreferences/appsettings?api-version=2025-05-01");
    assert_eq!(fake.lines(), [list, format!("GET {ORDERS}/next?page=2")]);
    let [a, b] = &statuses[..] else {
        panic!("two statuses")
    };
    assert_eq!(
        (a.setting.as_str(), &a.status, a.reference.as_str(), a.kind),
        ("A", &Status::Resolved, REFERENCE, ReferenceKind::AppSetting)
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
        .app_setting_reference_statuses(&orders(), &call())
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

/// The row as a live refresh was seen to return it, for a reference without a version.
#[tokio::test]
async fn a_row_without_id_and_version_is_read() {
    let mut properties = row("A", "Resolved")["properties"].clone();
    properties["activeVersion"] = Value::Null;
    properties.as_object_mut().unwrap().remove("secretVersion");
    let rows = json!([{ "id": null, "name": "A", "properties": properties }]);
    let fake = Fake::start([respond(200, json!({ "value": rows, "nextLink": null }))]).await;
    let statuses = fake
        .resource_manager()
        .app_setting_reference_statuses(&orders(), &call())
        .await
        .unwrap();
    let [a] = &statuses[..] else {
        panic!("one status")
    };
    assert_eq!(
        (a.setting.as_str(), &a.status, a.kind),
        ("A", &Status::Resolved, ReferenceKind::AppSetting)
    );
    assert_eq!((&a.active_version, &a.secret_version), (&None, &None));
}

const SETTINGS: &str = "/configreferences/appsettings?";
const CONNECTION_STRINGS: &str = "/configreferences/connectionstrings?";

fn list(rows: Value) -> Reply {
    respond(200, json!({ "value": rows, "nextLink": null }))
}

async fn both(
    settings: Reply,
    connection_strings: Reply,
) -> (Result<Vec<ReferenceStatus>, AzureError>, Vec<String>) {
    let fake = Fake::routing([
        (SETTINGS, settings),
        (CONNECTION_STRINGS, connection_strings),
    ])
    .await;
    let statuses = fake
        .resource_manager()
        .reference_statuses(&orders(), &call())
        .await;
    (statuses, fake.lines())
}

#[tokio::test]
async fn references_in_connection_strings_follow_those_in_settings() {
    let (statuses, mut lines) = both(
        list(json!([row("A", "Resolved"), row("B", "Resolved")])),
        list(json!([row("A", "SecretNotFound")])),
    )
    .await;
    let statuses = statuses.unwrap();
    let found: Vec<_> = statuses
        .iter()
        .map(|status| (status.setting.as_str(), status.kind))
        .collect();
    let expected = [
        ("A", ReferenceKind::AppSetting),
        ("B", ReferenceKind::AppSetting),
        ("A", ReferenceKind::ConnectionString),
    ];
    assert_eq!(found, expected);
    lines.sort();
    let line =
        |list: &str| format!("GET {ORDERS}/config/configreferences/{list}?api-version=2025-05-01");
    assert_eq!(lines, [line("appsettings"), line("connectionstrings")]);
}

#[tokio::test]
async fn a_missing_list_of_connection_strings_is_empty() {
    for body in [json!({}), json!({ "Code": "NotFound", "Message": "x" })] {
        let settings = list(json!([row("A", "Resolved")]));
        let (statuses, _) = both(settings, respond(404, body)).await;
        assert_eq!(statuses.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn other_failures_of_either_list_are_errors() {
    let gone = || {
        respond(
            404,
            json!({ "error": { "code": "ResourceNotFound", "message": "gone" } }),
        )
    };
    let (statuses, _) = both(gone(), gone()).await;
    assert!(statuses.unwrap_err().is_not_found());
    let (statuses, _) = both(list(json!([])), respond(403, json!({}))).await;
    let error = statuses.unwrap_err();
    assert!(error.is_forbidden());
    assert_eq!(error.operation, Operation::ReadReferences);
    let (statuses, _) = both(list(json!([])), respond(200, json!({}))).await;
    assert!(matches!(
        statuses.unwrap_err().failure,
        Failure::Unreadable(_)
    ));
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
