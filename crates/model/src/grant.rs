//! Grants: the rights of a policy in an app, beyond references to the event's secret.

use std::fmt;
use std::str::FromStr;

use wildmatch::WildMatch;

use crate::names::{NameError, SecretName, SettingName, VaultHost};
use crate::protected::is_protected;
use crate::target::Target;

/// The rights that a rotation grants its policy.
///
/// Every policy may change settings that already reference the event's secret to another reference
/// to the same secret. The default grant adds nothing to that.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grant {
    /// Settings that the policy may write. A pattern does not match protected names.
    pub set: Vec<NamePattern>,
    /// Settings that the policy may remove. A pattern does not match protected names.
    pub remove: Vec<NamePattern>,
    /// Settings whose plain text the policy may see, if it has 4 bytes or more: a shorter text cannot
    /// be redacted.
    pub reveal: Vec<SettingName>,
    /// Secrets, other than the event's, that the policy may reference in the settings it may write.
    pub secrets: Vec<GrantedSecret>,
    /// Whether the policy may write plain text into the settings of `set`.
    pub text: bool,
}

impl Grant {
    pub(crate) fn may_set(&self, name: &SettingName) -> bool {
        self.set.iter().any(|pattern| pattern.grants(name))
    }

    pub(crate) fn may_remove(&self, name: &SettingName) -> bool {
        self.remove.iter().any(|pattern| pattern.grants(name))
    }

    pub(crate) fn may_reference(&self, target: &Target, event_vault: &VaultHost) -> bool {
        self.secrets
            .iter()
            .any(|granted| granted.is(target, event_vault))
    }

    /// Whether the grant lists this exact name: of a setting, of a secret, or of the host of a
    /// secret's vault.
    pub fn lists(&self, name: &str, event_vault: &VaultHost) -> bool {
        let mut settings = self.set.iter().chain(&self.remove);
        let mut secrets = self.secrets.iter();
        settings.any(|pattern| pattern.is_exact() && pattern.text == name)
            || secrets.any(|granted| granted.has_name(name, event_vault))
    }

    /// Whether the policy may see the plain text of this setting.
    pub fn reveals(&self, name: &SettingName) -> bool {
        self.reveal.contains(name)
    }
}

/// A setting's name, or a pattern of names with `*` (any characters) and `?` (one character).
#[derive(Clone, PartialEq)]
pub struct NamePattern {
    text: String,
    pattern: WildMatch,
}

impl NamePattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn is_exact(&self) -> bool {
        !self.text.contains(['*', '?'])
    }

    fn grants(&self, name: &SettingName) -> bool {
        if self.is_exact() {
            self.text == name.as_str()
        } else {
            !is_protected(name) && self.pattern.matches(name.as_str())
        }
    }
}

impl FromStr for NamePattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // With its wildcards replaced by letters, a pattern must be a valid name.
        text.replace(['*', '?'], "x")
            .parse::<SettingName>()
            .map_err(|error| error.of(text))?;
        Ok(Self {
            text: text.to_owned(),
            pattern: WildMatch::new(text),
        })
    }
}

impl fmt::Debug for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// A secret that a policy may reference, always with its vault: `vault/name`. The vault is that of
/// the rule, and never that of the event, whose sender chooses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedSecret {
    /// The vault's name, in lower case.
    vault: String,
    secret: SecretName,
}

impl GrantedSecret {
    /// The secret `secret` of the vault named `vault`.
    pub fn new(vault: &str, secret: SecretName) -> Result<Self, NameError> {
        let host = VaultHost::from_name(vault, "example")?;
        Ok(Self {
            vault: host.vault().to_owned(),
            secret,
        })
    }

    /// Whether `name` is that of the secret, or the host of its vault.
    fn has_name(&self, name: &str, event_vault: &VaultHost) -> bool {
        let is_host = |vault: &String| {
            let host = VaultHost::from_name(vault, event_vault.suffix());
            host.is_ok_and(|host| host.as_str() == name)
        };
        self.secret.as_str().eq_ignore_ascii_case(name) || is_host(&self.vault)
    }

    /// Whether `target` is this secret, in the cloud of the event.
    fn is(&self, target: &Target, event_vault: &VaultHost) -> bool {
        target.vault_host.suffix() == event_vault.suffix()
            && target.vault_host.vault() == self.vault
            && self.secret == target.secret
    }
}

