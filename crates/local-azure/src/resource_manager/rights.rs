//! Role-based access control and the operations of Microsoft.Authorization.
//!
//! As in Resource Manager, the name of an action is derived from the request: the types in the
//! path, then `read`, `write`, or the last part of the path followed by `action`.

use axum::http::Method;
use serde_json::{Value, json};

use super::refusal::ResourceManagerRefusal;
use super::state::ResourceManagerService;
use crate::call::ServiceCall;
use crate::paging::Keyed;
use crate::response::{self, Response};
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
    let Some((provider, parts)) =
        rest.iter()
            .rposition(|part| *part == "providers")
            .and_then(|at| {
                let (provider, parts) = rest.get(at + 1..)?.split_first()?;
                Some((*provider, parts))
            })
    else {
        return format!(
            "microsoft.resources/subscriptions/resourcegroups/{}",
            suffix(method)
        );
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

/// Executes an operation of Microsoft.Authorization on a scope.
pub(super) fn authorization(
    manager: &ResourceManagerService,
    call: &ServiceCall,
    caller: &str,
    scope: &str,
    rest: &[&str],
) -> Result<Response, ResourceManagerRefusal> {
    match (&call.method, rest) {
        (&Method::GET, ["permissions"]) => Ok(permissions(manager, call, caller, scope)),
        (&Method::GET, ["roleassignments"]) => assignments(manager, call, scope),
        (&Method::GET, ["roledefinitions", id]) => Ok(definition(manager, id)),
        _ => Err(ResourceManagerRefusal::NoOperation),
    }
}

fn permissions(
    manager: &ResourceManagerService,
    call: &ServiceCall,
    caller: &str,
    scope: &str,
) -> Response {
    let all: Vec<&Role> = roles(manager, caller).collect();
    let covering = all.iter().filter(|role| covers(role, scope)).enumerate();
    let mut rows: Vec<Keyed> = covering
        .map(|(at, role)| (at.to_string(), permission(role)))
        .collect();
    if all.is_empty() {
        rows.push((String::new(), everything()));
    }
    manager.list(call, rows)
}

/// The role assignments of the principal in the filter `assignedTo('...')`.
fn assignments(
    manager: &ResourceManagerService,
    call: &ServiceCall,
    scope: &str,
) -> Result<Response, ResourceManagerRefusal> {
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
        .filter(|(_, role)| covers(role, scope))
        .map(|(at, role)| row(at.to_string(), &role.scope))
        .collect();
    if own.is_empty() {
        let body = assignment(manager, "everything", "", principal);
        rows.push((String::new(), body));
    }
    Ok(manager.list(call, rows))
}

fn definition(manager: &ResourceManagerService, id: &str) -> Response {
    let role = id
        .parse::<usize>()
        .ok()
        .and_then(|at| manager.roles.get(at));
    let permissions = role.map_or_else(everything, permission);
    let id = definition_id(manager, id);
    response::ok(
        &json!({ "id": id, "properties": { "type": "CustomRole", "permissions": [permissions] } }),
    )
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
