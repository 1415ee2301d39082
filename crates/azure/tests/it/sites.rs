use keyrelay_azure::{AzureError, Failure, NextLinkError, Scope, Site};
use keyrelay_model::{Retryability, error_chain};
use serde_json::{Value, json};

use crate::fake::{Fake, ORDERS, Reply, call, orders, respond};

fn scope() -> Scope {
    "/subscriptions/s/resourceGroups/g".parse().unwrap()
}

async fn sites(replies: Vec<Reply>) -> (Result<Vec<Site>, AzureError>, usize) {
    let fake = Fake::start(replies).await;
    let sites = fake.resource_manager().sites(&scope(), &call()).await;
    (sites, fake.seen().len())
}

fn page(rows: Value, next_link: &str) -> Reply {
    respond(200, json!({ "value": rows, "nextLink": next_link }))
}

async fn check_link(replies: Vec<Reply>, requests: usize, expected: NextLinkError) {
    let (sites, seen) = sites(replies).await;
    let error = sites.unwrap_err();
    assert!(
        matches!(&error.failure, Failure::NextLink(link) if *link == expected),
        "{error:?}"
    );
    assert_eq!(
        (error.retryability(), seen),
        (Retryability::Permanent, requests)
    );
}

#[tokio::test]
async fn subscriptions_and_groups_are_requested_by_their_ids() {
    let fake = Fake::start([page(json!([]), ""), page(Value::Null, "")]).await;
    let manager = fake.resource_manager();
    assert_eq!(manager.sites(&scope(), &call()).await.unwrap(), []);
    assert_eq!(
        manager
            .sites(&"/SUBSCRIPTIONS/S".parse().unwrap(), &call())
            .await
            .unwrap(),
        []
    );
    let path = "providers/Microsoft.Web/sites?api-version=2025-05-01";
    assert_eq!(
        fake.lines(),
        [
            format!("GET {}/{path}", scope()),
            format!("GET /subscriptions/S/{path}")
        ]
    );
}

#[tokio::test]
async fn incomplete_sites_are_read_or_skipped() {
    let rows = json!([
        { "id": ORDERS, "kind": "functionapp,linux", "identity": { "type": "SystemAssigned" },
          "properties": { "state": "Running", "enabled": true, "keyVaultReferenceIdentity": "SystemAssigned",
                          "sku": "Dynamic" } },
        { "id": ORDERS.replace("orders", "bare") },
        { "id": ORDERS.replace("orders", "off"), "kind": null, "properties": { "state": null, "enabled": false } },
        { "id": "not an id" },
        { "kind": "app" },
        null,
    ]);
    let (sites, _) = sites(vec![page(rows, "")]).await;
    let sites = sites.unwrap();
    let site = |name: &str, kind: Option<&str>, state: Option<&str>, enabled| Site {
        id: ORDERS.replace("orders", name).parse().unwrap(),
        kind: kind.map(str::to_owned),
        state: state.map(str::to_owned),
        enabled,
        identity: (name == "orders").then(|| "SystemAssigned".to_owned()),
        reference_identity: (name == "orders").then(|| "SystemAssigned".to_owned()),
        sku: (name == "orders").then(|| "Dynamic".to_owned()),
    };
    let expected = [
        site("orders", Some("functionapp,linux"), Some("Running"), true),
        site("bare", None, None, true),
        site("off", None, None, false),
    ];
    assert_eq!(sites, expected);
}

#[tokio::test]
async fn the_slots_of_a_slot_are_those_of_its_site() {
    let slot = format!("{ORDERS}/slots/staging");
    let rows = json!([{ "id": slot, "name": "orders/staging" }]);
    let fake = Fake::start([page(rows, ""), page(json!([]), "")]).await;
    let manager = fake.resource_manager();
    let slots = manager.slots(&orders(), &call()).await.unwrap();
    assert_eq!(slots[0].id, slot.parse().unwrap());
    manager
        .slots(&slot.parse().unwrap(), &call())
        .await
        .unwrap();
    let line = format!("GET {ORDERS}/slots?api-version=2025-05-01");
    assert_eq!(fake.lines(), [line.clone(), line]);
}

#[tokio::test]
async fn a_page_of_another_origin_is_not_requested() {
    for link in [
        "http://127.0.0.1:1/next",
        "https://management.azure.com/next",
        "/next",
        "next",
    ] {
        check_link(vec![page(json!([]), link)], 1, NextLinkError::Elsewhere).await;
    }
}