impl fmt::Display for GrantedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vault, self.secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SettingName {
        text.parse().unwrap()
    }

    fn secret(vault: &str, name: &str) -> GrantedSecret {
        GrantedSecret::new(vault, name.parse().unwrap()).unwrap()
    }

    fn grant_set(patterns: &[&str]) -> Grant {
        Grant {
            set: patterns.iter().map(|text| text.parse().unwrap()).collect(),
            ..Grant::default()
        }
    }

    #[test]
    fn a_pattern_grants_what_it_matches_exactly_by_case() {
        let grant = grant_set(&["SQL_*", "API_KEY"]);
        assert!(grant.may_set(&name("SQL_PASSWORD")));
        assert!(grant.may_set(&name("API_KEY")));
        assert!(!grant.may_set(&name("sql_password")));
        assert!(!grant.may_set(&name("API_KEY_2")));
    }

    #[test]
    fn a_pattern_never_grants_a_protected_name() {
        for protected in [
            "AzureWebJobsStorage",
            "PATH",
            "LD.PRELOAD",
            "AzureFunctionsJobHost:x",
            "JAVA_TOOL_OPTIONS",
            "CORECLR_PROFILER_PATH",
        ] {
            for pattern in ["*", "?*", "L*", "A*", "J*", "C*", "P*"] {
                let granted = grant_set(&[pattern]).may_set(&name(protected));
                assert!(!granted, "{pattern} {protected}");
            }
            assert!(
                grant_set(&[protected]).may_set(&name(protected)),
                "{protected}"
            );
        }
        // The exact name of another spelling grants nothing.
        assert!(!grant_set(&["LD_PRELOAD"]).may_set(&name("LD.PRELOAD")));
    }

    #[test]
    fn a_grant_lists_exact_names_only() {
        let event_vault: VaultHost = "kv.vault.azure.net".parse().unwrap();
        let grant = Grant {
            set: vec!["SQL_*".parse().unwrap(), "API_KEY".parse().unwrap()],
            remove: vec!["OLD".parse().unwrap()],
            secrets: vec![secret("other", "sql-b"), secret("kv", "sql-c")],
            ..Grant::default()
        };
        for listed in [
            "API_KEY",
            "OLD",
            "sql-b",
            "sql-c",
            "other.vault.azure.net",
            "kv.vault.azure.net",
        ] {
            assert!(grant.lists(listed, &event_vault), "{listed}");
        }
        for other in ["SQL_*", "SQL_A", "sql-d", "other", "other.example.net", ""] {
            assert!(!grant.lists(other, &event_vault), "{other}");
        }
    }

    #[test]
    fn a_setting_is_revealed_by_its_exact_name_only() {
        let grant = Grant {
            set: vec!["*".parse().unwrap()],
            reveal: vec![name("SQL_USER")],
            ..Grant::default()
        };
        assert!(grant.reveals(&name("SQL_USER")));
        for other in ["sql_user", "SQL_USER_2", "SQL"] {
            assert!(!grant.reveals(&name(other)), "{other}");
        }
    }

    #[test]
    fn a_pattern_is_shown_as_it_was_written() {
        let pattern: NamePattern = "Sql_*".parse().unwrap();
        assert_eq!(pattern.as_str(), "Sql_*");
    }

    #[test]
    fn a_pattern_is_made_of_name_characters() {
        assert!("SQL_*".parse::<NamePattern>().is_ok());
        for text in ["", "A B*", "A=*"] {
            let error = text.parse::<NamePattern>().unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("`{text}` is not")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_granted_secret_is_of_its_own_vault_and_never_of_the_events() {
        let target = |vault: &str| Target {
            vault_host: vault.parse().unwrap(),
            secret: "sql-b".parse().unwrap(),
            version: None,
        };
        let granted = GrantedSecret::new("Kv", "SQL-B".parse().unwrap()).unwrap();
        for event_vault in ["kv.vault.azure.net", "attacker-kv.vault.azure.net"] {
            let event_vault = event_vault.parse().unwrap();
            assert!(granted.is(&target("kv.vault.azure.net"), &event_vault));
            assert!(!granted.is(&target("attacker-kv.vault.azure.net"), &event_vault));
            assert!(!granted.is(&target("kv.vault.azure.cn"), &event_vault));
        }
        assert_eq!(granted.to_string(), "kv/SQL-B");
        for vault in ["", "a/b", "a.b"] {
            assert!(
                GrantedSecret::new(vault, "sql".parse().unwrap()).is_err(),
                "{vault}"
            );
        }
    }
}
