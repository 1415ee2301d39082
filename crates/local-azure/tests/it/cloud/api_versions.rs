//! The api-versions of Resource Manager.

use reqwest::Method;

use super::{ORDERS, SUBSCRIPTION, Stand};

#[tokio::test]
async fn each_route_accepts_the_versions_of_microsofts_clients() {
    let stand = Stand::start().await;
    let subscription = format!("/subscriptions/{SUBSCRIPTION}");
    let accepted = [
        ("/tenants".to_owned(), "2022-12-01"),
        ("/subscriptions".to_owned(), "2019-11-01"),
        (subscription.clone(), "2022-09-01"),
        (format!("{subscription}/resourceGroups"), "2024-11-01"),
        (format!("{subscription}/resources"), "2015-11-01"),
        (ORDERS.to_owned(), "2016-08-01"),
        (ORDERS.to_owned(), "2023-12-01"),
        (ORDERS.to_owned(), "2025-03-01"),
        (
            format!("{subscription}/providers/Microsoft.Web/serverfarms"),
            "2016-09-01",
        ),
        (
            format!("{subscription}/providers/Microsoft.Web/sites"),
            "2024-11-01",
        ),
        (
            format!("{ORDERS}/config/configreferences/appsettings"),
            "2019-08-01",
        ),
        (
            format!("{subscription}/providers/Microsoft.EventGrid/systemTopics"),
            "2025-02-15",
        ),
        (
            format!("{ORDERS}/providers/Microsoft.Authorization/permissions"),
            "2022-04-01",
        ),
    ];
    for (path, version) in accepted {
        let response = stand.get_at(version, &path).await;
        assert_eq!(response.status, 200, "{path} {version}: {}", response.body);
    }
}

#[tokio::test]
async fn another_version_of_a_provider_is_rejected_with_the_supported_ones() {
    let stand = Stand::start().await;
    for (path, version) in [
        (ORDERS.to_owned(), "2021-05-05"),
        (ORDERS.to_owned(), "1"),
        (ORDERS.to_owned(), "2025-05-01-preview"),
        (ORDERS.replace("sites/orders", "serverfarms"), "2016-08-01"),
        // References are younger than settings.
        (
            format!("{ORDERS}/config/configreferences/appsettings"),
            "2018-11-01",
        ),
    ] {
        let response = stand.get_at(version, &path).await;
        assert_eq!(
            (response.status, response.code()),
            (400, "NoRegisteredProviderFound"),
            "{path} {version}"
        );
        let message = response.body["error"]["message"].as_str().unwrap();
        assert!(
            message.contains(version) && message.contains("2025-05-01"),
            "{message}"
        );
    }
    let refresh = format!("{ORDERS}/config/configreferences/appsettings/refresh");
    let response = stand.try_manage_at("2021-03-01", Method::POST, &refresh, None);
    assert_eq!(response.await.unwrap().code(), "NoRegisteredProviderFound");
}

#[tokio::test]
async fn another_version_of_resource_manager_is_rejected() {
    let stand = Stand::start().await;
    for path in ["/subscriptions", "/tenants"] {
        let response = stand.get_at("2010-01-01", path).await;
        assert_eq!(
            (response.status, response.code()),
            (400, "InvalidApiVersionParameter"),
            "{path}"
        );
    }
}
