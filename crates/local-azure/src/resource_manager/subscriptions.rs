//! The tenant and its subscription.

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
    let subscriptions = vec![(manager.subscription.clone(), subscription(manager))];
    Ok(manager.list(request.call, subscriptions))
}

/// Gets the subscription.
pub(super) fn get(request: &ManagerRequest<'_>) -> OperationResult {
    Ok(response::ok(&subscription(request.manager)))
}

fn subscription(manager: &ResourceManagerService) -> Value {
    json!({
        "id": format!("/subscriptions/{}", manager.subscription),
        "subscriptionId": manager.subscription,
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
