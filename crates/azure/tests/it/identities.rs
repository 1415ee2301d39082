//! Several identities.

use keyrelay_azure::{Http, Operation, ResourceManager, identity_of};
use keyrelay_model::AppId;
use serde_json::json;

use crate::fake::{Fake, ORDERS, call, credential_of, orders, respond, within};

fn app(number: usize) -> AppId {
    format!("{ORDERS}-{number}").parse().unwrap()
}

/// An app of each of two identities.
fn one_of_each() -> [AppId; 2] {
    [0, 1].map(|identity| {
        let of_identity = |app: &AppId| identity_of(app, 2) == identity;
        (0..100).map(app).find(of_identity).unwrap()
    })
}

fn manager(fake: &Fake) -> ResourceManager {
    let others = vec![credential_of("second")];
    let http = Http::new().unwrap();
    ResourceManager::with_identities(&fake.cloud(), credential_of("first"), others, http).unwrap()
}

#[tokio::test]
async fn requests_about_an_app_use_its_identity_and_lists_the_first() {
    let empty = || respond(200, json!({ "properties": {} }));
    let list = || respond(200, json!({ "value": [] }));
    let fake = Fake::start([empty(), empty(), list(), list(), list(), list()]).await;
    let manager = manager(&fake);
    let [first, second] = one_of_each();
    manager.settings(&first, &call()).await.unwrap();
    manager.settings(&second, &call()).await.unwrap();
    manager.slots(&second, &call()).await.unwrap();
    let right = manager.rights(&second.to_string(), &call()).await;
    right.unwrap();
    let scope: keyrelay_azure::Scope = "/subscriptions/s".parse().unwrap();
    manager.sites(&scope, &call()).await.unwrap();
    manager.rights("/subscriptions/s", &call()).await.unwrap();
    let used: Vec<String> = fake
        .seen()
        .iter()
        .map(|seen| seen.headers["authorization"].to_str().unwrap().to_owned())
        .collect();
    let expected = ["first", "second", "second", "second", "first", "first"];
    assert_eq!(used, expected.map(|word| format!("Bearer {word}-1")));
}

#[tokio::test]
async fn each_identity_has_its_own_rate_limit() {
    let limited = respond(429, json!({})).with("retry-after", "20");
    let fake = Fake::start([limited, respond(200, json!({ "properties": {} }))]).await;
    let manager = manager(&fake);
    let [first, second] = one_of_each();
    let soon = within(std::time::Duration::from_millis(500));
    let error = manager.settings(&first, &soon).await.unwrap_err();
    assert_eq!(error.operation, Operation::ReadSettings);
    // The first identity pauses; the second one does not.
    manager.settings(&second, &call()).await.unwrap();
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn the_object_ids_of_the_identities_of_an_app_are_found_by_client_id() {
    let identity = |number: u32| json!({ "clientId": format!("C-{number}"), "principalId": format!("p-{number}") });
    let app = json!({ "id": ORDERS, "identity": {
        "type": "SystemAssigned, UserAssigned",
        "principalId": "p-system",
        "userAssignedIdentities": { "/one": identity(1), "/two": identity(2) },
    } });
    let principals = async |client_ids: &[&str]| {
        let fake = Fake::start([respond(200, app.clone())]).await;
        let client_ids: Vec<String> = client_ids.iter().map(ToString::to_string).collect();
        let manager = fake.resource_manager();
        let found = manager
            .principals(&orders(), &client_ids, &call())
            .await
            .unwrap();
        let found: Vec<&str> = found
            .iter()
            .map(|it| it.as_deref().unwrap_or("none"))
            .collect();
        found.join(" ")
    };
    assert_eq!(principals(&["c-2", "c-1", "c-3"]).await, "p-2 p-1 none");
    assert_eq!(principals(&["c-2"]).await, "p-2");
    // One that Azure does not list is taken to be the one that there is.
    assert_eq!(principals(&["c-3"]).await, "p-1");
    assert_eq!(principals(&[]).await, "p-1");
}
