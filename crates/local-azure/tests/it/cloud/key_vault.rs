//! The data plane of Key Vault: vaults, tokens, errors.

use std::collections::BTreeMap;

use keyrelay_local_azure::CloudOptions;
use reqwest::Method;
use serde_json::{Value, json};

use super::{KEY_VAULT, Stand, WORLD};

/// Checks the status and code of a request to the vault.
async fn check(method: Method, path: &str, body: Option<Value>, expected: (u16, &str)) {
    let response = Stand::start().await.vault(method, path, body).await;
    assert_eq!(
        (response.status, response.code()),
        expected,
        "{path}: {}",
        response.body
    );
}

#[tokio::test]
async fn a_link_is_https_behind_a_tls_proxy() {
    let stand = Stand::start().await;
    stand
        .cloud
        .set_secret("contoso-kv", "another", "x")
        .unwrap();
    let url = stand
        .cloud
        .key_vault_url()
        .join("secrets?api-version=7.4&maxresults=1")
        .unwrap();
    let request = stand
        .http
        .get(url)
        .bearer_auth(stand.token(None, KEY_VAULT).await);
    let page = stand
        .send(
            request
                .header("X-Forwarded-Proto", "https")
                .header("Host", "127.0.0.1:1"),
        )
        .await
        .unwrap();
    let link = page.body["nextLink"].as_str().unwrap();
    assert!(
        link.starts_with("https://127.0.0.1:1/secrets?api-version=7.4&maxresults=1&"),
        "{link}"
    );
}

#[tokio::test]
async fn other_clouds_have_other_hosts_and_audiences() {
    let stand = Stand::start_in(
        &format!("cloud = \"usgov\"\n{WORLD}"),
        CloudOptions::default(),
    )
    .await;
    let token = stand.token(None, "https://vault.usgovcloudapi.net").await;
    let url = stand
        .cloud
        .key_vault_url()
        .join("secrets/sql-password?api-version=7.4")
        .unwrap();
    let host = "contoso-kv.vault.usgovcloudapi.net";
    let response = stand
        .send(stand.http.get(url).bearer_auth(token).header("host", host))
        .await
        .unwrap();
    let id = response.body["id"].as_str().unwrap();
    assert!(
        id.starts_with("https://contoso-kv.vault.usgovcloudapi.net/secrets/sql-password/"),
        "{id}"
    );
    let query = [("resource", KEY_VAULT), ("api-version", "2019-08-01")];
    assert_eq!(stand.ask_for_token(None, &query).await.status, 400);
}

#[tokio::test]
async fn errors_are_as_documented() {
    check(
        Method::GET,
        "/secrets/nobody",
        None,
        (404, "SecretNotFound"),
    )
    .await;
    check(
        Method::GET,
        "/secrets/sql-password/00000000000000000000000000000000",
        None,
        (404, "SecretNotFound"),
    )
    .await;
    check(
        Method::PUT,
        "/secrets/not_a_name",
        Some(json!({ "value": "x" })),
        (400, "BadParameter"),
    )
    .await;
    check(
        Method::PUT,
        "/secrets/name",
        Some(json!({})),
        (400, "BadParameter"),
    )
    .await;
    check(
        Method::GET,
        "/secrets?maxresults=26",
        None,
        (400, "BadParameter"),
    )
    .await;
    check(
        Method::GET,
        "/secrets?maxresults=0",
        None,
        (400, "BadParameter"),
    )
    .await;
    check(
        Method::GET,
        "/vaults/nobody/secrets",
        None,
        (404, "VaultNotFound"),
    )
    .await;
}