#[tokio::test]
async fn a_loop_of_pages_is_an_error() {
    let to = |page_number: usize| page(json!([]), &format!("{{origin}}/next?page={page_number}"));
    check_link(vec![to(2), to(3), to(2)], 3, NextLinkError::Loop).await;
}

#[tokio::test]
async fn a_list_of_many_pages_is_read_to_its_end() {
    let mut pages: Vec<_> = (0..299)
        .map(|number| page(json!([]), &format!("{{origin}}/next?page={number}")))
        .collect();
    pages.push(respond(200, json!({ "value": [{ "id": ORDERS }] })));
    let (found, requests) = sites(pages).await;
    assert_eq!((found.unwrap().len(), requests), (1, 300));
}

#[tokio::test]
async fn an_incomplete_list_is_an_error() {
    let next = page(json!([{ "id": ORDERS }]), "{origin}/next");
    let (sites_found, _) = sites(vec![next, respond(403, json!({}))]).await;
    assert!(sites_found.unwrap_err().is_forbidden());
    for body in [
        json!({}),
        json!([]),
        json!({ "value": "none" }),
        json!({ "Value": [] }),
    ] {
        let (sites, _) = sites(vec![respond(200, body)]).await;
        assert!(matches!(sites.unwrap_err().failure, Failure::Unreadable(_)));
    }
}

async fn reference_principal(site: Value) -> Option<String> {
    let fake = Fake::start([respond(200, site)]).await;
    let principal = fake
        .resource_manager()
        .reference_principal(&orders(), &call())
        .await
        .unwrap();
    assert_eq!(
        fake.lines(),
        [format!("GET {ORDERS}?api-version=2025-05-01")]
    );
    principal
}

const USER: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/resolver";

#[tokio::test]
async fn the_identity_that_resolves_references_is_found() {
    let other = USER.replace("resolver", "another");
    let identity = json!({
        "type": "SystemAssigned, UserAssigned", "principalId": "system",
        "userAssignedIdentities": {
            other.clone(): { "principalId": "another" },
            USER.to_uppercase(): { "principalId": "resolver", "clientId": "c" },
        },
    });
    let of = |name: Value| {
        let properties = json!({ "keyVaultReferenceIdentity": name });
        reference_principal(json!({ "identity": identity, "properties": properties }))
    };
    assert_eq!(of(json!(USER)).await.as_deref(), Some("resolver"));
    assert_eq!(of(json!(other)).await.as_deref(), Some("another"));
    assert_eq!(of(json!(USER.replace("resolver", "third"))).await, None);
    for name in [
        json!("SystemAssigned"),
        json!("systemassigned"),
        json!(""),
        json!(null),
    ] {
        assert_eq!(of(name.clone()).await.as_deref(), Some("system"), "{name}");
    }
}

#[tokio::test]
async fn an_app_without_that_identity_has_no_principal() {
    let user = json!({ "type": "UserAssigned", "userAssignedIdentities": { USER: { "principalId": "p" } } });
    let none = json!({ "type": "None", "principalId": null, "userAssignedIdentities": null });
    for site in [
        json!({}),
        json!({ "identity": null, "properties": null }),
        json!({ "identity": user, "properties": { "keyVaultReferenceIdentity": "SystemAssigned" } }),
        json!({ "identity": none, "properties": { "keyVaultReferenceIdentity": USER } }),
    ] {
        assert_eq!(reference_principal(site).await, None);
    }
}

/// The names of sites or slots.
fn names(sites: &[Site]) -> Vec<String> {
    let name = |site: &Site| match site.id.slot() {
        Some(slot) => format!("{}/{slot}", site.id.site()),
        None => site.id.site().to_owned(),
    };
    sites.iter().map(name).collect()
}

/// A row of a list.
fn row(id: &str) -> Value {
    json!({ "id": id, "properties": { "sku": "Standard" } })
}

#[tokio::test]
async fn the_list_of_a_group_includes_slots() {
    let staging = format!("{ORDERS}/slots/staging");
    let rows = json!([row(ORDERS), row(&staging)]);
    let next = "{origin}/next?includeSlots=true&$skiptoken=1";
    let last = page(json!([row(&staging.replace("staging", "test"))]), "");
    let fake = Fake::start([page(rows, next), last]).await;
    let manager = fake.resource_manager();
    let first = manager
        .sites_page(&scope(), None, 0, &call())
        .await
        .unwrap();
    assert!(first.slots_included());
    assert_eq!(names(&first.sites), ["orders"]);
    assert_eq!(names(first.slots.as_deref().unwrap()), ["orders/staging"]);
    let last = manager
        .sites_page(&scope(), first.next.as_ref(), 1, &call())
        .await
        .unwrap();
    assert_eq!(names(&last.sites), [""; 0]);
    assert_eq!(names(last.slots.as_deref().unwrap()), ["orders/test"]);
    let path = "providers/Microsoft.Web/sites?api-version=2025-05-01&includeSlots=true";
    let requested = [
        format!("GET {}/{path}", scope()),
        "GET /next?includeSlots=true&$skiptoken=1".to_owned(),
    ];
    assert_eq!(fake.lines(), requested);
}

