//! The managed identity of App Service.
//!
//! The environment of the process names its endpoint. Each test therefore starts itself in a second
//! process with that environment: the second process is the client, and the first plays Azure.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use keyrelay_azure::{AzureError, Cloud, Credential, Http, Identity, ResourceManager};
use keyrelay_model::{Retryability, Settings, error_chain};
use serde_json::json;

use crate::fake::{Fake, Reply, orders, respond, within};
use crate::process::run_in_own_process;

/// The endpoint of Resource Manager, set in the second process only.
const RESOURCE_MANAGER: &str = "TEST_RESOURCE_MANAGER";

/// A time that no test exceeds.
const LONG: Duration = Duration::from_secs(20);

/// Reads settings with a managed identity, if this is the second process.
async fn as_client(
    client_id: Option<&str>,
    time: Duration,
) -> Option<Result<Settings, AzureError>> {
    let resource_manager = std::env::var_os(RESOURCE_MANAGER)?.into_string().unwrap();
    let cloud = Cloud {
        resource_manager: resource_manager.parse().unwrap(),
        ..Cloud::public()
    };
    let http = Http::new().unwrap();
    let identity = Identity::Managed {
        client_id: client_id.map(str::to_owned),
    };
    let credential = Arc::new(Credential::new(identity, &http));
    let manager = ResourceManager::new(&cloud, credential, http).unwrap();
    Some(manager.settings(&orders(), &within(time)).await)
}

/// Starts a test in a second process, with the environment of App Service.
async fn start_client(test: &str, identity: &Fake, resource_manager: &Fake) {
    // No proxy listens there, so a request through it fails.
    let proxy = "http://127.0.0.1:1";
    let variables = [
        (
            "IDENTITY_ENDPOINT",
            format!("{}/msi/token", identity.origin),
        ),
        ("IDENTITY_HEADER", "the-header".to_owned()),
        (RESOURCE_MANAGER, resource_manager.origin.clone()),
        ("HTTP_PROXY", proxy.to_owned()),
        ("http_proxy", proxy.to_owned()),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    run_in_own_process(&format!("managed_identity::{test}"), &variables).await;
}

/// A response of the identity endpoint with a token that lives for a day.
fn token(token: &str) -> Reply {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let expires_on = (now + 86_400).to_string();
    let resource = "https://management.azure.com";
    respond(
        200,
        json!({ "access_token": token, "expires_on": expires_on, "token_type": "Bearer", "resource": resource }),
    )
}

fn empty() -> Reply {
    respond(200, json!({ "properties": {} }))
}

#[tokio::test]
async fn the_system_assigned_identity_is_used() {
    if let Some(settings) = as_client(None, LONG).await {
        assert!(settings.unwrap().is_empty());
        return;
    }
    let (identity, manager) = (
        Fake::start([token("t1")]).await,
        Fake::start([empty()]).await,
    );
    start_client("the_system_assigned_identity_is_used", &identity, &manager).await;
    let [request] = &identity.seen()[..] else {
        panic!("one request")
    };
    let query = "api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com";
    assert_eq!(request.line, format!("GET /msi/token?{query}"));
    assert_eq!(request.headers["x-identity-header"], "the-header");
    assert_eq!(manager.seen()[0].headers["authorization"], "Bearer t1");
}

#[tokio::test]
async fn a_user_assigned_identity_is_named_by_its_client_id() {
    if let Some(settings) = as_client(Some("11111111-2222"), LONG).await {
        assert!(settings.unwrap().is_empty());
        return;
    }
    let (identity, manager) = (
        Fake::start([token("t1")]).await,
        Fake::start([empty()]).await,
    );
    start_client(
        "a_user_assigned_identity_is_named_by_its_client_id",
        &identity,
        &manager,
    )
    .await;
    assert!(
        identity.lines()[0].ends_with("&client_id=11111111-2222"),
        "{:?}",
        identity.lines()
    );
}

#[tokio::test]
async fn a_rejected_token_is_fetched_again() {
    if let Some(settings) = as_client(None, LONG).await {
        assert!(settings.unwrap().is_empty());
        return;
    }
    let identity = Fake::start([token("t1"), token("t2")]).await;
    let manager = Fake::start([respond(401, json!({})), empty()]).await;
    start_client("a_rejected_token_is_fetched_again", &identity, &manager).await;
    assert_eq!(identity.seen().len(), 2);
    assert_eq!(manager.seen()[1].headers["authorization"], "Bearer t2");
}

#[tokio::test]
async fn a_missing_identity_is_permanent() {
    if let Some(settings) = as_client(Some("unknown"), LONG).await {
        let error = settings.unwrap_err();
        assert_eq!(error.retryability(), Retryability::Permanent, "{error:?}");
        assert!(
            error_chain(&error).contains("no token for https://management.azure.com: "),
            "{}",
            error_chain(&error)
        );
        assert!(
            error_chain(&error).contains("identity has not been assigned"),
            "{}",
            error_chain(&error)
        );
        return;
    }
    let identity = Fake::start([respond(
        400,
        json!({ "statusCode": 400, "message": "No User Assigned Identity found" }),
    )])
    .await;
    let manager = Fake::start([]).await;
    start_client("a_missing_identity_is_permanent", &identity, &manager).await;
    assert!(manager.seen().is_empty());
}

#[tokio::test]
async fn an_identity_endpoint_that_hangs_is_transient() {
    if let Some(settings) = as_client(None, Duration::from_millis(300)).await {
        let error = settings.unwrap_err();
        assert_eq!(error.retryability(), Retryability::Transient, "{error:?}");
        return;
    }
    let (identity, manager) = (Fake::start([Reply::Never]).await, Fake::start([]).await);
    start_client(
        "an_identity_endpoint_that_hangs_is_transient",
        &identity,
        &manager,
    )
    .await;
    assert_eq!(identity.seen().len(), 1);
}
