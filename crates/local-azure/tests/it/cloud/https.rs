//! Https on the same ports, for client libraries that reject plain http.

use reqwest::{Certificate, Client, Url};
use serde_json::Value;

use super::Stand;

fn https(url: &Url) -> Url {
    format!("https{}", url.as_str().strip_prefix("http").unwrap())
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_gets_its_response() {
    let stand = Stand::start().await;
    let certificate = Certificate::from_pem(stand.cloud.certificate().as_bytes()).unwrap();
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([certificate])
        .build()
        .unwrap();
    let url = https(stand.cloud.resource_manager_url())
        .join("local/requests")
        .unwrap();
    let response: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    assert!(response.is_array(), "{response}");
}

#[tokio::test]
async fn a_client_that_does_not_trust_it_does_not_connect() {
    let stand = Stand::start().await;
    let error = stand
        .http
        .get(https(stand.cloud.key_vault_url()))
        .send()
        .await
        .unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    // The listener still accepts connections.
    assert_eq!(
        stand
            .http
            .get(stand.cloud.key_vault_url().clone())
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
}

#[tokio::test]
async fn each_vault_has_a_host_of_its_own() {
    let world = r#"
        subscription = "s"
        [[vault]]
        name = "Contoso-kv"
        resource_group = "shop"
        secrets = { colour = "blue" }
        [[vault]]
        name = "other-kv"
        resource_group = "shop"
        secrets = { colour = "green" }
    "#;
    let stand = Stand::start_in(world, super::ideal()).await;
    let certificate = Certificate::from_pem(stand.cloud.certificate().as_bytes()).unwrap();
    let port = stand.cloud.key_vault_url().port().unwrap();
    let token = stand.token(None, super::KEY_VAULT).await;
    for (host, colour) in [
        ("contoso-kv.localhost", "blue"),
        ("other-kv.localhost", "green"),
    ] {
        let client = Client::builder()
            .no_proxy()
            .resolve(host, ([127, 0, 0, 1], port).into())
            .tls_certs_only([certificate.clone()])
            .build()
            .unwrap();
        let url = format!("https://{host}:{port}/secrets/colour?api-version=7.6");
        let response = client.get(url).bearer_auth(&token).send().await.unwrap();
        let secret: Value = response.json().await.unwrap();
        assert_eq!(secret["value"], colour);
    }
}
