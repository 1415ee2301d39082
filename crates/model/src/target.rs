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
