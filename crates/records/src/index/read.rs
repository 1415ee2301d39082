//! Reads the index.

use futures::future::try_join_all;
use jiff::Timestamp;
use keyrelay_model::{SecretName, VaultHost};
use keyrelay_store::{ObjectVersion, StoreError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{
    FOLDER, FORMAT, Index, IndexPart, IndexShard, IndexState, IndexedApp, IndexedRule,
    IndexedSecret, NewestVersion, STATE, part_key, shard_key,
};

/// The apps that use a secret, as far as the index knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Users {
    /// These apps.
    Apps(Vec<IndexedApp>),
    /// The index cannot tell, for this reason.
    Unknown(String),
}

/// A secret of the index, and the apps that use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUsers {
    /// The name of the secret, in lower case. Empty: the whole object cannot be read.
    pub secret: String,
    /// Its newest version, as far as events and the vault have shown.
    pub newest: Option<NewestVersion>,
    /// What the rules of the installation say of it.
    pub rule: IndexedRule,
    /// The apps.
    pub users: Users,
}

/// An object of the index, as read.
pub(super) enum Stored<T> {
    Missing,
    /// It cannot be read, or a newer keyrelay wrote it.
    Unreadable(ObjectVersion, String),
    Present(ObjectVersion, T),
}

/// The part of an object that tells its format.
#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

impl Index {
    /// Reads the state of the index. None: there is none that can be used.
    pub async fn state(&self) -> Result<Option<IndexState>, StoreError> {
        Ok(match self.get(STATE).await? {
            Stored::Present(_, state) => Some(state),
            Stored::Unreadable(_, reason) => {
                tracing::warn!("{STATE} is made again: {reason}");
                None
            }
            Stored::Missing => None,
        })
    }

    /// Reads the apps that use a secret: one object, and its parts if they are many.
    ///
    /// `state` tells whether an object that is missing was there.
    pub async fn users(
        &self,
        state: &IndexState,
        vault: &VaultHost,
        secret: &SecretName,
    ) -> Result<Users, StoreError> {
        let key = shard_key(vault, secret);
        let shard: IndexShard = match self.get(&key).await? {
            Stored::Present(_, shard) => shard,
            Stored::Missing if state.shards.contains(&key) => {
                return Ok(Users::Unknown(format!("{key} is missing")));
            }
            Stored::Missing => return Ok(Users::Apps(Vec::new())),
            Stored::Unreadable(_, reason) => {
                return Ok(Users::Unknown(format!("{key}: {reason}")));
            }
        };
        if is_incomplete(shard.made_again, state) {
            return Ok(Users::Unknown(being_made_again(&key)));
        }
        let name = secret.as_str().to_lowercase();
        match shard.secrets.get(&name) {
            Some(secret) => self.apps(&key, &name, secret, Some(state)).await,
            None => Ok(Users::Apps(Vec::new())),
        }
    }

    /// Lists the keys of all shards.
    pub async fn shards(&self) -> Result<Vec<String>, StoreError> {
        let keys = self.0.list(FOLDER).await?;
        // `index/<vault host>/<shard>.json`; parts are deeper, and the state is not as deep.
        let is_shard = |key: &String| key.matches('/').count() == 2;
        Ok(keys.into_iter().filter(is_shard).collect())
    }

    /// Reads the secrets of a shard with their apps, one secret after the other. The error of a
    /// secret is the reason why its apps cannot be read.
    pub async fn secrets(&self, key: &str) -> Result<Vec<SecretUsers>, StoreError> {
        let shard: IndexShard = match self.get(key).await? {
            Stored::Present(_, shard) => shard,
            Stored::Missing => return Ok(Vec::new()),
            Stored::Unreadable(_, reason) => {
                return Ok(vec![SecretUsers {
                    secret: String::new(),
                    newest: None,
                    rule: IndexedRule::default(),
                    users: Users::Unknown(reason),
                }]);
            }
        };
        let mut secrets = Vec::new();
        for (name, secret) in &shard.secrets {
            secrets.push(SecretUsers {
                secret: name.clone(),
                newest: secret.newest.clone(),
                rule: secret.rule.clone(),
                users: self.apps(key, name, secret, None).await?,
            });
        }
        Ok(secrets)
    }

    /// The apps of a secret in the shard at `key`. Parts that are being made again count as known
    /// without `state`.
    async fn apps(
        &self,
        key: &str,
        name: &str,
        secret: &IndexedSecret,
        state: Option<&IndexState>,
    ) -> Result<Users, StoreError> {
        let mut apps: Vec<IndexedApp> = secret.apps.values().cloned().collect();
        let parts = (0..secret.parts).map(|part| part_key(key, name, secret.parts, part));
        let parts = parts.map(|key| async move {
            let part: Stored<IndexPart> = self.get(&key).await?;
            Ok::<_, StoreError>((key, part))
        });
        for (key, part) in try_join_all(parts).await? {
            match part {
                Stored::Present(_, part)
                    if state.is_some_and(|state| is_incomplete(part.made_again, state)) =>
                {
                    return Ok(Users::Unknown(being_made_again(&key)));
                }
                Stored::Present(_, part) => apps.extend(part.apps.into_values()),
                Stored::Missing => return Ok(Users::Unknown(format!("{key} is missing"))),
                Stored::Unreadable(_, reason) => {
                    return Ok(Users::Unknown(format!("{key}: {reason}")));
                }
            }
        }
        Ok(Users::Apps(apps))
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Stored<T>, StoreError> {
        let Some(object) = self.0.read(key).await? else {
            return Ok(Stored::Missing);
        };
        let format = serde_json::from_slice(&object.bytes);
        Ok(match format.map(|Versioned { format }| format) {
            Ok(format) if format > FORMAT => {
                let reason = format!("it has format {format}, and this keyrelay knows {FORMAT}");
                Stored::Unreadable(object.version, reason)
            }
            Ok(_) => match serde_json::from_slice(&object.bytes) {
                Ok(value) => Stored::Present(object.version, value),
                Err(error) => Stored::Unreadable(object.version, error.to_string()),
            },
            Err(error) => Stored::Unreadable(object.version, error.to_string()),
        })
    }
}

/// Whether the sweep that makes an object again has not come to its end.
fn is_incomplete(made_again: Option<Timestamp>, state: &IndexState) -> bool {
    made_again.is_some_and(|began| began > state.swept)
}

fn being_made_again(key: &str) -> String {
    format!("{key} was lost, and is being made again")
}
