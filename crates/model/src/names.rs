//! Validated names of Key Vault and App Service, one type for each kind.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// An error from parsing a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}: {reason}")]
pub struct NameError {
    kind: &'static str,
    text: String,
    reason: &'static str,
}

impl NameError {
    fn new(kind: &'static str, text: &str, reason: &'static str) -> Self {
        // The input may be megabytes long.
        let text = text.chars().take(80).collect();
        Self { kind, text, reason }
    }

    /// The same error, but about the text that contains the name.
    pub(crate) fn of(self, text: &str) -> Self {
        Self::new(self.kind, text, self.reason)
    }
}

/// Defines a name that keeps its spelling and compares without ASCII case, as Key Vault does.
macro_rules! name_without_case {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(String);

        impl $name {
            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            fn folded(&self) -> impl Iterator<Item = u8> + '_ {
                self.0.bytes().map(|byte| byte.to_ascii_lowercase())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.folded().for_each(|byte| state.write_u8(byte));
                state.write_u8(0xff);
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.folded().cmp(other.folded())
            }
        }
    };
}

name_without_case! {
    /// The name of a secret, certificate or key: 1 to 127 letters, digits and dashes.
    SecretName
}

name_without_case! {
    /// The version of a secret: letters and digits, 32 hexadecimal ones in practice.
    SecretVersion
}

impl FromStr for SecretName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if (1..=127).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(
                "secret name",
                text,
                "it has 1 to 127 letters, digits and dashes",
            ))
        }
    }
}

impl FromStr for SecretVersion {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(
                "secret version",
                text,
                "it has 1 to 64 letters and digits",
            ))
        }
    }
}

/// The host of a vault, always in lower case: `contoso-kv.vault.azure.net`. Its first label is the
/// vault's name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VaultHost(String);

impl VaultHost {
    /// The host of the vault `name` in the cloud whose vaults end in `suffix` (`vault.azure.net`).
    pub fn from_name(name: &str, suffix: &str) -> Result<Self, NameError> {
        if name.contains('.') {
            return Err(NameError::new(
                "vault name",
                name,
                "it has 3 to 24 letters, digits and dashes",
            ));
        }
        Self::checked([name, ".", suffix].concat())
    }

    fn checked(mut text: String) -> Result<Self, NameError> {
        text.make_ascii_lowercase();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let label = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(allowed)
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        if text.len() <= 253 && text.contains('.') && text.split('.').all(label) {
            Ok(Self(text))
        } else {
            Err(NameError::new(
                "vault host",
                &text,
                "expected a host like `contoso-kv.vault.azure.net`",
            ))
        }
    }

    /// The whole host.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The vault's name: the host's first label.
    pub fn vault(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// The suffix after the vault's name: `vault.azure.net`.
    pub fn suffix(&self) -> &str {
        self.0
            .split_once('.')
            .map(|(_, suffix)| suffix)
            .unwrap_or_default()
    }
}

impl FromStr for VaultHost {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::checked(text.to_owned())
    }
}

impl fmt::Display for VaultHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VaultHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The name of an app setting. Compares exactly: two spellings are two settings, so that no setting
/// is lost.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SettingName(String);

impl SettingName {
    /// Wraps the name of a setting that Azure listed. It is not validated, because the setting must
    /// be written back.
    pub fn listed(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SettingName {
    type Err = NameError;

    /// Parses the name of a setting to write: letters, digits, `_`, `.`, `:` and `-`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
        if (1..=256).contains(&text.len()) && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(
                "setting name",
                text,
                "it has 1 to 256 letters, digits, underscores, dots, colons and dashes",
            ))
        }
    }
}

impl fmt::Display for SettingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SettingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_compare_without_case_and_keep_their_spelling() {
        let written: SecretName = "Sql-Password".parse().unwrap();
        assert_eq!(written, "sql-PASSWORD".parse().unwrap());
        assert_eq!(written.to_string(), "Sql-Password");
    }

    #[test]
    fn names_of_settings_compare_exactly() {
        let upper: SettingName = "A".parse().unwrap();
        let lower: SettingName = "a".parse().unwrap();
        assert_ne!(upper, lower);
    }

    #[test]
    fn a_vault_host_is_split() {
        let host: VaultHost = "Contoso-KV.vault.azure.net".parse().unwrap();
        assert_eq!(
            (host.vault(), host.suffix()),
            ("contoso-kv", "vault.azure.net")
        );
        assert_eq!(
            VaultHost::from_name("contoso-kv", "vault.azure.net"),
            Ok(host)
        );
    }

    #[test]
    fn a_malformed_name_is_refused() {
        for text in ["", "a b", "a/b", "é", &"x".repeat(128)] {
            assert!(text.parse::<SecretName>().is_err(), "{text}");
        }
        for text in ["", "localhost", "a..b", "-a.b", "a.b/c", "a b.c", "a.b:443"] {
            assert!(text.parse::<VaultHost>().is_err(), "{text}");
        }
        for text in ["", "A=B", "A B", "A\nB"] {
            assert!(text.parse::<SettingName>().is_err(), "{text}");
        }
    }
}
