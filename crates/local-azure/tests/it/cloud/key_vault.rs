use keyrelay_local_azure::{Attributes, CloudOptions};
use reqwest::Method;
use serde_json::{Value, json};

use super::{KEY_VAULT, SUBSCRIPTION, Stand, WORLD, next};

/// The status and code that a request to the vault is answered with.
async fn check(method: Method, path: &str, body: Option<Value>, expected: (u16, &str)) {
    let answer = Stand::start().await.vault(method, path, body).await;
    assert_eq!(
        (answer.status, answer.code()),
        expected,
        "{path}: {}",
        answer.body
    );
}

#[tokio::test]
async fn a_new_version_publishes_its_event() {
    let mut stand = Stand::start().await;
    let body = json!({ "value": "second", "attributes": { "nbf": 1_600_000_000, "exp": 2_600_000_000_u32 } });
    let set = stand
        .vault(Method::PUT, "/secrets/SQL-password", Some(body))
        .await;
    let id = set.body["id"].as_str().unwrap();
    let version = id
        .strip_prefix("https://contoso-kv.vault.azure.net/secrets/sql-password/")
        .unwrap();
    let published = next(&mut stand.events).await;
    let topic = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv"
    );
    assert_eq!(published.topic, topic);
    let event = published.event;
    assert_eq!(
        (&event["eventType"], &event["subject"]),
        (
            &"Microsoft.KeyVault.SecretNewVersionCreated".into(),
            &"sql-password".into()
        )
    );
    assert_eq!(
        (
            &event["topic"],
            &event["dataVersion"],
            &event["metadataVersion"]
        ),
        (&topic.as_str().into(), &"1".into(), &"1".into())
    );
    let data = json!({
        "Id": id, "VaultName": "contoso-kv", "ObjectType": "Secret", "ObjectName": "sql-password", "Version": version,
        "NBF": 1_600_000_000, "EXP": 2_600_000_000_u32,
    });
    assert_eq!(event["data"], data);
}

#[tokio::test]
async fn expiry_is_published_by_hand() {
    let mut stand = Stand::start().await;
    stand
        .cloud
        .publish_near_expiry("contoso-kv", "sql-password")
        .unwrap();
    stand
        .cloud
        .publish_expired("contoso-kv", "sql-password")
        .unwrap();
    for expected in [
        "Microsoft.KeyVault.SecretNearExpiry",
        "Microsoft.KeyVault.SecretExpired",
    ] {
        let event = next(&mut stand.events).await.event;
        assert_eq!(event["eventType"], expected);
        assert_eq!(
            event["data"]["Version"],
            stand
                .cloud
                .newest_version("contoso-kv", "sql-password")
                .unwrap()
        );
        assert_eq!(event["data"]["NBF"], Value::Null);
    }
}

#[tokio::test]
async fn a_list_of_versions_has_no_values() {
    let stand = Stand::start().await;
    let second = stand
        .cloud
        .set_secret("contoso-kv", "sql-password", "second")
        .unwrap();
    let listed = stand
        .vault(Method::GET, "/secrets/sql-password/versions", None)
        .await
        .body;
    let versions = listed["value"].as_array().unwrap();
    assert_eq!(versions.len(), 2);
    assert!(
        versions
            .iter()
            .any(|it| it["id"].as_str().unwrap().ends_with(&second))
    );
    assert!(!listed.to_string().contains("second"));
    assert_eq!(listed["nextLink"], Value::Null);
}

