//! What an identity may do, as Azure's role-based access control says it.
//!
//! Source: Azure's documentation of role definitions (`articles/role-based-access-control/role-definitions.md` in
//! MicrosoftDocs/azure-docs): an action is allowed if one role allows it that does not except it. Names compare without
//! case, and `*` stands for anything.

use serde::Deserialize;
use wildmatch::WildMatch;

/// What all roles together allow at one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(Vec<Permission>);

/// What one role allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Permission {
    /// What may be done to resources.
    pub actions: Vec<String>,
    /// What is excepted from that.
    pub not_actions: Vec<String>,
    /// What may be done to data.
    pub data_actions: Vec<String>,
    /// What is excepted from that.
    pub not_data_actions: Vec<String>,
}

impl Rights {
    /// The rights that come from these permissions.
    pub fn new(permissions: Vec<Permission>) -> Self {
        Self(permissions)
    }

    /// Whether this may be done to a resource: `Microsoft.Web/sites/config/list/action`.
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
    fn names_compare_without_case_and_stars_stand_for_anything() {
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
    fn an_exception_holds_for_its_own_role_only() {
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
