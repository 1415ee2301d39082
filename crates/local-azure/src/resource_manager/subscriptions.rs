//! The tenant and its subscription.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::request::{ManagerRequest, OperationResult};
use super::state::ResourceManagerService;
use crate::response;

/// Lists the tenants of the caller.
pub(super) fn tenants(request: &ManagerRequest<'_>) -> OperationResult {
    let tenant = &request.manager.tenant;
    let body = json!({
        "id": format!("/tenants/{tenant}"),
        "tenantId": tenant,
        "displayName": "Local",
        "domains": ["local.onmicrosoft.com"],
        "defaultDomain": "local.onmicrosoft.com",
        "countryCode": "NL",
        "tenantCategory": "Home",
        "tenantType": "AAD",
    });
    let tenants = vec![(tenant.clone(), body)];
    Ok(request.manager.list(request.call, tenants))
}

/// Lists the subscriptions of the caller.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let manager = request.manager;
    let subscriptions: BTreeMap<String, Value> = manager
        .subscriptions()
        .map(|id| (id.to_lowercase(), subscription(manager, id)))
        .collect();
    Ok(manager.list(request.call, subscriptions.into_iter().collect()))
}

/// Gets the subscription.
pub(super) fn get(request: &ManagerRequest<'_>) -> OperationResult {
    Ok(response::ok(&subscription(
        request.manager,
        &request.manager.subscription,
    )))
}

fn subscription(manager: &ResourceManagerService, id: &str) -> Value {
    json!({
        "id": format!("/subscriptions/{id}"),
        "subscriptionId": id,
        "tenantId": manager.tenant,
        "displayName": "Local",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    })
}