#[tokio::test]
async fn next_links_lead_through_all_versions() {
    let stand = Stand::start().await;
    for _ in 0..4 {
        stand
            .cloud
            .set_secret("contoso-kv", "sql-password", "x")
            .unwrap();
    }
    let token = stand.token(None, KEY_VAULT).await;
    let mut next = Some(format!(
        "{}secrets/sql-password/versions?api-version=7.4&maxresults=2",
        stand.cloud.key_vault_url()
    ));
    let (mut pages, mut ids) = (0, std::collections::BTreeSet::new());
    while let Some(url) = next {
        let page = stand
            .send(stand.http.get(&url).bearer_auth(&token))
            .await
            .unwrap()
            .body;
        ids.extend(
            page["value"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["id"].to_string()),
        );
        next = page["nextLink"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert_eq!((pages, ids.len()), (3, 5));
}

#[tokio::test]
async fn a_link_is_https_if_something_before_us_speaks_tls() {
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
    let answer = stand
        .send(stand.http.get(url).bearer_auth(token).header("host", host))
        .await
        .unwrap();
    let id = answer.body["id"].as_str().unwrap();
    assert!(
        id.starts_with("https://contoso-kv.vault.usgovcloudapi.net/secrets/sql-password/"),
        "{id}"
    );
    let query = [("resource", KEY_VAULT), ("api-version", "2019-08-01")];
    assert_eq!(stand.ask_for_token(None, &query).await.status, 400);
}

#[tokio::test]
async fn answers_errors_as_documented() {
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
async fn an_unknown_secret_has_no_versions() {
    let listed = Stand::start()
        .await
        .vault(Method::GET, "/secrets/nobody/versions", None)
        .await;
    assert_eq!(
        (listed.status, listed.body),
        (200, json!({ "value": [], "nextLink": null }))
    );
}

#[tokio::test]
async fn needs_an_api_version() {
    let stand = Stand::start().await;
    let token = stand.token(None, KEY_VAULT).await;
    for (query, expected) in [
        ("", 400),
        ("?api-version=6.9", 400),
        ("?api-version=7.0", 200),
        ("?api-version=2025-07-01", 200),
    ] {
        let url = stand
            .cloud
            .key_vault_url()
            .join(&format!("secrets{query}"))
            .unwrap();
        let answer = stand
            .send(stand.http.get(url).bearer_auth(&token))
            .await
            .unwrap();
        assert_eq!(answer.status, expected, "{query}");
    }
}

#[tokio::test]
async fn a_disabled_version_is_listed_but_not_read() {
    let stand = Stand::start().await;
    let version = stand
        .cloud
        .newest_version("contoso-kv", "sql-password")
        .unwrap();
    let path = format!("/secrets/sql-password/{version}");
    let patched = stand
        .vault(
            Method::PATCH,
            &path,
            Some(json!({ "attributes": { "enabled": false } })),
        )
        .await;
    assert_eq!(
        (patched.status, &patched.body["attributes"]["enabled"]),
        (200, &false.into())
    );
    let read = stand
        .vault(Method::GET, "/secrets/sql-password", None)
        .await;
    assert_eq!((read.status, read.code()), (403, "Forbidden"));
    assert_eq!(read.body["error"]["innererror"]["code"], "SecretDisabled");
    let listed = stand
        .vault(Method::GET, "/secrets/sql-password/versions", None)
        .await;
    assert_eq!(listed.body["value"][0]["attributes"]["enabled"], false);
}

#[tokio::test]
async fn an_update_leaves_what_it_does_not_name() {
    let stand = Stand::start().await;
    let not_before = "2030-01-01T00:00:00Z".parse().ok();
    let version = stand
        .cloud
        .newest_version("contoso-kv", "sql-password")
        .unwrap();
    let attributes = Attributes {
        not_before,
        ..Attributes::default()
    };
    stand
        .cloud
        .set_attributes("contoso-kv", "sql-password", &version, attributes)
        .unwrap();
    let path = format!("/secrets/sql-password/{version}");
    let body = stand
        .vault(
            Method::PATCH,
            &path,
            Some(json!({ "attributes": { "exp": 1_999_999_999 } })),
        )
        .await
        .body;
    assert_eq!(
        (&body["attributes"]["nbf"], &body["attributes"]["exp"]),
        (&1_893_456_000.into(), &1_999_999_999.into())
    );
    assert_eq!(body["attributes"]["enabled"], true);
}

#[tokio::test]
async fn a_denied_identity_reads_nothing() {
    let stand = Stand::start().await;
    let answer = stand
        .vault_as(Some("reports"), Method::GET, "/secrets", None)
        .await;
    assert_eq!(
        (answer.status, &answer.body["error"]["innererror"]["code"]),
        (403, &"ForbiddenByRbac".into())
    );
}

#[tokio::test]
async fn says_where_to_get_a_token() {
    let stand = Stand::start().await;
    let url = stand
        .cloud
        .key_vault_url()
        .join("secrets?api-version=7.4")
        .unwrap();
    let answer = stand.send(stand.http.get(url)).await.unwrap();
    assert_eq!((answer.status, answer.code()), (401, "Unauthorized"));
    let challenge = answer.header("www-authenticate");
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

#[tokio::test]
async fn a_deleted_secret_can_be_recovered_until_it_is_purged() {
    let stand = Stand::start().await;
    let deleted = stand
        .vault(Method::DELETE, "/secrets/sql-password", None)
        .await
        .body;
    assert_eq!(
        deleted["recoveryId"],
        "https://contoso-kv.vault.azure.net/deletedsecrets/sql-password"
    );
    assert_eq!(
        stand
            .vault(Method::GET, "/secrets/sql-password", None)
            .await
            .status,
        404
    );
    assert_eq!(
        stand
            .vault(Method::GET, "/deletedsecrets/sql-password", None)
            .await
            .status,
        200
    );
    assert_eq!(
        stand
            .vault(Method::POST, "/deletedsecrets/sql-password/recover", None)
            .await
            .status,
        200
    );
    assert_eq!(
        stand
            .vault(Method::GET, "/secrets/sql-password", None)
            .await
            .status,
        200
    );
    stand
        .vault(Method::DELETE, "/secrets/sql-password", None)
        .await;
    assert_eq!(
        stand
            .vault(Method::DELETE, "/deletedsecrets/sql-password", None)
            .await
            .status,
        204
    );
    assert_eq!(
        stand
            .vault(Method::GET, "/deletedsecrets/sql-password", None)
            .await
            .status,
        404
    );
}
