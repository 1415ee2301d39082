//! The scopes that are searched for apps.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use keyrelay_model::AppId;

/// A subscription or a resource group. Keeps its spelling and compares case-insensitively.
#[derive(Debug, Clone)]
pub struct Scope {
    subscription: String,
    resource_group: Option<String>,
}

/// The error for a text that is not the id of a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a scope: write `/subscriptions/<id>` or `/subscriptions/<id>/resourceGroups/<group>`"
)]
pub struct ScopeError(String);

impl Scope {
    /// The resource group of an app.
    pub fn group_of(app: &AppId) -> Self {
        Self {
            subscription: app.subscription().to_owned(),
            resource_group: Some(app.resource_group().to_owned()),
        }
    }

    /// The subscription's id.
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    /// The name of the resource group; `None` for a whole subscription.
    pub fn resource_group(&self) -> Option<&str> {
        self.resource_group.as_deref()
    }

    /// Whether an app is in the scope.
    pub fn contains(&self, app: &AppId) -> bool {
        let group = self.resource_group.as_ref();
        self.subscription.eq_ignore_ascii_case(app.subscription())
            && group.is_none_or(|group| group.eq_ignore_ascii_case(app.resource_group()))
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        // A scope is a prefix of an app's id, so the parser of app ids validates it.
        let app =
            |begin: &str| format!("{begin}/providers/Microsoft.Web/sites/any").parse::<AppId>();
        if let Ok(app) = app(text) {
            return Ok(Self::group_of(&app));
        }
        match app(&format!("{text}/resourceGroups/any")) {
            Ok(app) => Ok(Self {
                subscription: app.subscription().to_owned(),
                resource_group: None,
            }),
            Err(_) => Err(ScopeError(text.chars().take(300).collect())),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/subscriptions/{}", self.subscription)?;
        match &self.resource_group {
            Some(group) => write!(f, "/resourceGroups/{group}"),
            None => Ok(()),
        }
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.to_string().eq_ignore_ascii_case(&other.to_string())
    }
}

impl Eq for Scope {}

impl Hash for Scope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_string().to_lowercase().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[test]
    fn subscriptions_and_groups_are_parsed_case_insensitively() {
        assert_eq!(scope("/subscriptions/s").to_string(), "/subscriptions/s");
        assert_eq!(
            scope("/SUBSCRIPTIONS/S/resourcegroups/G").to_string(),
            "/subscriptions/S/resourceGroups/G"
        );
        assert_eq!(
            scope("/SUBSCRIPTIONS/S/resourcegroups/G"),
            scope("/subscriptions/s/resourceGroups/g")
        );
        assert_ne!(
            scope("/subscriptions/s"),
            scope("/subscriptions/s/resourceGroups/g")
        );
    }

    #[test]
    fn other_ids_are_rejected() {
        let app = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/a";
        let broken = [
            "",
            "/",
            "s",
            "/subscriptions",
            "/subscriptions/",
            "/subscriptions/s/",
            "/subscriptions/s/t",
            "/subscriptions/s/resourceGroups/",
            "/subscriptions/s/resourceGroups/..",
            "/subscriptions/a?b",
            app,
        ];
        for text in broken {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_scope_contains_the_apps_below_it() {
        let app: AppId = "/subscriptions/S/resourceGroups/G/providers/Microsoft.Web/sites/a"
            .parse()
            .unwrap();
        assert!(scope("/subscriptions/s").contains(&app));
        assert!(scope("/subscriptions/s/resourceGroups/g").contains(&app));
        assert!(!scope("/subscriptions/s/resourceGroups/other").contains(&app));
        assert!(!scope("/subscriptions/other").contains(&app));
        assert_eq!(
            Scope::group_of(&app),
            scope("/subscriptions/s/resourceGroups/g")
        );
    }
}
