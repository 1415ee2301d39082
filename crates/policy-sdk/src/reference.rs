//! Constructors of [`Reference`].

use crate::bindings::keyrelay::policy::types::Reference;

impl Reference {
    /// Creates a reference to the newest version of a secret.
    pub fn to(vault_host: &str, secret: &str) -> Self {
        Self {
            vault_host: vault_host.to_owned(),
            secret: secret.to_owned(),
            version: None,
        }
    }

    /// The same reference, pinned to a version.
    #[must_use]
    pub fn at(&self, version: &str) -> Self {
        Self {
            version: Some(version.to_owned()),
            ..self.clone()
        }
    }

    /// The same reference without a version. Azure uses the newest.
    #[must_use]
    pub fn unpinned(&self) -> Self {
        Self {
            version: None,
            ..self.clone()
        }
    }
}
