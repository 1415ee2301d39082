use futures::{StreamExt, stream};
use keyrelay_local_azure::CloudOptions;
use reqwest::Method;
use serde_json::Value;

use super::{ORDERS, RESOURCE_MANAGER, SUBSCRIPTION, Stand};

/// Checks the status and code of a path.
async fn check(path: &str, expected: (u16, &str)) {
    let response = Stand::start().await.get(path).await;
    assert_eq!(
        (response.status, response.code()),
        expected,
        "{path}: {}",
        response.body
    );
}

#[tokio::test]
async fn lists_the_sites_of_a_scope_without_their_slots() {
    let stand = Stand::start().await;
    let all = stand
        .get(&format!(
            "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Web/sites"
        ))
        .await;
    assert_eq!(all.names(), ["legacy", "orders", "reports"]);
    let group =
        format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/SHOP/providers/Microsoft.Web/sites");
    assert_eq!(stand.get(&group).await.names(), ["orders", "reports"]);
}

#[tokio::test]
async fn lists_are_paged() {
    let stand = Stand::start_with(CloudOptions {
        page_size: 2,
        ..CloudOptions::default()
    })
    .await;
    let first = stand
        .get(&format!(
            "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Web/sites"
        ))
        .await;
    assert_eq!(first.names(), ["legacy", "orders"]);
    let token = stand.token(None, RESOURCE_MANAGER).await;
    let next = first.body["nextLink"].as_str().unwrap();
    let second = stand
        .send(stand.http.get(next).bearer_auth(token))
        .await
        .unwrap();
    assert_eq!(
        (second.names(), &second.body["nextLink"]),
        (vec!["reports"], &Value::Null)
    );
}

#[tokio::test]
async fn ids_compare_without_case() {
    let stand = Stand::start().await;
    let response = stand.get(&ORDERS.to_uppercase()).await;
    assert_eq!(
        (response.status, &response.body["id"]),
        (200, &ORDERS.into())
    );
}

#[tokio::test]
async fn a_slot_is_an_app_of_its_own() {
    let stand = Stand::start().await;
    let slots = stand.get(&format!("{ORDERS}/slots")).await;
    assert_eq!(slots.names(), ["orders/staging"]);
    assert_eq!(
        slots.body["value"][0]["id"],
        format!("{ORDERS}/slots/staging")
    );
    assert_eq!(slots.body["value"][0]["type"], "Microsoft.Web/sites/slots");
    let listed = stand
        .manage(
            Method::POST,
            &format!("{ORDERS}/slots/staging/config/appsettings/list"),
            None,
        )
        .await;
    assert_eq!(
        listed.body["properties"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["SQL"]
    );
}

#[tokio::test]
async fn errors_are_as_documented() {
    check(&format!("{ORDERS}/slots/nobody"), (404, "ResourceNotFound")).await;
    check(
        &ORDERS.replace("orders", "nobody"),
        (404, "ResourceNotFound"),
    )
    .await;
    check(
        &ORDERS.replace("shop", "archive"),
        (404, "ResourceNotFound"),
    )
    .await;
    check(
        &ORDERS.replace("shop", "nobody"),
        (404, "ResourceGroupNotFound"),
    )
    .await;
    check(
        &ORDERS.replace("1111", "2222"),
        (404, "SubscriptionNotFound"),
    )
    .await;
    check(&format!("{ORDERS}/colour"), (404, "InvalidResourceType")).await;
    check("/", (404, "InvalidResourceType")).await;
}

#[tokio::test]
async fn checks_the_api_version_first() {
    let stand = Stand::start().await;
    let url = stand.cloud.resource_manager_url().join(ORDERS).unwrap();
    let response = stand.send(stand.http.get(url)).await.unwrap();
    assert_eq!(
        (response.status, response.code()),
        (400, "MissingApiVersionParameter")
    );
}

#[tokio::test]
async fn the_challenge_names_the_authority() {
    let stand = Stand::start().await;
    let url = stand
        .cloud
        .resource_manager_url()
        .join(&format!("{ORDERS}?api-version=2025-05-01"))
        .unwrap();
    let response = stand.send(stand.http.get(url)).await.unwrap();
    assert_eq!(
        (response.status, response.code()),
        (401, "AuthenticationFailed")
    );
    assert!(
        response
            .header("www-authenticate")
            .starts_with("Bearer authorization_uri=")
    );
}

#[tokio::test]
async fn every_response_has_ids_and_the_remaining_limits() {
    let stand = Stand::start().await;
    let read = stand.get(&format!("{ORDERS}/slots/nobody")).await;
    assert!(
        !read.header("x-ms-request-id").is_empty()
            && !read.header("x-ms-correlation-request-id").is_empty()
    );
    assert_eq!(
        read.header("x-ms-ratelimit-remaining-subscription-reads"),
        "250"
    );
    let write = stand
        .manage(
            Method::POST,
            &format!("{ORDERS}/config/appsettings/list"),
            None,
        )
        .await;
    assert_eq!(
        write.header("x-ms-ratelimit-remaining-subscription-writes"),
        "200"
    );
}

#[tokio::test]
async fn enforces_the_limits_on_request() {
    let stand = Stand::start_with(CloudOptions {
        limits_requests: true,
        ..CloudOptions::default()
    })
    .await;
    let token = stand.token(None, RESOURCE_MANAGER).await;
    let url = stand
        .cloud
        .resource_manager_url()
        .join(&format!(
            "{ORDERS}/config/appsettings/list?api-version=2025-05-01"
        ))
        .unwrap();
    // The bucket holds 200 tokens and refills 10 per second during the test.
    let ask = |_| stand.send(stand.http.post(url.clone()).bearer_auth(&token));
    let responses: Vec<_> = stream::iter(0..600)
        .map(ask)
        .buffer_unordered(20)
        .collect()
        .await;
    let rejected = responses
        .iter()
        .map(|it| it.as_ref().unwrap())
        .find(|it| it.status == 429)
        .unwrap();
    assert_eq!(
        (rejected.code(), rejected.header("retry-after")),
        ("SubscriptionRequestsThrottled", "1")
    );
}
