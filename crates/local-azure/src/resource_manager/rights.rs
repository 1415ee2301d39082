//! Role-based access control: who may do what, and what Microsoft.Authorization tells about it.
//!
//! An action is named after the request, as Resource Manager does it: the types in the path, and `read`, `write`, or the
//! last part of the path with `action` behind it.

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};
use wildmatch::WildMatch;

use super::refusal::Refusal;
use super::{Keyed, list};
use crate::answer::{self, Response};
use crate::backend::Backend;
use crate::call::Call;
use crate::world::Role;

/// Refuses what the caller's roles do not allow. A caller without any role may do everything.
pub(super) fn check(
    backend: &Backend,
    call: &Call,
    caller: &str,
    rest: &[&str],
) -> Result<(), Refusal> {
    let action = action(&call.method, rest);
    let mut roles = roles(backend, caller).peekable();
    if roles.peek().is_none() || roles.any(|role| holds(role, &call.path) && allows(role, &action))
    {
        return Ok(());
    }
    Err(Refusal::Forbidden {
        caller: caller.to_owned(),
        action,
        scope: call.path.clone(),
    })
}

fn roles<'a>(backend: &'a Backend, caller: &'a str) -> impl Iterator<Item = &'a Role> {
    backend
        .roles
        .iter()
        .filter(move |role| role.identity.eq_ignore_ascii_case(caller))
}

/// Whether the place is in the role's scope.
fn holds(role: &Role, place: &str) -> bool {
    let place = place.to_lowercase();
    place
        .strip_prefix(&role.scope.to_lowercase())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        || role.scope.is_empty()
}

fn allows(role: &Role, action: &str) -> bool {
    let action = action.to_lowercase();
    let matches = |patterns: &[String]| {
        patterns
            .iter()
            .any(|it| WildMatch::new(&it.to_lowercase()).matches(&action))
    };
    matches(&role.actions) && !matches(&role.not_actions)
}

/// The action of a request, by the path behind the resource group or subscription.
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
            verb(method)
        );
    };
    // Types and names take turns.
    let mut types: Vec<&str> = parts.iter().step_by(2).copied().collect();
    if *method == Method::POST {
        if let (true, Some(last)) = (parts.len() % 2 == 0, parts.last()) {
            types.push(last);
        }
        return format!("{provider}/{}/action", types.join("/"));
    }
    // Microsoft.Web has one action for reading whatever is below `config`.
    if let Some(at) = types.iter().position(|it| *it == "config") {
        types.truncate(at + 1);
    }
    format!("{provider}/{}/{}", types.join("/"), verb(method))
}

fn verb(method: &Method) -> &'static str {
    if *method == Method::GET {
        "read"
    } else {
        "write"
    }
}

/// What is asked of Microsoft.Authorization, about the place in the path before it.
pub(super) fn authorization(
    backend: &Arc<Backend>,
    call: &Call,
    caller: &str,
    place: &str,
    rest: &[&str],
) -> Result<Response, Refusal> {
    match (&call.method, rest) {
        (&Method::GET, ["permissions"]) => {
            let all: Vec<&Role> = roles(backend, caller).collect();
            let held = all.iter().filter(|role| holds(role, place)).enumerate();
            let mut rows: Vec<Keyed> = held
                .map(|(at, role)| (at.to_string(), permission(role)))
                .collect();
            if all.is_empty() {
                rows.push((String::new(), everything()));
            }
            Ok(list(backend, call, rows))
        }
        (&Method::GET, ["roleassignments"]) => {
            let filter = call.query.get("$filter").unwrap_or_default();
            let principal = filter
                .strip_prefix("assignedTo('")
                .and_then(|it| it.strip_suffix("')"));
            let principal = principal.ok_or(Refusal::NoOperation)?;
            let name = backend
                .identities
                .named(&backend.apps, principal)
                .ok_or(Refusal::NoOperation)?;
            let numbered = || backend.roles.iter().enumerate();
            let its_own = numbered().filter(|(_, role)| role.identity.eq_ignore_ascii_case(&name));
            let mut rows: Vec<Keyed> = its_own
                .clone()
                .filter(|(_, role)| holds(role, place))
                .map(|(at, role)| {
                    (
                        at.to_string(),
                        assignment(backend, &at.to_string(), &role.scope, principal),
                    )
                })
                .collect();
            if its_own.count() == 0 {
                rows.push((
                    String::new(),
                    assignment(backend, "everything", "", principal),
                ));
            }
            Ok(list(backend, call, rows))
        }
        (&Method::GET, ["roledefinitions", id]) => {
            let permissions = match id
                .parse::<usize>()
                .ok()
                .and_then(|at| backend.roles.get(at))
            {
                Some(role) => permission(role),
                None => everything(),
            };
            let id = definition_id(backend, id);
            Ok(answer::ok(
                &json!({ "id": id, "properties": { "type": "CustomRole", "permissions": [permissions] } }),
            ))
        }
        _ => Err(Refusal::NoOperation),
    }
}

fn permission(role: &Role) -> Value {
    json!({ "actions": role.actions, "notActions": role.not_actions, "dataActions": [], "notDataActions": [] })
}

fn everything() -> Value {
    json!({ "actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": [] })
}

fn assignment(backend: &Backend, role: &str, scope: &str, principal: &str) -> Value {
    let properties = json!({ "roleDefinitionId": definition_id(backend, role), "principalId": principal, "scope": scope });
    json!({ "name": role, "type": "Microsoft.Authorization/roleAssignments", "properties": properties })
}

fn definition_id(backend: &Backend, role: &str) -> String {
    format!(
        "/subscriptions/{}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        backend.subscription
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
