//! Role-based access control and the operations of Microsoft.Authorization.
//!
//! As in Resource Manager, the name of an action is derived from the request: the types in the
//! path, then `read`, `write`, or the last part of the path followed by `action`.

use axum::http::Method;
use serde_json::{Value, json};

use super::refusal::ResourceManagerRefusal;
use super::request::{ManagerRequest, OperationResult};
use super::resource_type::ResourceType;
use super::state::ResourceManagerService;
use crate::call::ServiceCall;
use crate::paging::Keyed;
use crate::response;
use crate::roles::{self, allows, covers};
use crate::world::Role;

/// Rejects a request that the caller's roles do not allow. A caller without any role is allowed
/// everything.
pub(super) fn check(
    manager: &ResourceManagerService,
    call: &ServiceCall,
    caller: &str,
    rest: &[&str],
) -> Result<(), ResourceManagerRefusal> {
    let action = action(&call.method, rest);
    let mut roles = roles(manager, caller).peekable();
    if roles.peek().is_none() || roles.any(|role| covers(role, &call.path) && allows(role, &action))
    {
        return Ok(());
    }
    Err(ResourceManagerRefusal::Forbidden {
        caller: caller.to_owned(),
        action,
        scope: call.path.clone(),
    })
}

fn roles<'a>(
    manager: &'a ResourceManagerService,
    caller: &'a str,
) -> impl Iterator<Item = &'a Role> {
    roles::of_identity(&manager.roles, caller)
}

/// The action of a request, derived from the path after the resource group or subscription.
fn action(method: &Method, rest: &[&str]) -> String {
    let Some(ResourceType { provider, parts }) =
        ResourceType::of_path(rest).filter(|it| !it.parts.is_empty())
    else {
        let kind = match rest {
            [] => "",
            ["resourcegroups", _, "resources"] | ["resources"] => "resources/",
            ["providers", ..] => "providers/",
            _ => "resourcegroups/",
        };
        let suffix = suffix(method);
        return format!("microsoft.resources/subscriptions/{kind}{suffix}");
    };
    // Types and names alternate.
    let mut types: Vec<&str> = parts.iter().step_by(2).copied().collect();
    if *method == Method::POST {
        if let (true, Some(last)) = (parts.len() % 2 == 0, parts.last()) {
            types.push(last);
        }
        return format!("{provider}/{}/action", types.join("/"));
    }
    // Microsoft.Web has a single read action for everything below `config`.
    if let Some(at) = types.iter().position(|it| *it == "config") {
        types.truncate(at + 1);
    }
    format!("{provider}/{}/{}", types.join("/"), suffix(method))
}

fn suffix(method: &Method) -> &'static str {
    if *method == Method::GET {
        "read"
    } else {
        "write"
    }
}

/// Lists the permissions of the caller on a scope.
pub(super) fn permissions(request: &ManagerRequest<'_>) -> OperationResult {
    let scope = scope(request.call);
    let all: Vec<&Role> = roles(request.manager, request.caller).collect();
    let covering = all.iter().filter(|role| covers(role, &scope)).enumerate();
    let mut rows: Vec<Keyed> = covering
        .map(|(at, role)| (at.to_string(), permission(role)))
        .collect();
    if all.is_empty() {
        rows.push((String::new(), everything()));
    }
    Ok(request.manager.list(request.call, rows))
}