#[tokio::test]
async fn the_list_of_a_subscription_has_no_slots() {
    let subscription: Scope = "/subscriptions/s".parse().unwrap();
    let rows = json!([row(ORDERS), row(&format!("{ORDERS}/slots/staging"))]);
    let fake = Fake::start([page(rows, "")]).await;
    let manager = fake.resource_manager();
    let page = manager
        .sites_page(&subscription, None, 0, &call())
        .await
        .unwrap();
    assert!(!page.slots_included());
    assert_eq!(
        (names(&page.sites), page.slots),
        (vec!["orders".to_owned()], None)
    );
    let path = "providers/Microsoft.Web/sites?api-version=2025-05-01";
    assert_eq!(fake.lines(), [format!("GET {subscription}/{path}")]);
}

#[tokio::test]
async fn a_link_of_an_earlier_list_without_slots_does_not_promise_any() {
    let rows = json!([row(ORDERS)]);
    let fake = Fake::start([
        page(json!([]), "{origin}/next?$skiptoken=1"),
        page(rows, ""),
    ])
    .await;
    let manager = fake.resource_manager();
    let first = manager
        .sites_page(&scope(), None, 0, &call())
        .await
        .unwrap();
    assert!(first.slots_included());
    let page = manager
        .sites_page(&scope(), first.next.as_ref(), 1, &call())
        .await
        .unwrap();
    assert!(!page.slots_included());
}

#[tokio::test]
async fn a_list_without_an_end_is_an_error() {
    let next = "{origin}/next?$skiptoken=1";
    let fake = Fake::start([page(json!([]), next), page(json!([]), next)]).await;
    let manager = fake.resource_manager();
    let first = manager
        .sites_page(&scope(), None, 0, &call())
        .await
        .unwrap();
    let (scope, call, next) = (scope(), call(), first.next.as_ref());
    let again = manager
        .sites_page(&scope, next, 1, &call)
        .await
        .unwrap_err();
    assert_eq!(again.failure.to_string(), NextLinkError::Loop.to_string());
    assert_eq!(again.retryability(), Retryability::Permanent);
    // A longer circle.
    let far = manager.sites_page(&scope, next, 2_001, &call).await;
    let far = error_chain(&far.unwrap_err());
    assert!(far.contains("more than 2000 pages"), "{far}");
    assert_eq!(fake.lines().len(), 2);
}

#[tokio::test]
async fn all_sites_and_slots_of_a_group_are_listed_page_by_page() {
    let staging = format!("{ORDERS}/slots/staging");
    let next = "{origin}/next?includeSlots=true";
    let pages = [
        page(json!([row(&staging)]), next),
        page(json!([row(ORDERS)]), ""),
    ];
    let fake = Fake::start(pages).await;
    let manager = fake.resource_manager();
    let all = manager
        .group_sites_with_slots(&scope(), &call())
        .await
        .unwrap();
    assert_eq!(names(&all.sites), ["orders"]);
    assert_eq!(names(&all.slots.unwrap()), ["orders/staging"]);
    assert_eq!(all.next, None);
    assert!(fake.lines()[0].ends_with("&includeSlots=true"));
}

#[tokio::test]
async fn a_site_may_have_slots_unless_its_tier_has_none() {
    let may_have_slots = async |id: &str, sku: Value| {
        let row = json!({ "id": id, "properties": { "sku": sku } });
        let (sites, _) = sites(vec![page(json!([row]), "")]).await;
        sites.unwrap()[0].may_have_slots()
    };
    for sku in ["Free", "Shared", "Basic", "FlexConsumption", "basic"] {
        assert!(!may_have_slots(ORDERS, sku.into()).await, "{sku}");
    }
    for sku in [
        "Standard",
        "PremiumV3",
        "Dynamic",
        "ElasticPremium",
        "",
        "New",
    ] {
        assert!(may_have_slots(ORDERS, sku.into()).await, "{sku}");
    }
    assert!(may_have_slots(ORDERS, Value::Null).await);
    let slot = format!("{ORDERS}/slots/staging");
    assert!(!may_have_slots(&slot, "Standard".into()).await);
}
