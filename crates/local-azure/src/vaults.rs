//! The vaults and their secrets, whoever asks for them and however.

mod events;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

pub(crate) use events::{Occurrence, event};

use crate::azure_cloud::AzureCloud;
use crate::hidden::Hidden;
use crate::world::{self, World, is_name};

/// What can be changed on a version without making a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Whether the version can be read.
    pub enabled: bool,
    /// From when on it is meant to be used.
    pub not_before: Option<Timestamp>,
    /// Until when it is meant to be used.
    pub expires: Option<Timestamp>,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            enabled: true,
            not_before: None,
            expires: None,
        }
    }
}

/// Why a vault does not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The name is not one that a secret can have.
    #[error("`{0}` cannot be a secret's name")]
    InvalidName(String),
    /// There is no such secret, or no such version of it.
    #[error("there is no secret `{0}`")]
    NotFound(String),
    /// There is no such secret among the deleted ones.
    #[error("there is no deleted secret `{0}`")]
    NotDeleted(String),
    /// A deleted secret keeps its name until it is purged.
    #[error("the secret `{0}` is deleted and can be recovered")]
    Deleted(String),
}

/// One version of a secret.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) value: Hidden,
    pub(crate) attributes: Attributes,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) content_type: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// What a new version is made of.
#[derive(Debug)]
pub(crate) struct NewVersion {
    pub(crate) value: Hidden,
    pub(crate) attributes: Attributes,
    pub(crate) content_type: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

impl NewVersion {
    /// A version with nothing but a value.
    pub(crate) fn of(value: Hidden) -> Self {
        Self {
            value,
            attributes: Attributes::default(),
            content_type: None,
            tags: BTreeMap::new(),
        }
    }
}

/// A secret: its name as it was first written, and its versions.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    pub(crate) name: String,
    /// What is meant when no version is named, be it enabled or not.
    pub(crate) newest: Version,
    older: Vec<Version>,
}

impl Secret {
    pub(crate) fn versions(&self) -> impl Iterator<Item = &Version> {
        self.older.iter().chain([&self.newest])
    }

    fn version_mut(&mut self, id: Option<&str>) -> Option<&mut Version> {
        let mut versions = self.older.iter_mut().chain([&mut self.newest]);
        match id {
            Some(id) => versions.find(|version| version.id.eq_ignore_ascii_case(id)),
            None => versions.last(),
        }
    }
}

/// A vault.
#[derive(Debug)]
pub(crate) struct Vault {
    pub(crate) name: String,
    resource_group: String,
    /// The Resource Manager id.
    pub(crate) id: String,
    /// `https://{name}.vault.azure.net`: what ids in bodies and events begin with, wherever the stand-in listens.
    pub(crate) url: String,
    denies: Vec<String>,
    secrets: Mutex<Secrets>,
}

/// Secrets by their names in lower case, because names compare without.
#[derive(Debug, Default)]
struct Secrets {
    live: BTreeMap<String, Secret>,
    deleted: BTreeMap<String, Deleted>,
}

/// A deleted secret.
#[derive(Debug, Clone)]
pub(crate) struct Deleted {
    pub(crate) secret: Secret,
    pub(crate) at: Timestamp,
}

impl Vault {
    fn new(vault: &world::Vault, subscription: &str, cloud: AzureCloud, now: Timestamp) -> Self {
        let id = format!(
            "/subscriptions/{subscription}/resourceGroups/{}/providers/Microsoft.KeyVault/vaults/{}",
            vault.resource_group, vault.name
        );
        let first = |(name, value): (&String, &Hidden)| {
            let newest = Version::new(NewVersion::of(value.clone()), now);
            (
                name.to_lowercase(),
                Secret {
                    name: name.clone(),
                    newest,
                    older: Vec::new(),
                },
            )
        };
        let live = vault.secrets.iter().map(first).collect();
        Self {
            name: vault.name.clone(),
            resource_group: vault.resource_group.clone(),
            id,
            url: format!(
                "https://{}.{}",
                vault.name.to_lowercase(),
                cloud.vault_suffix()
            ),
            denies: vault.denies.clone(),
            secrets: Mutex::new(Secrets {
                live,
                deleted: BTreeMap::new(),
            }),
        }
    }

    /// Whether an identity may not read the vault.
    pub(crate) fn denies(&self, caller: &str) -> bool {
        self.denies.iter().any(|it| it.eq_ignore_ascii_case(caller))
    }

