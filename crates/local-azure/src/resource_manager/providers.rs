//! The resource providers of the subscription, from which clients select an api-version.

use serde_json::{Value, json};

use super::api_versions::{ApiVersions, EVENT_GRID, PLANS, SITES, VAULTS};
use super::refusal::ResourceManagerRefusal;
use super::request::{ManagerRequest, OperationResult};
use super::state::ResourceManagerService;
use crate::paging::Keyed;
use crate::response;

/// The resource types of each namespace.
const PROVIDERS: [(&str, &[(&str, ApiVersions)]); 3] = [
    ("Microsoft.EventGrid", &[("systemTopics", EVENT_GRID)]),
    ("Microsoft.KeyVault", &[("vaults", VAULTS)]),
    (
        "Microsoft.Web",
        &[
            ("sites", SITES),
            ("sites/slots", SITES),
            ("serverFarms", PLANS),
        ],
    ),
];

/// Lists the providers.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let bodies = PROVIDERS.iter().map(|(namespace, types)| {
        let body = provider(request.manager, namespace, types);
        (namespace.to_lowercase(), body)
    });
    let bodies: Vec<Keyed> = bodies.collect();
    Ok(request.manager.list(request.call, bodies))
}

/// Gets a provider.
pub(super) fn get(request: &ManagerRequest<'_>) -> OperationResult {
    let wanted = request.part(1);
    let (namespace, types) = PROVIDERS
        .iter()
        .find(|(namespace, _)| namespace.eq_ignore_ascii_case(wanted))
        .ok_or_else(|| ResourceManagerRefusal::NoProvider(wanted.to_owned()))?;
    let body = provider(request.manager, namespace, types);
    Ok(response::ok(&body))
}

fn provider(
    manager: &ResourceManagerService,
    namespace: &str,
    types: &[(&str, ApiVersions)],
) -> Value {
    let types = types.iter().map(|(name, versions)| {
        // The newest version comes first.
        let mut versions: Vec<&str> = versions.iter().collect();
        versions.reverse();
        json!({ "resourceType": name, "locations": ["West Europe"], "apiVersions": versions })
    });
    let types: Vec<Value> = types.collect();
    json!({
        "id": format!("/subscriptions/{}/providers/{namespace}", manager.subscription),
        "namespace": namespace,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": types,
    })
}