/// Lists the role assignments of the principal in the filter `assignedTo('...')`.
pub(super) fn assignments(request: &ManagerRequest<'_>) -> OperationResult {
    let (manager, call) = (request.manager, request.call);
    let scope = scope(call);
    let filter = call.query.get("$filter").unwrap_or_default();
    let principal = filter
        .strip_prefix("assignedTo('")
        .and_then(|it| it.strip_suffix("')"))
        .ok_or(ResourceManagerRefusal::NoOperation)?;
    let name = manager
        .identities
        .named(principal)
        .ok_or(ResourceManagerRefusal::NoOperation)?;
    let own: Vec<(usize, &Role)> = manager
        .roles
        .iter()
        .enumerate()
        .filter(|(_, role)| role.identity.eq_ignore_ascii_case(&name))
        .collect();
    let row = |id: String, role_scope: &str| {
        let body = assignment(manager, &id, role_scope, principal);
        (id, body)
    };
    let mut rows: Vec<Keyed> = own
        .iter()
        .filter(|(_, role)| covers(role, &scope))
        .map(|(at, role)| row(at.to_string(), &role.scope))
        .collect();
    if own.is_empty() {
        let body = assignment(manager, "everything", "", principal);
        rows.push((String::new(), body));
    }
    Ok(manager.list(call, rows))
}

/// Gets a role definition.
pub(super) fn definition(request: &ManagerRequest<'_>) -> OperationResult {
    let (manager, id) = (request.manager, request.part(1));
    let role = id
        .parse::<usize>()
        .ok()
        .and_then(|at| manager.roles.get(at));
    let permissions = role.map_or_else(everything, permission);
    let id = definition_id(manager, id);
    Ok(response::ok(
        &json!({ "id": id, "properties": { "type": "CustomRole", "permissions": [permissions] } }),
    ))
}

/// The scope of an operation of Microsoft.Authorization: the path before its provider.
fn scope(call: &ServiceCall) -> String {
    let path = call.path.to_lowercase();
    let scope = path.split("/providers/microsoft.authorization").next();
    scope.unwrap_or_default().to_owned()
}

fn permission(role: &Role) -> Value {
    json!({ "actions": role.actions, "notActions": role.not_actions, "dataActions": [], "notDataActions": [] })
}

fn everything() -> Value {
    json!({ "actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": [] })
}

fn assignment(manager: &ResourceManagerService, role: &str, scope: &str, principal: &str) -> Value {
    let properties = json!({ "roleDefinitionId": definition_id(manager, role), "principalId": principal, "scope": scope });
    json!({ "name": role, "type": "Microsoft.Authorization/roleAssignments", "properties": properties })
}

fn definition_id(manager: &ResourceManagerService, role: &str) -> String {
    format!(
        "/subscriptions/{}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        manager.subscription
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_named_after_requests() {
        let named = |method, path: &str| action(&method, &path.split('/').collect::<Vec<_>>());
        for (path, kind) in [
            ("resourcegroups", "resourcegroups/"),
            ("resourcegroups/shop", "resourcegroups/"),
            ("resourcegroups/shop/resources", "resources/"),
            ("resources", "resources/"),
            ("providers/microsoft.web", "providers/"),
        ] {
            let action = format!("microsoft.resources/subscriptions/{kind}read");
            assert_eq!(named(Method::GET, path), action);
        }
        let site = "providers/microsoft.web/sites/orders";
        assert_eq!(
            named(Method::GET, "providers/microsoft.web/sites"),
            "microsoft.web/sites/read"
        );
        assert_eq!(
            named(Method::GET, &format!("{site}/slots")),
            "microsoft.web/sites/slots/read"
        );
        assert_eq!(
            named(Method::POST, &format!("{site}/config/appsettings/list")),
            "microsoft.web/sites/config/list/action"
        );
        assert_eq!(
            named(
                Method::POST,
                &format!("{site}/config/connectionstrings/list")
            ),
            "microsoft.web/sites/config/list/action"
        );
        assert_eq!(
            named(
                Method::GET,
                &format!("{site}/config/configreferences/appsettings")
            ),
            "microsoft.web/sites/config/read"
        );
        assert_eq!(
            named(Method::PUT, &format!("{site}/config/appsettings")),
            "microsoft.web/sites/config/write"
        );
        assert_eq!(
            named(
                Method::POST,
                &format!("{site}/slots/b/config/configreferences/appsettings/refresh")
            ),
            "microsoft.web/sites/slots/config/appsettings/refresh/action"
        );
    }
}