#[tokio::test]
async fn requires_an_api_version() {
    let stand = Stand::start().await;
    let token = stand.token(None, KEY_VAULT).await;
    for (query, expected) in [
        ("", 400),
        ("?api-version=6.9", 400),
        ("?api-version=7.7", 400),
        ("?api-version=2025-07-02", 400),
        ("?api-version=7.0", 200),
        ("?api-version=7.6", 200),
        ("?api-version=2025-07-01", 200),
        ("?api-version=2026-04-01", 200),
    ] {
        let url = stand
            .cloud
            .key_vault_url()
            .join(&format!("secrets{query}"))
            .unwrap();
        let response = stand
            .send(stand.http.get(url).bearer_auth(&token))
            .await
            .unwrap();
        assert_eq!(response.status, expected, "{query}");
    }
}

#[tokio::test]
async fn a_denied_identity_reads_nothing() {
    let stand = Stand::start().await;
    let response = stand
        .vault_as(Some("reports"), Method::GET, "/secrets", None)
        .await;
    assert_eq!(
        (
            response.status,
            &response.body["error"]["innererror"]["code"]
        ),
        (403, &"ForbiddenByRbac".into())
    );
}

#[tokio::test]
async fn the_challenge_names_the_authority() {
    let stand = Stand::start().await;
    let url = stand
        .cloud
        .key_vault_url()
        .join("secrets?api-version=7.4")
        .unwrap();
    let response = stand.send(stand.http.get(url)).await.unwrap();
    assert_eq!((response.status, response.code()), (401, "Unauthorized"));
    let challenge = response.header("www-authenticate");
    assert!(
        challenge.starts_with("Bearer authorization=\"https://login.microsoftonline.com/"),
        "{challenge}"
    );
    assert!(
        challenge.ends_with("resource=\"https://vault.azure.net\""),
        "{challenge}"
    );
}

#[tokio::test]
async fn finds_the_vault_by_host_or_path() {
    let second = "[[vault]]\nname = \"second\"\nresource_group = \"shop\"\nsecrets = { only-here = \"x\" }\n";
    let stand = Stand::start_in(&format!("{WORLD}{second}"), CloudOptions::default()).await;
    let token = stand.token(None, KEY_VAULT).await;
    for (host, path, expected) in [
        ("second.vault.azure.net", "secrets/only-here", 200),
        ("SECOND.localhost:1234", "secrets/only-here", 200),
        ("contoso-kv.vault.azure.net", "secrets/only-here", 404),
        ("127.0.0.1", "vaults/second/secrets/only-here", 200),
        ("127.0.0.1", "secrets/only-here", 404),
    ] {
        let url = stand
            .cloud
            .key_vault_url()
            .join(&format!("{path}?api-version=7.4"))
            .unwrap();
        let request = stand.http.get(url).bearer_auth(&token).header("host", host);
        assert_eq!(
            stand.send(request).await.unwrap().status,
            expected,
            "{host} {path}"
        );
    }
}

/// The body of a secret with a value of this size and this number of tags.
fn sized(bytes: usize, tags: usize) -> Value {
    let tags: BTreeMap<String, &str> = (0..tags).map(|it| (it.to_string(), "x")).collect();
    json!({ "value": "x".repeat(bytes), "tags": tags })
}

#[tokio::test]
async fn values_and_tags_have_limits() {
    let stand = Stand::start().await;
    for (body, expected) in [
        (sized(25_600, 15), 200),
        (sized(25_601, 0), 400),
        (sized(1, 16), 400),
        // The limit is in bytes, not in characters.
        (json!({ "value": "é".repeat(12_801) }), 400),
    ] {
        let set = stand.vault(Method::PUT, "/secrets/large", Some(body)).await;
        assert_eq!(set.status, expected, "{}", set.body);
        if expected == 400 {
            assert_eq!(set.code(), "BadParameter");
        }
    }
    let tags = sized(0, 16)["tags"].take();
    let body = json!({ "tags": tags });
    let changed = stand.vault(Method::PATCH, "/secrets/large", Some(body));
    let changed = changed.await;
    assert_eq!((changed.status, changed.code()), (400, "BadParameter"));
    let versions = stand.vault(Method::GET, "/secrets/large/versions", None);
    assert_eq!(versions.await.body["value"].as_array().unwrap().len(), 1);
}
