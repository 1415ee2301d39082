//! The subscription, its resource groups, resources and providers.

use keyrelay_local_azure::CloudOptions;
use serde_json::Value;

use super::{RESOURCE_MANAGER, SUBSCRIPTION, Stand, ideal};

const TENANT: &str = "00000000-0000-0000-0000-00000000aaaa";

#[tokio::test]
async fn a_login_finds_the_tenant_and_its_subscription() {
    let stand = Stand::start().await;
    let tenants = stand.get_at("2022-12-01", "/tenants").await.body;
    assert_eq!(tenants["value"][0]["tenantId"], TENANT);
    let listed = stand.get_at("2022-12-01", "/subscriptions").await.body;
    let path = format!("/subscriptions/{SUBSCRIPTION}");
    let one = stand.get_at("2022-12-01", &path).await.body;
    assert_eq!(listed["value"][0], one);
    assert_eq!(
        (&one["id"], &one["subscriptionId"], &one["tenantId"]),
        (&path.into(), &SUBSCRIPTION.into(), &TENANT.into())
    );
    assert_eq!(one["state"], "Enabled");
}

#[tokio::test]
async fn the_endpoints_of_the_cloud_need_no_token() {
    let stand = Stand::start().await;
    for (version, expected) in [
        ("2019-05-01", 200),
        ("2022-09-01", 200),
        ("2010-01-01", 400),
        ("", 400),
    ] {
        let url = stand
            .cloud
            .resource_manager_url()
            .join(&format!("/metadata/endpoints?api-version={version}"))
            .unwrap();
        let response = stand.send(stand.http.get(url)).await.unwrap();
        assert_eq!(response.status, expected, "{version}: {}", response.body);
        if expected == 200 {
            // The version of 2022 responds with one cloud, the earlier ones with a list.
            let cloud = match &response.body {
                Value::Array(clouds) if version == "2019-05-01" => &clouds[0],
                cloud => cloud,
            };
            assert_eq!(cloud["name"], "AzureCloud");
            assert_eq!(
                cloud["resourceManager"],
                stand.cloud.resource_manager_url().as_str()
            );
            assert_eq!(cloud["suffixes"]["keyVaultDns"], "vault.azure.net");
        }
    }
}

#[tokio::test]
async fn another_subscription_is_not_found() {
    let stand = Stand::start().await;
    let path = format!("/subscriptions/{}", SUBSCRIPTION.replace('1', "2"));
    let response = stand.get_at("2022-12-01", &path).await;
    assert_eq!(
        (response.status, response.code()),
        (404, "SubscriptionNotFound")
    );
}

#[tokio::test]
async fn a_tenant_is_listed_only_to_a_caller_with_a_token() {
    let stand = Stand::start().await;
    let url = stand
        .cloud
        .resource_manager_url()
        .join("/tenants?api-version=2022-12-01")
        .unwrap();
    let response = stand.send(stand.http.get(url)).await.unwrap();
    assert_eq!(response.status, 401);
}

#[tokio::test]
async fn resource_groups_are_listed_once() {
    let stand = Stand::start().await;
    let path = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups");
    let groups = stand.get_at("2024-11-01", &path).await;
    assert_eq!(groups.names(), ["archive", "shop"]);
    let one = stand.get_at("2024-11-01", &format!("{path}/SHOP")).await;
    assert_eq!(one.body, groups.body["value"][1]);
    let missing = stand.get_at("2024-11-01", &format!("{path}/nobody")).await;
    assert_eq!(
        (missing.status, missing.code()),
        (404, "ResourceGroupNotFound")
    );
}

/// The names of the resources that match a filter.
async fn resources(scope: &str, filter: &str) -> Vec<String> {
    let stand = Stand::start().await;
    let path = format!("/subscriptions/{SUBSCRIPTION}{scope}/resources?$filter={filter}");
    let response = stand.get_at("2024-11-01", &path).await;
    assert_eq!(response.status, 200, "{}", response.body);
    response.names().into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn resources_are_filtered() {
    assert_eq!(
        resources("", "resourceType eq 'Microsoft.Web/sites'").await,
        ["legacy", "orders", "reports"]
    );
    assert_eq!(
        resources(
            "",
            "name eq 'ORDERS' and resourceType eq 'microsoft.web/Sites'"
        )
        .await,
        ["orders"]
    );
    assert_eq!(
        resources("", "resourceGroup eq 'archive'").await,
        ["local-ep1", "legacy"]
    );
    assert_eq!(
        resources(
            "/resourceGroups/shop",
            "resourceType eq 'Microsoft.Web/sites/slots'"
        )
        .await,
        ["orders/staging"]
    );
    assert_eq!(
        resources("", "resourceType eq 'Microsoft.KeyVault/vaults'").await,
        ["contoso-kv"]
    );
    assert_eq!(
        resources("", "resourceType eq 'Microsoft.Web/serverfarms'").await,
        ["local-ep1", "local-ep1"]
    );
}

#[tokio::test]
async fn resources_of_all_types_are_paged() {
    let options = CloudOptions {
        page_size: 4,
        ..ideal()
    };
    let stand = Stand::start_with(options).await;
    let path = format!("/subscriptions/{SUBSCRIPTION}/resources");
    let first = stand.get_at("2024-11-01", &path).await;
    let next = first.body["nextLink"].as_str().unwrap();
    let token = stand.token(None, RESOURCE_MANAGER).await;
    let second = stand.send(stand.http.get(next).bearer_auth(token));
    let second = second.await.unwrap();
    assert_eq!((first.names().len(), second.names().len()), (4, 3));
}

#[tokio::test]
async fn an_unknown_filter_is_rejected() {
    let stand = Stand::start().await;
    let path = format!("/subscriptions/{SUBSCRIPTION}/resources?$filter=colour eq 'red'");
    let response = stand.get_at("2024-11-01", &path).await;
    assert_eq!(
        (response.status, response.code()),
        (400, "InvalidFilterInQueryString")
    );
}

#[tokio::test]
async fn a_provider_has_its_types_with_the_newest_version_first() {
    let stand = Stand::start().await;
    let path = format!("/subscriptions/{SUBSCRIPTION}/providers/microsoft.WEB");
    let provider = stand.get_at("2024-11-01", &path).await.body;
    assert_eq!(provider["namespace"], "Microsoft.Web");
    assert_eq!(provider["registrationState"], "Registered");
    let sites = &provider["resourceTypes"][0];
    assert_eq!(
        (&sites["resourceType"], &sites["apiVersions"][0]),
        (&"sites".into(), &"2025-05-01".into())
    );
    let missing = stand.get_at("2024-11-01", &format!("{path}x")).await;
    assert_eq!(
        (missing.status, missing.code()),
        (404, "InvalidResourceNamespace")
    );
}
