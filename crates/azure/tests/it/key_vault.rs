use keyrelay_azure::{Failure, SecretVersionInfo};
use keyrelay_model::{SecretName, VaultHost, error_chain};
use serde_json::json;

use crate::fake::{Fake, call, respond};

fn vault() -> VaultHost {
    "contoso-kv.vault.azure.net".parse().unwrap()
}

fn secret() -> SecretName {
    "Sql-Password".parse().unwrap()
}

#[tokio::test]
async fn all_pages_of_versions_are_read() {
    let row = |version: &str, attributes| json!({ "id": format!("https://contoso-kv.vault.azure.net/secrets/sql/{version}"), "attributes": attributes });
    let first = json!([
        row(
            "aaa1",
            json!({ "enabled": true, "created": 10, "updated": 11, "nbf": 12, "exp": 13, "recoveryLevel": "Purgeable" })
        ),
        row(
            "aaa2",
            json!({ "enabled": false, "created": 20, "nbf": null })
        ),
    ]);
    let fake = Fake::start([
        respond(200, json!({ "value": first, "nextLink": "{origin}/vaults/contoso-kv/next?$skiptoken=a" })),
        respond(200, json!({ "value": [row("aaa3", json!(null)), { "id": "https://x/secrets/sql/no version" }, {}], "nextLink": null })),
    ])
    .await;
    let versions = fake
        .key_vault()
        .versions(&vault(), &secret(), &call())
        .await
        .unwrap();
    let version = |version: &str, enabled, created, not_before, expires| SecretVersionInfo {
        version: version.parse().unwrap(),
        enabled,
        created,
        not_before,
        expires,
    };
    let expected = [
        version("aaa1", true, Some(10), Some(12), Some(13)),
        version("aaa2", false, Some(20), None, None),
        version("aaa3", true, None, None, None),
    ];
    assert_eq!(versions, expected);
    let line = "GET /vaults/contoso-kv/secrets/Sql-Password/versions?api-version=7.4&maxresults=25";
    assert_eq!(
        fake.lines(),
        [line, "GET /vaults/contoso-kv/next?$skiptoken=a"]
    );
}

#[tokio::test]
async fn a_vault_of_another_cloud_gets_no_token() {
    let fake = Fake::start([]).await;
    for host in [
        "contoso-kv.vault.azure.cn",
        "contoso-kv.example.org",
        "a.b.vault.azure.net",
    ] {
        let error = fake
            .key_vault()
            .versions(&host.parse().unwrap(), &secret(), &call())
            .await
            .unwrap_err();
        assert!(
            matches!(error.failure, Failure::ForeignVault { .. }),
            "{error:?}"
        );
    }
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn an_authorization_failure_names_the_operation_and_its_subject() {
    let body = json!({ "error": { "code": "Forbidden", "message": "Caller is not authorized.",
        "innererror": { "code": "ForbiddenByRbac" } } });
    let fake = Fake::start([respond(403, body)]).await;
    let error = fake
        .key_vault()
        .versions(&vault(), &secret(), &call())
        .await
        .unwrap_err();
    assert_eq!(
        error_chain(&error),
        "could not list the versions of Sql-Password in contoso-kv.vault.azure.net: \
         Azure responded with 403 Forbidden (ForbiddenByRbac): Caller is not authorized."
    );
    assert!(error.may_be_role_propagation());
}
