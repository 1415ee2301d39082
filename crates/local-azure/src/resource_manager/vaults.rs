//! The vaults of a subscription, with what decides who may use them.

use serde_json::{Value, json};

use super::request::{ManagerRequest, OperationResult};
use super::state::ResourceManagerService;
use crate::paging::Keyed;
use crate::vaults::LocalVault;
use crate::world::AccessPolicy;

/// Lists the vaults.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let manager = request.manager;
    let of_subscription = manager.vaults.iter().filter(|vault| {
        let wanted = request.target.subscription;
        wanted.is_some_and(|wanted| vault.subscription.eq_ignore_ascii_case(wanted))
    });
    let rows: Vec<Keyed> = of_subscription
        .map(|vault| (vault.name.to_lowercase(), body(manager, vault)))
        .collect();
    Ok(manager.list(request.call, rows))
}

fn body(manager: &ResourceManagerService, vault: &LocalVault) -> Value {
    let policies = vault.policies().unwrap_or_default();
    let policies: Vec<Value> = policies.iter().map(|it| policy(manager, it)).collect();
    json!({
        "id": vault.id,
        "name": vault.name,
        "type": "Microsoft.KeyVault/vaults",
        "location": "westeurope",
        "tags": {},
        "properties": {
            "sku": { "family": "A", "name": "standard" },
            "tenantId": manager.tenant,
            "accessPolicies": policies,
            "enableRbacAuthorization": vault.policies().is_none(),
            "enableSoftDelete": true,
            "vaultUri": format!("{}/", vault.url),
            "provisioningState": "Succeeded",
        },
    })
}

fn policy(manager: &ResourceManagerService, policy: &AccessPolicy) -> Value {
    json!({
        "tenantId": manager.tenant,
        "objectId": manager.identities.principal_of(&policy.identity),
        "permissions": { "keys": [], "secrets": policy.secrets, "certificates": [] },
    })
}
