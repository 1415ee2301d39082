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
