use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrelay_local_azure::{CloudOptions, Service};
use reqwest::Method;
use serde_json::Value;

use super::{KEY_VAULT, ORDERS, RESOURCE_MANAGER, SUBSCRIPTION, Stand};

/// Checks the status of a query.
async fn check(query: &[(&str, &str)], expected: u16) {
    let response = Stand::start()
        .await
        .ask_for_token(Some("orders"), query)
        .await;
    assert_eq!(response.status, expected, "{query:?}: {}", response.body);
}

#[tokio::test]
async fn issues_a_token_as_app_service_does() {
    let stand = Stand::start().await;
    let query = [
        ("resource", RESOURCE_MANAGER),
        ("api-version", "2019-08-01"),
    ];
    let body = stand.ask_for_token(Some("orders"), &query).await.body;
    let expires: u64 = body["expires_on"].as_str().unwrap().parse().unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "the token's end is compared with the real time"
    )]
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!((now + 86_000..now + 87_000).contains(&expires), "{expires}");
    assert_eq!(
        (&body["token_type"], &body["resource"]),
        (&"Bearer".into(), &RESOURCE_MANAGER.into())
    );
    assert!(body["client_id"].is_string());
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let header: Value = serde_json::from_slice(&decoded(parts[0])).unwrap();
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&"JWT".into(), &"RS256".into())
    );
    assert_eq!(decoded(parts[2]).len(), 256);
    serde_json::from_slice(&decoded(parts[1])).unwrap()
}

#[tokio::test]
async fn a_token_has_the_claims_of_a_managed_identity() {
    let stand = Stand::start().await;
    let token = claims(&stand.token(Some("orders/staging"), RESOURCE_MANAGER).await);
    let tenant = "00000000-0000-0000-0000-00000000aaaa";
    let issuer = format!("https://sts.windows.net/{tenant}/");
    let expected = [
        ("aud", RESOURCE_MANAGER),
        ("iss", &issuer),
        ("tid", tenant),
        ("idtyp", "app"),
        ("xms_mirid", &format!("{ORDERS}/slots/staging")),
    ];
    for (claim, value) in expected {
        assert_eq!(token[claim], value, "{claim}");
    }
    let slot = stand.get(&format!("{ORDERS}/slots/staging")).await.body;
    assert_eq!(token["oid"], slot["identity"]["principalId"]);
    assert_eq!(token["sub"], token["oid"]);
    let seconds = |claim: &str| token[claim].as_i64().unwrap();
    assert_eq!(seconds("exp") - seconds("iat"), 24 * 60 * 60);
    assert_eq!(seconds("nbf"), seconds("iat"));
}

#[tokio::test]
async fn a_token_with_changed_claims_is_rejected() {
    let stand = Stand::start().await;
    let token = stand.token(None, RESOURCE_MANAGER).await;
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = rest.split_once('.').unwrap();
    let forged = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode("{}"));
    let path = format!("{ORDERS}?api-version=2025-05-01");
    let url = stand.cloud.resource_manager_url().join(&path).unwrap();
    let request = stand.http.get(url).bearer_auth(forged);
    let response = stand.send(request).await.unwrap();
    assert_eq!(
        (response.status, response.code()),
        (401, "InvalidAuthenticationToken")
    );
}

#[tokio::test]
async fn accepts_both_audiences_with_and_without_a_slash() {
    for resource in [
        "https://management.azure.com",
        "https://management.azure.com/",
        KEY_VAULT,
        "https://vault.azure.net/",
    ] {
        check(
            &[("resource", resource), ("api-version", "2019-08-01")],
            200,
        )
        .await;
    }
}

#[tokio::test]
async fn rejects_unknown_parameters() {
    check(
        &[
            ("resource", "https://example.org"),
            ("api-version", "2019-08-01"),
        ],
        400,
    )
    .await;
    check(&[("api-version", "2019-08-01")], 400).await;
    check(
        &[("resource", KEY_VAULT), ("api-version", "2017-09-01")],
        400,
    )
    .await;
    check(&[("resource", KEY_VAULT)], 400).await;
}

