//! The endpoints of the cloud, which clients read before they log in.

use axum::http::Method;
use serde_json::{Value, json};

use super::api_versions::METADATA;
use super::refusal::ResourceManagerRefusal;
use super::request::OperationResult;
use super::state::ResourceManagerService;
use crate::azure_cloud::AzureCloud;
use crate::call::ServiceCall;
use crate::response;

/// The first version whose response is one cloud.
const ONE_CLOUD: &str = "2022-09-01";

/// Whether a request reads the endpoints. It needs no token.
pub(super) fn is_metadata(call: &ServiceCall) -> bool {
    call.method == Method::GET && call.path.trim_end_matches('/') == "/metadata/endpoints"
}

/// Gets the endpoints of the cloud. Resource Manager is the stand-in, everything else is Azure.
pub(super) fn endpoints(manager: &ResourceManagerService, call: &ServiceCall) -> OperationResult {
    let version = call.query.get("api-version");
    let version = version
        .filter(|it| !it.is_empty())
        .ok_or(ResourceManagerRefusal::NoApiVersion)?;
    METADATA.check(version, None)?;
    let cloud = manager.cloud;
    let audiences: Vec<String> = cloud
        .management_hosts()
        .iter()
        .rev()
        .map(|host| format!("https://{host}/"))
        .collect();
    let endpoints = json!({
        "name": name(cloud),
        "portal": format!("https://{}", cloud.portal_host()),
        "resourceManager": format!("{}/", call.origin()),
        "authentication": {
            "loginEndpoint": format!("https://{}/", cloud.login_host()),
            "audiences": audiences,
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "logAnalyticsResourceId": format!("https://{}", cloud.log_analytics_host()),
        "suffixes": { "keyVaultDns": cloud.vault_suffix() },
    });
    // Earlier versions list all clouds.
    let body = if version < ONE_CLOUD {
        Value::Array(vec![endpoints])
    } else {
        endpoints
    };
    Ok(response::ok(&body))
}

/// The name of a cloud in Microsoft's clients.
fn name(cloud: AzureCloud) -> &'static str {
    match cloud {
        AzureCloud::Public => "AzureCloud",
        AzureCloud::UsGov => "AzureUSGovernment",
        AzureCloud::China => "AzureChinaCloud",
    }
}
