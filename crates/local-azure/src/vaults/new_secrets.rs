//! Secrets with a new version.

use std::collections::BTreeSet;

/// Secrets by the names of vault and secret, both in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewSecrets(BTreeSet<(String, String)>);

impl NewSecrets {
    /// The secrets with these names in lower case.
    pub(super) fn new(names: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Whether a secret is one of them.
    pub(crate) fn contains(&self, vault: &str, secret: &str) -> bool {
        !self.0.is_empty()
            && self
                .0
                .contains(&(vault.to_lowercase(), secret.to_lowercase()))
    }
}
