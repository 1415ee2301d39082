//! Resource groups. A group exists if it has a resource.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::refusal::ResourceManagerRefusal;
use super::request::{ManagerRequest, OperationResult};
use super::state::ResourceManagerService;
use crate::response;

/// Lists the resource groups.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let manager = request.manager;
    let mut groups = BTreeMap::new();
    for name in manager.group_names() {
        groups
            .entry(name.to_lowercase())
            .or_insert_with(|| group(manager, name));
    }
    Ok(manager.list(request.call, groups.into_iter().collect()))
}

/// Gets a resource group.
pub(super) fn get(request: &ManagerRequest<'_>) -> OperationResult {
    Ok(response::ok(&group(request.manager, request.group()?)))
}

fn group(manager: &ResourceManagerService, name: &str) -> Value {
    json!({
        "id": format!("/subscriptions/{}/resourceGroups/{name}", manager.subscription),
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": "westeurope",
        "properties": { "provisioningState": "Succeeded" },
    })
}

impl ResourceManagerService {
    /// The names of the resource groups, with repetitions.
    fn group_names(&self) -> impl Iterator<Item = &str> {
        let apps = self.apps.iter().map(|app| app.resource_group.as_str());
        apps.chain(self.vaults.resource_groups())
    }

    /// The original name of a resource group.
    pub(super) fn group_named(&self, name: &str) -> Result<&str, ResourceManagerRefusal> {
        self.group_names()
            .find(|group| group.eq_ignore_ascii_case(name))
            .ok_or_else(|| ResourceManagerRefusal::NoResourceGroup(name.to_owned()))
    }
}