    /// Makes a new version, and the secret if there is none yet.
    pub(crate) fn set(
        &self,
        name: &str,
        made_of: NewVersion,
        now: Timestamp,
    ) -> Result<(Secret, Version), VaultError> {
        if !is_name(name, 127) {
            return Err(VaultError::InvalidName(name.to_owned()));
        }
        let mut secrets = self.lock();
        if secrets.deleted.contains_key(&name.to_lowercase()) {
            return Err(VaultError::Deleted(name.to_owned()));
        }
        let version = Version::new(made_of, now);
        let secret = match secrets.live.entry(name.to_lowercase()) {
            Entry::Occupied(entry) => {
                let secret = entry.into_mut();
                secret
                    .older
                    .push(mem::replace(&mut secret.newest, version.clone()));
                secret
            }
            Entry::Vacant(entry) => entry.insert(Secret {
                name: name.to_owned(),
                newest: version.clone(),
                older: Vec::new(),
            }),
        };
        Ok((secret.clone(), version))
    }

    /// Changes a version, by its id or the newest, without making a new one.
    pub(crate) fn update(
        &self,
        name: &str,
        version: Option<&str>,
        now: Timestamp,
        change: impl FnOnce(&mut Version),
    ) -> Result<(Secret, Version), VaultError> {
        let mut secrets = self.lock();
        let missing = || VaultError::NotFound(path_of(name, version));
        let secret = secrets
            .live
            .get_mut(&name.to_lowercase())
            .ok_or_else(missing)?;
        let changed = secret.version_mut(version).ok_or_else(missing)?;
        change(changed);
        changed.updated = now;
        let changed = changed.clone();
        Ok((secret.clone(), changed))
    }

    pub(crate) fn secret(&self, name: &str) -> Result<Secret, VaultError> {
        self.lock()
            .live
            .get(&name.to_lowercase())
            .cloned()
            .ok_or_else(|| VaultError::NotFound(name.to_owned()))
    }

    /// A version by its id, or the newest.
    pub(crate) fn version(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<(Secret, Version), VaultError> {
        let missing = || VaultError::NotFound(path_of(name, version));
        let mut secret = self.secret(name).map_err(|_| missing())?;
        let found = secret.version_mut(version).ok_or_else(missing)?.clone();
        Ok((secret, found))
    }

    pub(crate) fn all(&self) -> Vec<Secret> {
        self.lock().live.values().cloned().collect()
    }

    pub(crate) fn delete(&self, name: &str, now: Timestamp) -> Result<Deleted, VaultError> {
        let mut secrets = self.lock();
        let key = name.to_lowercase();
        let secret = secrets
            .live
            .remove(&key)
            .ok_or_else(|| VaultError::NotFound(name.to_owned()))?;
        let deleted = Deleted { secret, at: now };
        secrets.deleted.insert(key, deleted.clone());
        Ok(deleted)
    }

    pub(crate) fn deleted(&self, name: &str) -> Result<Deleted, VaultError> {
        let missing = || VaultError::NotDeleted(name.to_owned());
        self.lock()
            .deleted
            .get(&name.to_lowercase())
            .cloned()
            .ok_or_else(missing)
    }

    pub(crate) fn all_deleted(&self) -> Vec<Deleted> {
        self.lock().deleted.values().cloned().collect()
    }

    /// Takes a deleted secret out of the vault for ever.
    pub(crate) fn purge(&self, name: &str) -> Result<(), VaultError> {
        let missing = || VaultError::NotDeleted(name.to_owned());
        self.lock()
            .deleted
            .remove(&name.to_lowercase())
            .map(drop)
            .ok_or_else(missing)
    }

    pub(crate) fn recover(&self, name: &str) -> Result<Secret, VaultError> {
        let mut secrets = self.lock();
        let missing = || VaultError::NotDeleted(name.to_owned());
        let secret = secrets
            .deleted
            .remove(&name.to_lowercase())
            .ok_or_else(missing)?
            .secret;
        secrets.live.insert(name.to_lowercase(), secret.clone());
        Ok(secret)
    }

    fn lock(&self) -> MutexGuard<'_, Secrets> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Version {
    fn new(made_of: NewVersion, now: Timestamp) -> Self {
        Self {
            id: Uuid::new_v4().simple().to_string(),
            value: made_of.value,
            attributes: made_of.attributes,
            created: now,
            updated: now,
            content_type: made_of.content_type,
            tags: made_of.tags,
        }
    }
}

fn path_of(name: &str, version: Option<&str>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name}/{version}"))
}

/// All vaults of the world.
#[derive(Debug)]
pub(crate) struct Vaults(Vec<Vault>);

impl Vaults {
    pub(crate) fn new(world: &World, now: Timestamp) -> Self {
        Self(
            world
                .vaults
                .iter()
                .map(|vault| Vault::new(vault, &world.subscription, world.cloud, now))
                .collect(),
        )
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Vault> {
        self.0
            .iter()
            .find(|vault| vault.name.eq_ignore_ascii_case(name))
    }

    /// The resource groups that have a vault.
    pub(crate) fn resource_groups(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|vault| vault.resource_group.as_str())
    }

    /// The one vault, if there is just one.
    pub(crate) fn only(&self) -> Option<&Vault> {
        match self.0.as_slice() {
            [vault] => Some(vault),
            _ => None,
        }
    }
}
