//! Holds: an operator stops the rotations of one secret, without a change of the configuration.
//!
//! `holds/<vault host>/<secret>.json` is a [`Hold`]. While it is there, the events of the secret are
//! handled as in the mode `monitor`: decided and recorded, and no app is changed.

use jiff::Timestamp;
use keyrelay_model::{SecretName, VaultHost};
use keyrelay_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// The format of the holds that this version writes. A hold with a higher one holds as well.
pub const FORMAT: u32 = 1;

const FOLDER: &str = "holds";

/// The beginning of the remark that a run has because of a hold.
const NOTE: &str = "held: ";

/// The holds in a store.
#[derive(Debug, Clone)]
pub struct Holds(Store);

/// A held secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// [`FORMAT`].
    pub format: u32,
    /// The host of the vault.
    pub vault_host: String,
    /// The name of the secret.
    pub secret: String,
    /// The operator who holds it.
    pub by: String,
    /// The time since which it is held.
    pub at: Timestamp,
    /// The reason.
    pub why: String,
}

impl Hold {
    /// The remark for a run whose rotations are only monitored because of this hold.
    pub fn note(&self) -> String {
        let Self { by, at, why, .. } = self;
        format!("{NOTE}{by} holds the secret since {at:.0}: {why}")
    }

    /// Whether a remark of a run is that of a hold.
    pub fn is_note(note: &str) -> bool {
        note.starts_with(NOTE)
    }
}

impl Holds {
    /// The holds in this store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// The same holds, for operations that end by `moment`.
    #[must_use]
    pub fn until(&self, moment: Instant) -> Self {
        Self(self.0.with_deadline(Some(moment)))
    }

    /// The hold of a secret. None: it is not held.
    ///
    /// Fails if the store does, and if the object cannot be read: then the secret may be held.
    pub async fn find(
        &self,
        vault: &VaultHost,
        secret: &SecretName,
    ) -> Result<Option<Hold>, StoreError> {
        let found = self.0.read_json(&key(vault, secret)).await?;
        Ok(found.map(|(hold, _)| hold))
    }

    /// All holds, sorted by vault and secret. Fails if the store does, and if one of them cannot be
    /// read.
    pub async fn list(&self) -> Result<Vec<Hold>, StoreError> {
        let mut holds = Vec::new();
        for key in self.0.list(FOLDER).await? {
            let found = self.0.read_json(&key).await?;
            holds.extend(found.map(|(hold, _)| hold));
        }
        Ok(holds)
    }

    /// Holds a secret. Returns false if it is held already, and then leaves that hold unchanged.
    pub async fn place(
        &self,
        vault: &VaultHost,
        secret: &SecretName,
        hold: &Hold,
    ) -> Result<bool, StoreError> {
        match self.0.create(&key(vault, secret), hold).await {
            Err(error) if error.is_conflict() => Ok(false),
            created => created.map(|_| true),
        }
    }

    /// Removes the hold of a secret, and returns it. None: it is not held. One that cannot be read
    /// stays, with an error.
    pub async fn release(
        &self,
        vault: &VaultHost,
        secret: &SecretName,
    ) -> Result<Option<Hold>, StoreError> {
        let hold = self.find(vault, secret).await?;
        if hold.is_some() {
            self.0.delete(&key(vault, secret)).await?;
        }
        Ok(hold)
    }
}

fn key(vault: &VaultHost, secret: &SecretName) -> String {
    format!(
        "{FOLDER}/{vault}/{}.json",
        secret.as_str().to_ascii_lowercase()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_held_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let holds = Holds::new(Store::folder(folder.path()).unwrap());
        let vault: VaultHost = "kv.vault.azure.net".parse().unwrap();
        let name = |text: &str| text.parse::<SecretName>().unwrap();
        let hold = Hold {
            format: FORMAT,
            vault_host: vault.to_string(),
            secret: "SQL".to_owned(),
            by: "ada".to_owned(),
            at: "2026-11-26T10:00:00Z".parse().unwrap(),
            why: "the freeze".to_owned(),
        };
        assert_eq!(holds.find(&vault, &name("sql")).await.unwrap(), None);
        assert!(holds.place(&vault, &name("SQL"), &hold).await.unwrap());
        assert!(!holds.place(&vault, &name("sql"), &hold).await.unwrap());
        assert_eq!(
            holds.find(&vault, &name("Sql")).await.unwrap(),
            Some(hold.clone())
        );
        assert_eq!(holds.list().await.unwrap(), std::slice::from_ref(&hold));
        assert_eq!(holds.find(&vault, &name("sql-b")).await.unwrap(), None);
        let released = holds.release(&vault, &name("sql")).await.unwrap();
        assert_eq!(released, Some(hold.clone()));
        assert_eq!(holds.release(&vault, &name("sql")).await.unwrap(), None);
        let note = hold.note();
        assert_eq!(
            note,
            "held: ada holds the secret since 2026-11-26T10:00:00Z: the freeze"
        );
        assert!(Hold::is_note(&note) && !Hold::is_note("withheld: x"));
    }
}
