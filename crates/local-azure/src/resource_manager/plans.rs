//! App Service plans. Each resource group has one for the apps of each SKU.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::refusal::ResourceManagerRefusal;
use super::request::{ManagerRequest, OperationResult, Scope};
use super::state::ResourceManagerService;
use super::tier::{self, TYPE, Tier};
use super::{bodies, sites};
use crate::apps::LocalApp;
use crate::paging::Keyed;
use crate::response;

/// A plan.
pub(super) struct Plan {
    /// The Resource Manager id.
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) resource_group: String,
    pub(super) location: String,
    tier: &'static Tier,
    /// Whether the apps run on Linux.
    is_linux: bool,
    /// The number of apps and slots.
    apps: usize,
}

/// All plans, sorted by id.
pub(super) fn all(manager: &ResourceManagerService) -> Vec<Plan> {
    let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
    for app in manager.apps.iter() {
        let id = tier::plan_id(manager, app);
        let plan = plans.entry(id.to_lowercase()).or_insert_with(|| Plan {
            id,
            name: tier::of(app).plan,
            resource_group: app.resource_group.clone(),
            location: app.location.clone(),
            tier: tier::of(app),
            is_linux: bodies::is_linux(app),
            apps: 0,
        });
        plan.apps += 1;
    }
    plans.into_values().collect()
}

/// Lists the plans of a scope.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let manager = request.manager;
    let group = match request.target.scope {
        Scope::Group => Some(request.group()?),
        _ => None,
    };
    let plans = all(manager);
    let in_scope = plans
        .iter()
        .filter(|plan| group.is_none_or(|group| plan.resource_group.eq_ignore_ascii_case(group)));
    let rows: Vec<Keyed> = in_scope
        .map(|plan| (plan.id.to_lowercase(), plan.body(manager)))
        .collect();
    Ok(manager.list(request.call, rows))
}

/// Gets a plan.
pub(super) fn get(request: &ManagerRequest<'_>) -> OperationResult {
    Ok(response::ok(&named(request)?.body(request.manager)))
}

/// Lists the apps of a plan.
pub(super) fn sites(request: &ManagerRequest<'_>) -> OperationResult {
    let plan = named(request)?;
    let in_plan = |app: &LocalApp| tier::plan_id(request.manager, app) == plan.id;
    Ok(sites::rows(request, in_plan))
}

/// The plan in the path.
fn named(request: &ManagerRequest<'_>) -> Result<Plan, ResourceManagerRefusal> {
    let (group, name) = (request.group()?, request.part(3));
    all(request.manager)
        .into_iter()
        .filter(|plan| plan.resource_group.eq_ignore_ascii_case(group))
        .find(|plan| plan.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| ResourceManagerRefusal::NoResource {
            resource: format!("{TYPE}/{name}"),
            group: group.to_owned(),
        })
}

impl Plan {
    pub(super) fn kind(&self) -> &'static str {
        self.tier.kind
    }

    pub(super) fn sku(&self) -> Value {
        let Tier {
            name, size, family, ..
        } = self.tier;
        json!({ "name": size, "tier": name, "size": size, "family": family, "capacity": 1 })
    }

    fn body(&self, manager: &ResourceManagerService) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "type": TYPE,
            "kind": self.kind(),
            "location": self.location,
            "sku": self.sku(),
            "properties": {
                "name": self.name,
                "status": "Ready",
                "provisioningState": "Succeeded",
                "subscription": manager.subscription,
                "resourceGroup": self.resource_group,
                "geoRegion": self.location,
                "numberOfSites": self.apps,
                "numberOfWorkers": 1,
                "maximumNumberOfWorkers": 30,
                "reserved": self.is_linux,
                "isXenon": false,
                "hyperV": false,
                "perSiteScaling": false,
                "zoneRedundant": false,
            },
        })
    }
}
