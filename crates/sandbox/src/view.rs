//! The part of an app that a policy sees.

use std::collections::BTreeMap;

use keyrelay_model::{AppId, Grant, SettingName, SettingValue, Settings, Target};

/// One app as a policy may see it.
#[derive(Debug, Clone, Copy)]
pub struct AppView<'a> {
    /// The site or slot.
    pub id: &'a AppId,
    /// The visible settings, sorted by name.
    pub settings: &'a [VisibleSetting],
    /// The rotation's parameters.
    pub parameters: &'a BTreeMap<String, String>,
    /// The rotation's grant. The policy may use the names in it, also if they hold a value that was
    /// revealed to it.
    pub grant: &'a Grant,
}

/// A setting as a policy may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisibleSetting {
    /// The setting's name.
    pub name: SettingName,
    /// The visible part of its value.
    pub value: VisibleValue,
}

/// The visible part of a setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VisibleValue {
    /// The value is a reference to this secret.
    Reference(Target),
    /// The value is plain text, and the grant reveals it. The policy does not see it if it is too
    /// short to be redacted.
    Text(SettingValue),
    /// The value is plain text that the policy may not see.
    Withheld,
}

/// The settings that a policy with [`View::Settings`](crate::View::Settings) sees: every name,
/// every reference, and the plain text that `grant` reveals. `vault_suffix` is that of our cloud.
pub fn visible_settings(
    settings: &Settings,
    grant: &Grant,
    vault_suffix: &str,
) -> Vec<VisibleSetting> {
    let visible = |(name, value): (&SettingName, &SettingValue)| {
        let value = match value.reference(vault_suffix) {
            Ok(reference) => VisibleValue::Reference(reference.target().clone()),
            Err(_) if grant.reveals(name) => VisibleValue::Text(value.clone()),
            Err(_) => VisibleValue::Withheld,
        };
        VisibleSetting {
            name: name.clone(),
            value,
        }
    };
    settings.iter().map(visible).collect()
}

/// The settings that a policy with [`View::References`](crate::View::References) sees. Azure lists
/// them without plain text.
pub fn visible_references(
    references: impl IntoIterator<Item = (SettingName, Target)>,
) -> Vec<VisibleSetting> {
    let visible = |(name, target)| VisibleSetting {
        name,
        value: VisibleValue::Reference(target),
    };
    let mut settings: Vec<VisibleSetting> = references.into_iter().map(visible).collect();
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUFFIX: &str = "vault.azure.net";

    fn settings(settings: &[(&str, &str)]) -> Settings {
        settings
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), SettingValue::new(*value)))
            .collect()
    }

    fn target(secret: &str) -> Target {
        Target {
            vault_host: "v.vault.azure.net".parse().unwrap(),
            secret: secret.parse().unwrap(),
            version: None,
        }
    }

    fn check(value: &str, reveal: &[&str], expected: VisibleValue) {
        let grant = Grant {
            reveal: reveal.iter().map(|name| name.parse().unwrap()).collect(),
            ..Grant::default()
        };
        let visible = visible_settings(&settings(&[("A", value)]), &grant, SUFFIX);
        assert_eq!(
            visible,
            [VisibleSetting {
                name: "A".parse().unwrap(),
                value: expected
            }]
        );
    }

    #[test]
    fn plain_text_is_withheld_unless_it_is_granted() {
        check("plain", &[], VisibleValue::Withheld);
        check("plain", &["B"], VisibleValue::Withheld);
        check(
            "plain",
            &["A"],
            VisibleValue::Text(SettingValue::new("plain")),
        );
    }

    #[test]
    fn a_reference_is_shown_as_what_it_points_at() {
        let reference = "@Microsoft.KeyVault(VaultName=v;SecretName=sql)";
        check(reference, &[], VisibleValue::Reference(target("sql")));
        check(reference, &["A"], VisibleValue::Reference(target("sql")));
    }

    #[test]
    fn a_malformed_reference_is_plain_text() {
        check("@Microsoft.KeyVault(oops", &[], VisibleValue::Withheld);
    }

    #[test]
    fn references_are_sorted_by_name() {
        let visible = visible_references(
            [("B", "b"), ("A", "a")].map(|(n, s)| (n.parse().unwrap(), target(s))),
        );
        assert_eq!(
            visible
                .iter()
                .map(|setting| setting.name.as_str())
                .collect::<Vec<_>>(),
            ["A", "B"]
        );
    }
}
