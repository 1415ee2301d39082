//! Vaults with access policies, and vaults of other subscriptions.

use keyrelay_local_azure::World;
use reqwest::Method;
use serde_json::json;

use super::{RESOURCE_MANAGER, SUBSCRIPTION, Stand, WORLD, ideal};

const OTHER: &str = "99999999-2222-3333-4444-555555555555";

/// The world whose vault has access policies, one of them with these permissions for `reports`.
fn world(permissions: &str) -> String {
    let policies = format!(
        "access_policies = true\nsecrets = {{ sql-password = \"first\" }}\n\
         [[vault.access_policy]]\nidentity = \"reports\"\nsecrets = [{permissions}]\n"
    );
    let denying = "denies = [\"reports\"]\n    secrets = { sql-password = \"first\" }\n";
    WORLD.replace(denying, &policies)
}

/// Checks the statuses of a list of versions and of a read of the value, as `reports` or as `orders`.
async fn check(permissions: &str, app: &str, expected: (u16, u16)) {
    let stand = Stand::start_in(&world(permissions), ideal()).await;
    let get = |path| stand.vault_as(Some(app), Method::GET, path, None);
    let listed = get("/secrets/sql-password/versions").await;
    let read = get("/secrets/sql-password").await;
    assert_eq!(
        (listed.status, read.status),
        expected,
        "{permissions} {app}"
    );
    for refused in [listed, read].iter().filter(|it| it.status == 403) {
        let inner = &refused.body["error"]["innererror"]["code"];
        assert_eq!(inner, "ForbiddenByPolicy");
    }
}

#[tokio::test]
async fn only_a_policy_with_the_permission_allows_an_operation() {
    check("\"List\"", "reports", (200, 403)).await;
    check("\"get\"", "reports", (403, 200)).await;
    check("\"all\"", "reports", (200, 200)).await;
    check("", "reports", (403, 403)).await;
    check("\"all\"", "orders", (403, 403)).await;
}

#[tokio::test]
async fn the_list_of_vaults_tells_what_decides() {
    let roles = Stand::start().await;
    let path = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.KeyVault/vaults");
    let listed = roles.get_at("2023-07-01", &path).await.body;
    let properties = &listed["value"][0]["properties"];
    assert_eq!(listed["value"][0]["name"], "contoso-kv");
    assert_eq!(properties["enableRbacAuthorization"], true);
    assert_eq!(properties["accessPolicies"], json!([]));

    let policies = Stand::start_in(&world("\"List\""), ideal()).await;
    let listed = policies.get_at("2023-07-01", &path).await.body;
    let properties = &listed["value"][0]["properties"];
    assert_eq!(properties["enableRbacAuthorization"], false);
    let policy = &properties["accessPolicies"][0];
    assert_eq!(policy["permissions"]["secrets"], json!(["List"]));
    let token = policies.token(Some("reports"), RESOURCE_MANAGER).await;
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64_text(claims);
    let object_id = policy["objectId"].as_str().unwrap();
    assert!(claims.contains(object_id), "{object_id}: {claims}");
}

/// Decodes unpadded base64url, of which a token consists.
fn base64_text(text: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = text.chars().map(|digit| alphabet.find(digit).unwrap());
    let digits: Vec<usize> = digits.collect();
    let bytes = digits.chunks(4).flat_map(|chunk| {
        let bits = chunk.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - chunk.len()));
        let bytes = [bits >> 16, bits >> 8, bits].map(|byte| u8::try_from(byte & 0xff).unwrap());
        bytes.into_iter().take(chunk.len() - 1).collect::<Vec<u8>>()
    });
    String::from_utf8(bytes.collect()).unwrap()
}

#[tokio::test]
async fn a_vault_of_another_subscription_is_listed_there() {
    let world = WORLD.replacen(
        "resource_group = \"shop\"",
        &format!("resource_group = \"shop\"\nsubscription = \"{OTHER}\""),
        1,
    );
    let stand = Stand::start_in(&world, ideal()).await;
    let vaults = async |subscription: &str| {
        let path = format!("/subscriptions/{subscription}/providers/Microsoft.KeyVault/vaults");
        stand.get_at("2023-07-01", &path).await
    };
    assert_eq!(vaults(OTHER).await.names(), ["contoso-kv"]);
    assert_eq!(vaults(SUBSCRIPTION).await.names(), [""; 0]);
    let subscriptions = stand.get_at("2022-12-01", "/subscriptions").await.body;
    let ids = subscriptions["value"].as_array().unwrap().iter();
    let ids: Vec<&str> = ids
        .map(|it| it["subscriptionId"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [SUBSCRIPTION, OTHER]);
    let sites = format!("/subscriptions/{OTHER}/providers/Microsoft.Web/sites");
    assert_eq!(stand.get(&sites).await.code(), "SubscriptionNotFound");
}

#[test]
fn policies_without_access_policies_or_an_identity_are_a_contradiction() {
    let check = |world: &str, expected: &str| {
        let error = World::parse(world).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let world = world("\"List\"");
    check(
        &world.replace("access_policies = true", ""),
        "`access_policies` is false",
    );
    check(
        &world.replace("identity = \"reports\"", "identity = \"nobody\""),
        "an access policy for `nobody`",
    );
}
