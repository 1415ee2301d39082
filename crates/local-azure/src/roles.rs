//! The rules of role-based access control that all services share.

use wildmatch::WildMatch;

use crate::world::Role;

/// The roles of an identity.
pub(crate) fn of_identity<'a>(
    roles: &'a [Role],
    identity: &'a str,
) -> impl Iterator<Item = &'a Role> {
    roles
        .iter()
        .filter(move |role| role.identity.eq_ignore_ascii_case(identity))
}

/// Whether a scope is within the role's scope.
pub(crate) fn covers(role: &Role, scope: &str) -> bool {
    let scope = scope.to_lowercase();
    scope
        .strip_prefix(&role.scope.to_lowercase())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        || role.scope.is_empty()
}

/// Whether a role allows an action.
pub(crate) fn allows(role: &Role, action: &str) -> bool {
    let action = action.to_lowercase();
    let matches = |patterns: &[String]| {
        patterns
            .iter()
            .any(|it| WildMatch::new(&it.to_lowercase()).matches(&action))
    };
    matches(&role.actions) && !matches(&role.not_actions)
}