#[tokio::test]
async fn finds_a_user_assigned_identity_by_its_ids() {
    let id = format!(
        "/subscriptions/{SUBSCRIPTION}/resourcegroups/shop/providers/Microsoft.ManagedIdentity\
         /userAssignedIdentities/deployer"
    );
    for (name, value, expected) in [
        ("client_id", "99999999-0000-0000-0000-000000000001", 200),
        ("client_id", "99999999-0000-0000-0000-000000000002", 400),
        ("principal_id", "99999999-0000-0000-0000-000000000001", 400),
        ("mi_res_id", &id, 200),
        ("mi_res_id", "/subscriptions/other", 400),
    ] {
        check(
            &[
                ("resource", KEY_VAULT),
                ("api-version", "2019-08-01"),
                (name, value),
            ],
            expected,
        )
        .await;
    }
}

#[tokio::test]
async fn rejects_a_wrong_header() {
    let stand = Stand::start().await;
    let mut url = stand.cloud.identity_url().clone();
    url.set_query(Some(
        "resource=https://vault.azure.net&api-version=2019-08-01",
    ));
    assert_eq!(
        stand
            .send(stand.http.get(url.clone()))
            .await
            .unwrap()
            .status,
        401
    );
    assert_eq!(
        stand
            .send(stand.http.get(url).header("X-IDENTITY-HEADER", "guess"))
            .await
            .unwrap()
            .status,
        401
    );
}

#[tokio::test]
async fn an_app_without_identity_has_no_endpoint() {
    let stand = Stand::start().await;
    assert_eq!(stand.cloud.environment_of("legacy").unwrap(), []);
    assert_eq!(
        stand.cloud.environment_of("orders/staging").unwrap().len(),
        2
    );
    assert!(stand.cloud.environment_of("nobody").is_err());
}

#[tokio::test]
async fn a_token_is_valid_for_one_audience() {
    let stand = Stand::start().await;
    let token = stand.token(None, KEY_VAULT).await;
    let url = stand
        .cloud
        .resource_manager_url()
        .join(&format!("{ORDERS}?api-version=2025-05-01"))
        .unwrap();
    let response = stand
        .send(stand.http.get(url).bearer_auth(token))
        .await
        .unwrap();
    assert_eq!(
        (response.status, response.code()),
        (401, "InvalidAuthenticationTokenAudience")
    );
}

#[tokio::test]
async fn an_expired_token_is_rejected_by_both_services() {
    let stand = Stand::start_with(CloudOptions {
        token_lifetime: Duration::ZERO,
        ..CloudOptions::default()
    })
    .await;
    let response = stand.get(ORDERS).await;
    assert_eq!(
        (response.status, response.code()),
        (401, "ExpiredAuthenticationToken")
    );
    let response = stand
        .vault(Method::GET, "/secrets/sql-password", None)
        .await;
    assert_eq!((response.status, response.code()), (401, "Unauthorized"));
}

#[tokio::test]
async fn revoked_tokens_are_rejected() {
    let stand = Stand::start().await;
    let token = stand.token(None, RESOURCE_MANAGER).await;
    stand.cloud.revoke_tokens();
    let url = stand
        .cloud
        .resource_manager_url()
        .join(&format!("{ORDERS}?api-version=2025-05-01"))
        .unwrap();
    let response = stand
        .send(stand.http.get(url).bearer_auth(token))
        .await
        .unwrap();
    assert_eq!(
        (response.status, response.code()),
        (401, "InvalidAuthenticationToken")
    );
    let challenge = response.header("www-authenticate");
    assert!(
        challenge.starts_with("Bearer authorization_uri=\"https://login.microsoftonline.com/"),
        "{challenge}"
    );
}

#[tokio::test]
async fn requests_have_a_caller_and_a_status() {
    let stand = Stand::start().await;
    stand
        .vault_as(Some("reports"), Method::GET, "/secrets/sql-password", None)
        .await;
    let requests = stand.cloud.requests();
    let found: Vec<_> = requests
        .iter()
        .map(|it| (it.service, it.caller.as_deref(), it.status))
        .collect();
    assert_eq!(
        found,
        [
            (Service::Identity, Some("reports"), Some(200)),
            (Service::KeyVault, Some("reports"), Some(403)),
        ]
    );
    let last = &requests[1];
    assert_eq!(
        (
            last.method.as_str(),
            last.path.as_str(),
            last.api_version.as_deref()
        ),
        ("GET", "/secrets/sql-password", Some("7.4"))
    );
}
