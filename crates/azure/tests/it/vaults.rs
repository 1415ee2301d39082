use keyrelay_azure::{AccessPolicy, VaultAccess};
use serde_json::{Value, json};

use crate::fake::{Fake, call, respond};

fn row(name: &str, properties: Value) -> Value {
    json!({ "id": format!("/subscriptions/s/vaults/{name}"), "name": name, "properties": properties })
}

#[tokio::test]
async fn each_vault_of_all_pages_tells_what_decides_who_may_use_it() {
    let policy =
        json!({ "objectId": "o", "permissions": { "keys": ["get"], "secrets": ["list"] } });
    let first = [
        row(
            "roles",
            json!({ "enableRbacAuthorization": true, "accessPolicies": [policy] }),
        ),
        row(
            "policies",
            json!({ "enableRbacAuthorization": false, "accessPolicies": [policy, {}] }),
        ),
    ];
    let second = [row("old", json!({})), json!({ "name": "incomplete" })];
    let link = "{origin}/subscriptions/s/providers/Microsoft.KeyVault/vaults?page=2";
    let fake = Fake::start([
        respond(200, json!({ "value": first, "nextLink": link })),
        respond(200, json!({ "value": second })),
    ])
    .await;
    let vaults = fake.resource_manager().vaults("s", &call()).await.unwrap();
    let found: Vec<_> = vaults.into_iter().map(|it| (it.name, it.access)).collect();
    let policy = AccessPolicy {
        object_id: "o".to_owned(),
        secrets: vec!["list".to_owned()],
    };
    let expected = [
        ("roles", VaultAccess::Roles),
        ("policies", VaultAccess::Policies(vec![policy])),
        ("old", VaultAccess::Policies(Vec::new())),
    ];
    assert_eq!(
        found,
        expected.map(|(name, access)| (name.to_owned(), access))
    );
    assert_eq!(
        fake.lines()[0],
        "GET /subscriptions/s/providers/Microsoft.KeyVault/vaults?api-version=2023-07-01"
    );
}

#[tokio::test]
async fn the_subscriptions_that_can_be_seen_are_listed() {
    let rows = json!([{ "subscriptionId": "s-1" }, {}, { "subscriptionId": "s-2" }]);
    let fake = Fake::start([respond(200, json!({ "value": rows }))]).await;
    let subscriptions = fake.resource_manager().subscriptions(&call()).await;
    assert_eq!(subscriptions.unwrap(), ["s-1", "s-2"]);
    assert_eq!(fake.lines(), ["GET /subscriptions?api-version=2022-12-01"]);
}

#[test]
fn a_permission_is_there_by_name_or_with_all() {
    let policy = |secrets: &[&str]| AccessPolicy {
        object_id: "o".to_owned(),
        secrets: secrets.iter().map(|&it| it.to_owned()).collect(),
    };
    assert!(policy(&["List"]).allows("list"));
    assert!(policy(&["All"]).allows("get"));
    assert!(!policy(&["List"]).allows("get"));
    assert!(!policy(&[]).allows("list"));
}
