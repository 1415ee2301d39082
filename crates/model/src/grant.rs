//! Grants: the rights of a policy in an app, beyond references to the event's secret.

use std::fmt;
use std::str::FromStr;

use wildmatch::WildMatch;

use crate::names::{NameError, SecretName, SettingName, VaultHost};
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

/// A secret that a policy may reference: `name` in the event's vault, or `vault/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedSecret {
    vault: Option<String>,
    secret: SecretName,
}

impl GrantedSecret {
    /// Whether `name` is that of the secret, or the host of its vault.
    fn has_name(&self, name: &str, event_vault: &VaultHost) -> bool {
        let is_host = |vault: &String| {
            let host = VaultHost::from_name(vault, event_vault.suffix());
            host.is_ok_and(|host| host.as_str() == name)
        };
        self.secret.as_str().eq_ignore_ascii_case(name) || self.vault.as_ref().is_some_and(is_host)
    }

    fn is(&self, target: &Target, event_vault: &VaultHost) -> bool {
        let vault_matches = match &self.vault {
            None => target.vault_host == *event_vault,
            Some(vault) => {
                target.vault_host.suffix() == event_vault.suffix()
                    && target.vault_host.vault() == vault
            }
        };
        vault_matches && self.secret == target.secret
    }
}

impl fmt::Display for GrantedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(vault) = &self.vault {
            write!(f, "{vault}/")?;
        }
        write!(f, "{}", self.secret)
    }
}

impl FromStr for GrantedSecret {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (vault, secret) = match text.split_once('/') {
            Some((vault, secret)) => (
                Some(VaultHost::from_name(vault, "example")?.vault().to_owned()),
                secret,
            ),
            None => (None, text),
        };
        Ok(Self {
            vault,
            secret: secret.parse()?,
        })
    }
}

/// Settings that the platform, the runtime or keyrelay itself depends on. A wrong value can stop
/// the app, or send its code or its data elsewhere, so patterns never grant them. In lower case; a
/// `*` at the end matches every suffix.
const PROTECTED: &[&str] = &[
    "appinsights_*",
    "applicationinsights_*",
    "applicationinsightsagent_*",
    "appsetting_*",
    "aspnetcore_*",
    "azurefunctionsjobhost__*",
    "azurefunctionswebhost__*",
    "azurewebjobs*",
    "container_*",
    "deployment_storage_connection_string",
    "diagnostics_*",
    "docker_*",
    "dotnet_*",
    "enable_oryx_build",
    "functions_*",
    "http_*",
    "https_*",
    "identity_*",
    "java_opts",
    "keyrelay_*",
    "languageworkers__*",
    "ld_*",
    "msdeploy_*",
    "msi_*",
    "node_options",
    "path",
    "pip_*",
    "post_build_*",
    "pre_build_*",
    "python*",
    "scm_*",
    "web_*",
    "website_*",
    "websites_*",
    "xdt_*",
];

/// Whether a setting is protected, because a wrong value can break the app. Compares without case,
/// as some platforms do.
pub fn is_protected(name: &SettingName) -> bool {
    let name = name.as_str().to_ascii_lowercase();
    PROTECTED
        .iter()
        .any(|protected| match protected.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *protected,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SettingName {
        text.parse().unwrap()
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
            "AzureWebJobsStorage__accountName",
            "azurewebjobsstorage",
            "FUNCTIONS_WORKER_RUNTIME",
            "WEBSITE_RUN_FROM_PACKAGE",
            "APPLICATIONINSIGHTS_CONNECTION_STRING",
            "DEPLOYMENT_STORAGE_CONNECTION_STRING",
            "PATH",
        ] {
            assert!(is_protected(&name(protected)), "{protected}");
            assert!(!grant_set(&["*"]).may_set(&name(protected)), "{protected}");
            assert!(
                grant_set(&[protected]).may_set(&name(protected)),
                "{protected}"
            );
        }
        assert!(!is_protected(&name("SQL_PASSWORD")));
    }

    #[test]
    fn a_grant_lists_exact_names_only() {
        let event_vault: VaultHost = "kv.vault.azure.net".parse().unwrap();
        let grant = Grant {
            set: vec!["SQL_*".parse().unwrap(), "API_KEY".parse().unwrap()],
            remove: vec!["OLD".parse().unwrap()],
            secrets: vec!["other/sql-b".parse().unwrap(), "sql-c".parse().unwrap()],
            ..Grant::default()
        };
        for listed in ["API_KEY", "OLD", "sql-b", "sql-c", "other.vault.azure.net"] {
            assert!(grant.lists(listed, &event_vault), "{listed}");
        }
        for other in ["SQL_*", "SQL_A", "sql-d", "other", "other.example.net", ""] {
            assert!(!grant.lists(other, &event_vault), "{other}");
        }
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
    fn a_granted_secret_is_of_the_events_vault_unless_it_names_another() {
        let event_vault: VaultHost = "kv.vault.azure.net".parse().unwrap();
        let target = |vault: &str| Target {
            vault_host: format!("{vault}.vault.azure.net").parse().unwrap(),
            secret: "sql-b".parse().unwrap(),
            version: None,
        };
        let same: GrantedSecret = "SQL-B".parse().unwrap();
        assert!(same.is(&target("kv"), &event_vault) && !same.is(&target("other"), &event_vault));
        let other: GrantedSecret = "Other/sql-b".parse().unwrap();
        assert!(other.is(&target("other"), &event_vault) && !other.is(&target("kv"), &event_vault));
        assert!(
            "a/b/c".parse::<GrantedSecret>().is_err() && "/b".parse::<GrantedSecret>().is_err()
        );
    }
}
