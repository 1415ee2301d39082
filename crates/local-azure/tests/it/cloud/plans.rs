//! The plans of apps, and lists with slots.

use super::{ORDERS, SUBSCRIPTION, Stand};

const WORLD: &str = r#"
    subscription = "11111111-2222-3333-4444-555555555555"
    [[site]]
    name = "orders"
    resource_group = "shop"
    [[site.slot]]
    name = "staging"
    [[site]]
    name = "front"
    resource_group = "shop"
    kind = "app,linux"
    [[site]]
    name = "legacy"
    resource_group = "archive"
"#;

async fn start() -> Stand {
    Stand::start_in(WORLD, super::ideal()).await
}

#[tokio::test]
async fn a_site_has_the_sku_and_the_id_of_its_plan() {
    let stand = start().await;
    for app in [ORDERS.to_owned(), format!("{ORDERS}/slots/staging")] {
        let properties = &stand.get(&app).await.body["properties"];
        assert_eq!(properties["sku"], "ElasticPremium");
        let plan = properties["serverFarmId"].as_str().unwrap();
        let plan = stand.get(plan).await;
        assert_eq!(plan.status, 200, "{}", plan.body);
        assert_eq!(plan.body["sku"]["tier"], "ElasticPremium");
        assert_eq!(plan.body["properties"]["numberOfSites"], 2);
    }
    let front = ORDERS.replace("orders", "front");
    let sku = &stand.get(&front).await.body["properties"]["sku"];
    assert_eq!(sku, "PremiumV3");
}

#[tokio::test]
async fn a_site_has_the_sku_that_the_world_names() {
    let world = WORLD.replace(
        "name = \"front\"",
        "name = \"front\"\nsku = \"FlexConsumption\"",
    );
    let stand = Stand::start_in(&world, super::ideal()).await;
    let front = ORDERS.replace("orders", "front");
    let properties = &stand.get(&front).await.body["properties"];
    assert_eq!(properties["sku"], "FlexConsumption");
    let plan = properties["serverFarmId"].as_str().unwrap();
    assert_eq!(stand.get(plan).await.body["sku"]["tier"], "FlexConsumption");
    // The rows of a list have it, too.
    let sites = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Web/sites");
    let rows = stand.get(&sites).await.body;
    let rows = rows["value"].as_array().unwrap().iter();
    let skus: Vec<_> = rows
        .map(|row| row["properties"]["sku"].as_str().unwrap())
        .collect();
    assert_eq!(
        skus,
        ["ElasticPremium", "FlexConsumption", "ElasticPremium"]
    );
}

#[test]
fn a_sku_without_slots_has_none() {
    let world = WORLD.replace("name = \"orders\"", "name = \"orders\"\nsku = \"Basic\"");
    let error = keyrelay_local_azure::World::parse(&world).unwrap_err();
    let expected = "`orders` has slots, and Basic allows none";
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn plans_are_listed_by_scope() {
    let stand = start().await;
    let names = |response: &super::TestResponse| response.names().join(" ");
    let subscription = format!("/subscriptions/{SUBSCRIPTION}");
    let all = format!("{subscription}/providers/Microsoft.Web/serverfarms");
    assert_eq!(
        names(&stand.get(&all).await),
        "local-ep1 local-ep1 local-p1v3"
    );
    let group = format!("{subscription}/resourceGroups/archive");
    let group = format!("{group}/providers/Microsoft.Web/serverfarms");
    assert_eq!(names(&stand.get(&group).await), "local-ep1");
    let sites = stand.get(&format!("{group}/local-ep1/sites")).await;
    assert_eq!(names(&sites), "legacy");
    let missing = stand.get(&format!("{group}/nobody")).await;
    assert_eq!((missing.status, missing.code()), (404, "ResourceNotFound"));
}

#[tokio::test]
async fn a_list_of_a_group_has_slots_on_request() {
    let stand = start().await;
    let sites = "providers/Microsoft.Web/sites";
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/{sites}");
    let listed = stand.get(&format!("{group}?includeSlots=true")).await;
    assert_eq!(listed.names(), ["front", "orders", "orders/staging"]);
    let listed = stand.get(&format!("{group}?includeSlots=false")).await;
    assert_eq!(listed.names(), ["front", "orders"]);
    // It is documented for a group only.
    let subscription = format!("/subscriptions/{SUBSCRIPTION}/{sites}?includeSlots=true");
    let listed = stand.get(&subscription).await;
    assert_eq!(listed.names(), ["legacy", "front", "orders"]);
}

#[tokio::test]
async fn a_slot_is_read_like_a_site() {
    let stand = start().await;
    let slot = stand.get(&format!("{ORDERS}/slots/Staging")).await.body;
    assert_eq!(
        (&slot["name"], &slot["properties"]["state"]),
        (&"orders/staging".into(), &"Running".into())
    );
}

#[tokio::test]
async fn publishing_profiles_are_xml_without_passwords() {
    let stand = start().await;
    let url = format!("{ORDERS}/slots/staging/publishxml?api-version=2024-11-01");
    let url = stand.cloud.resource_manager_url().join(&url).unwrap();
    let token = stand.token(None, super::RESOURCE_MANAGER).await;
    let response = stand.http.post(url).bearer_auth(token).send().await;
    let text = response.unwrap().text().await.unwrap();
    assert!(text.starts_with("<publishData><publishProfile "), "{text}");
    assert!(
        text.contains(
            "publishMethod=\"FTP\" publishUrl=\"ftps://orders-staging.azurewebsites.net/"
        ) && text.contains("userPWD=\"\""),
        "{text}"
    );
}
