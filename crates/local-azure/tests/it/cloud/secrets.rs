//! Secrets and their versions in the data plane of Key Vault.

use keyrelay_local_azure::Attributes;
use reqwest::Method;
use serde_json::{Value, json};

use super::{KEY_VAULT, SUBSCRIPTION, Stand, next};

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
async fn expiry_is_published_directly() {
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
async fn next_links_reach_all_versions() {
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
async fn an_update_keeps_omitted_fields() {
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
