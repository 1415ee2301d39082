use reqwest::Method;
use serde_json::json;

use super::{KEY_VAULT, ORDERS, Stand, TestResponse, next};

async fn local(
    stand: &Stand,
    method: Method,
    path: &str,
    body: impl Into<reqwest::Body>,
) -> TestResponse {
    let url = stand.cloud.resource_manager_url().join(path).unwrap();
    stand
        .send(stand.http.request(method, url).body(body))
        .await
        .unwrap()
}

#[tokio::test]
async fn faults_are_switched_over_http() {
    let stand = Stand::start().await;
    let fault = json!({
        "service": "resource-manager", "method": "GET", "path": "/sites/", "times": 3,
        "effect": { "kind": "status", "status": 503, "code": "Down" },
    });
    assert_eq!(
        local(&stand, Method::POST, "/local/faults", fault.to_string())
            .await
            .status,
        204
    );
    assert_eq!(stand.get(ORDERS).await.code(), "Down");
    let listed = local(&stand, Method::GET, "/local/faults", "").await.body;
    assert_eq!(
        (&listed[0]["times"], &listed[0]["effect"]["kind"]),
        (&2.into(), &"status".into())
    );
    assert_eq!(
        local(&stand, Method::DELETE, "/local/faults", "")
            .await
            .status,
        204
    );
    assert_eq!(stand.get(ORDERS).await.status, 200);
}

#[tokio::test]
async fn an_invalid_fault_is_rejected() {
    let stand = Stand::start().await;
    for body in [
        "",
        "{}",
        r#"{"service":"key-vault","effect":{"kind":"hang"},"colour":"red"}"#,
    ] {
        assert_eq!(
            local(&stand, Method::POST, "/local/faults", body)
                .await
                .status,
            400,
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_secret_is_set_by_one_request() {
    let mut stand = Stand::start().await;
    let set = local(
        &stand,
        Method::PUT,
        "/local/vaults/contoso-kv/secrets/sql-password",
        "second",
    )
    .await;
    let version = set.body["version"].as_str().unwrap();
    assert_eq!(
        version,
        stand
            .cloud
            .newest_version("contoso-kv", "sql-password")
            .unwrap()
    );
    assert_eq!(
        next(&mut stand.events).await.event["data"]["Version"],
        version
    );
    let nobody = local(
        &stand,
        Method::PUT,
        "/local/vaults/nobody/secrets/sql-password",
        "second",
    )
    .await;
    assert_eq!(nobody.status, 404);
}

#[tokio::test]
async fn a_version_can_have_the_id_of_a_recorded_event() {
    let mut stand = Stand::start().await;
    let secret = "/local/vaults/contoso-kv/secrets/sql-password";
    let id = "0123456789abcdef0123456789abcdef";
    let path = format!("{secret}?version={}", id.to_uppercase());
    let set = local(&stand, Method::PUT, &path, "second").await;
    assert_eq!((set.status, &set.body["version"]), (200, &id.into()));
    let event = next(&mut stand.events).await.event;
    assert_eq!(event["data"]["Version"], id);
    let path = format!("/secrets/sql-password/{id}");
    let read = stand.vault(Method::GET, &path, None).await;
    assert_eq!(read.body["value"], "second");
    for bad in [id, "", "0123", "g123456789abcdef0123456789abcdef"] {
        let path = format!("{secret}?version={bad}");
        let set = local(&stand, Method::PUT, &path, "third").await;
        assert_eq!((set.status, set.code()), (400, "Local"), "{bad}");
    }
    let newest = stand.cloud.newest_version("contoso-kv", "sql-password");
    assert_eq!(newest.unwrap(), id);
}

#[tokio::test]
async fn an_oversized_value_is_rejected() {
    let stand = Stand::start().await;
    let path = "/local/vaults/contoso-kv/secrets/sql-password";
    let set = local(&stand, Method::PUT, path, "x".repeat(25_601)).await;
    assert_eq!(set.status, 400, "{}", set.body);
}

#[tokio::test]
async fn expiry_is_published_by_one_request() {
    let mut stand = Stand::start().await;
    local(
        &stand,
        Method::POST,
        "/local/vaults/contoso-kv/secrets/sql-password/near-expiry",
        "",
    )
    .await;
    assert_eq!(
        next(&mut stand.events).await.event["eventType"],
        "Microsoft.KeyVault.SecretNearExpiry"
    );
}

#[tokio::test]
async fn tokens_are_revoked_by_one_request() {
    let stand = Stand::start().await;
    let token = stand.token(None, KEY_VAULT).await;
    assert_eq!(
        local(&stand, Method::DELETE, "/local/tokens", "")
            .await
            .status,
        204
    );
    let url = stand
        .cloud
        .key_vault_url()
        .join("secrets?api-version=7.4")
        .unwrap();
    assert_eq!(
        stand
            .send(stand.http.get(url).bearer_auth(token))
            .await
            .unwrap()
            .status,
        401
    );
}

#[tokio::test]
async fn listing_requests_records_no_request() {
    let stand = Stand::start().await;
    stand.get(ORDERS).await;
    let shown = local(&stand, Method::GET, "/local/requests", "").await.body;
    let services: Vec<_> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["service"].as_str().unwrap())
        .collect();
    assert_eq!(services, ["identity", "resource-manager"]);
}
