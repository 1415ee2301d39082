//! The permissions of an identity under Azure role-based access control.
//!
//! Source: Azure's documentation of role definitions
//! (`articles/role-based-access-control/role-definitions.md` in MicrosoftDocs/azure-docs): an
//! action is allowed if one role lists it in its actions and not in its exceptions. Names compare
//! case-insensitively, and `*` matches any text.

use serde::Deserialize;
use wildmatch::WildMatch;

/// The union of the permissions of all roles at a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(Vec<Permission>);

/// The permissions of one role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Permission {
    /// The allowed actions on resources.
    pub actions: Vec<String>,
    /// The exceptions from `actions`.
    pub not_actions: Vec<String>,
    /// The allowed actions on data.
    pub data_actions: Vec<String>,
    /// The exceptions from `data_actions`.
    pub not_data_actions: Vec<String>,
}

impl Rights {
    /// Combines the permissions of several roles.
    pub fn new(permissions: Vec<Permission>) -> Self {
        Self(permissions)
    }

    /// Whether an action on a resource is allowed: `Microsoft.Web/sites/config/list/action`.
    pub fn allow(&self, action: &str) -> bool {
        self.0
            .iter()
            .any(|it| matches(&it.actions, action) && !matches(&it.not_actions, action))
    }
}

fn matches(patterns: &[String], action: &str) -> bool {
    let action = action.to_lowercase();
    patterns
        .iter()
        .any(|pattern| WildMatch::new(&pattern.to_lowercase()).matches(&action))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(actions: &[&str], not_actions: &[&str]) -> Permission {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Permission {
            actions: owned(actions),
            not_actions: owned(not_actions),
            ..Permission::default()
        }
    }

    #[test]
    fn names_compare_without_case_and_a_star_matches_any_text() {
        let rights = Rights::new(vec![permission(
            &["Microsoft.Web/sites/config/*/action"],
            &[],
        )]);
        assert!(rights.allow("microsoft.web/SITES/config/appsettings/refresh/action"));
        assert!(!rights.allow("microsoft.web/sites/config/write"));
        assert!(Rights::new(vec![permission(&["*"], &[])]).allow("anything/at/all"));
        assert!(!Rights::default().allow("Microsoft.Web/sites/read"));
    }

    #[test]
    fn an_exception_applies_to_its_own_role_only() {
        let refresh = permission(
            &["Microsoft.Web/sites/config/*"],
            &["Microsoft.Web/sites/config/list/action"],
        );
        let alone = Rights::new(vec![refresh.clone()]);
        assert!(!alone.allow("Microsoft.Web/sites/config/list/Action"));
        let both = Rights::new(vec![
            refresh,
            permission(&["Microsoft.Web/sites/config/list/action"], &[]),
        ]);
        assert!(both.allow("Microsoft.Web/sites/config/list/Action"));
    }
}
