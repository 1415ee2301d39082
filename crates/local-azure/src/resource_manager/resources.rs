//! The resources of all types in a subscription or resource group.

use serde_json::{Value, json};

use super::bodies;
use super::plans;
use super::refusal::ResourceManagerRefusal;
use super::request::{ManagerRequest, OperationResult, Scope};
use super::state::ResourceManagerService;
use super::tier;
use crate::apps::LocalApp;
use crate::paging::Keyed;
use crate::vaults::LocalVault;

/// Lists the resources of a scope that match `$filter`.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let manager = request.manager;
    let mut conditions = match request.call.query.get("$filter") {
        Some(text) => conditions(text)?,
        None => Vec::new(),
    };
    if request.target.scope == Scope::Group {
        conditions.push((Property::ResourceGroup, request.group()?.to_owned()));
    }
    let resources = resources(manager).filter(|it| {
        conditions
            .iter()
            .all(|(property, wanted)| it.property(*property).eq_ignore_ascii_case(wanted))
    });
    let rows: Vec<Keyed> = resources
        .map(|it| (it.id.to_lowercase(), it.body()))
        .collect();
    Ok(manager.list(request.call, rows))
}

/// A resource in a list.
struct Resource {
    id: String,
    name: String,
    resource_type: &'static str,
    resource_group: String,
    location: String,
    kind: Option<String>,
    /// The members that only some types have, such as `sku`.
    more: Value,
}

/// A property that a filter compares.
#[derive(Debug, Clone, Copy)]
enum Property {
    Name,
    ResourceType,
    ResourceGroup,
    Location,
}

impl Resource {
    fn property(&self, property: Property) -> &str {
        match property {
            Property::Name => &self.name,
            Property::ResourceType => self.resource_type,
            Property::ResourceGroup => &self.resource_group,
            Property::Location => &self.location,
        }
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "id": self.id,
            "name": self.name,
            "type": self.resource_type,
            "location": self.location,
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(self.kind.iter().map(|kind| ("kind".into(), json!(kind))));
            body.extend(self.more.as_object().cloned().into_iter().flatten());
        }
        body
    }
}

fn resources(manager: &ResourceManagerService) -> impl Iterator<Item = Resource> {
    let apps = manager.apps.iter().map(|app| of_app(manager, app));
    let plans = plans::all(manager).into_iter().map(|plan| Resource {
        id: plan.id.clone(),
        name: plan.name.to_owned(),
        resource_type: tier::TYPE,
        resource_group: plan.resource_group.clone(),
        location: location(&plan.location),
        kind: Some(plan.kind().to_owned()),
        more: json!({ "sku": plan.sku() }),
    });
    let vaults = manager.vaults.iter().filter(|vault| {
        let own = &manager.subscription;
        vault.subscription.eq_ignore_ascii_case(own)
    });
    apps.chain(plans).chain(vaults.map(of_vault))
}

fn of_app(manager: &ResourceManagerService, app: &LocalApp) -> Resource {
    let identity = bodies::identity(manager, app);
    Resource {
        id: app.id.clone(),
        name: app.short_name.clone(),
        resource_type: bodies::app_type(app),
        resource_group: app.resource_group.clone(),
        location: location(&app.location),
        kind: Some(app.kind.clone()),
        more: identity.map_or(Value::Null, |identity| json!({ "identity": identity })),
    }
}

fn of_vault(vault: &LocalVault) -> Resource {
    Resource {
        id: vault.id.clone(),
        name: vault.name.clone(),
        resource_type: "Microsoft.KeyVault/vaults",
        resource_group: vault.resource_group.clone(),
        location: "westeurope".to_owned(),
        kind: None,
        more: Value::Null,
    }
}

/// The name of a location, from its display name.
fn location(display_name: &str) -> String {
    display_name.to_lowercase().replace(' ', "")
}

/// The conditions of a filter: comparisons with `eq`, connected by `and`.
fn conditions(filter: &str) -> Result<Vec<(Property, String)>, ResourceManagerRefusal> {
    let condition = |text: &str| {
        let (property, value) = text.trim().split_once(" eq ")?;
        let property = match property.trim().to_lowercase().as_str() {
            "name" => Property::Name,
            "resourcetype" => Property::ResourceType,
            "resourcegroup" => Property::ResourceGroup,
            "location" => Property::Location,
            _ => return None,
        };
        let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
        (!value.contains('\'')).then(|| (property, value.to_owned()))
    };
    filter
        .split(" and ")
        .map(condition)
        .collect::<Option<_>>()
        .ok_or_else(|| ResourceManagerRefusal::InvalidFilter(filter.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_conditions_with_eq_and_and() {
        let two = conditions("resourceType eq 'Microsoft.Web/sites' and name eq 'orders'").unwrap();
        assert_eq!(two.len(), 2);
        for bad in [
            "",
            "name",
            "name eq orders",
            "colour eq 'red'",
            "name eq 'a' or name eq 'b'",
        ] {
            assert!(conditions(bad).is_err(), "{bad}");
        }
    }
}
