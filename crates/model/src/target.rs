//! The target of a Key Vault reference.

use crate::event::Event;
use crate::names::{SecretName, SecretVersion, VaultHost};

/// The secret that a reference names, and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The vault's host.
    pub vault_host: VaultHost,
    /// The secret's name.
    pub secret: SecretName,
    /// The pinned version. Without one, Azure uses the newest, up to 24 hours late.
    pub version: Option<SecretVersion>,
}

impl Target {
    /// Whether two targets are the same secret of the same vault, in any version.
    pub fn same_secret(&self, other: &Self) -> bool {
        self.vault_host == other.vault_host && self.secret == other.secret
    }

    /// Whether the target is the secret that the event is about.
    pub fn is_of(&self, event: &Event) -> bool {
        event.can_be_referenced()
            && self.vault_host == event.vault_host
            && self.secret == event.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_same_in_any_version_but_not_in_another_vault() {
        let target = |vault: &str, secret: &str, version: Option<&str>| Target {
            vault_host: vault.parse().unwrap(),
            secret: secret.parse().unwrap(),
            version: version.map(|it| it.parse().unwrap()),
        };
        let one = target("kv.vault.azure.net", "sql", None);
        assert!(one.same_secret(&target("KV.vault.azure.net", "SQL", Some("1"))));
        for (vault, secret) in [
            ("kv.vault.azure.net", "other"),
            ("kw.vault.azure.net", "sql"),
            ("kv.vault.azure.cn", "sql"),
            ("kw.vault.azure.net", "other"),
        ] {
            let other = target(vault, secret, None);
            assert!(!one.same_secret(&other), "{vault} {secret}");
        }
    }
}
