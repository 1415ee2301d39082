//! A vault and its secrets.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::error::VaultError;
use super::secret::{DeletedSecret, NewVersion, Secret, Version};
use crate::azure_cloud::AzureCloud;
use crate::hidden::Hidden;
use crate::world::{self, AccessPolicy, is_name};

/// A vault.
#[derive(Debug)]
pub(crate) struct LocalVault {
    pub(crate) name: String,
    pub(crate) subscription: String,
    pub(crate) resource_group: String,
    /// The Resource Manager id.
    pub(crate) id: String,
    /// `https://{name}.vault.azure.net`, the prefix of ids in bodies and events. It does not depend
    /// on the listener.
    pub(crate) url: String,
    denies: Vec<String>,
    /// The access policies. `None` means that roles decide.
    policies: Option<Vec<AccessPolicy>>,
    secrets: Mutex<Secrets>,
}

/// The reason why an identity has no access to a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessRefusal {
    /// It has no role.
    ByRole,
    /// No access policy has the permission.
    ByPolicy,
}

/// Secrets by lower-case name, because names compare case-insensitively.
#[derive(Debug, Default)]
struct Secrets {
    live: BTreeMap<String, Secret>,
    deleted: BTreeMap<String, DeletedSecret>,
}

impl LocalVault {
    pub(super) fn new(
        vault: &world::Vault,
        subscription: &str,
        cloud: AzureCloud,
        now: Timestamp,
    ) -> Self {
        let subscription = vault.subscription.as_deref().unwrap_or(subscription);
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
                    set: None,
                },
            )
        };
        let live = vault.secrets.iter().map(first).collect();
        Self {
            name: vault.name.clone(),
            subscription: subscription.to_owned(),
            resource_group: vault.resource_group.clone(),
            id,
            url: format!(
                "https://{}.{}",
                vault.name.to_lowercase(),
                cloud.vault_suffix()
            ),
            denies: vault.denies.clone(),
            policies: vault.access_policies.then(|| vault.policies.clone()),
            secrets: Mutex::new(Secrets {
                live,
                deleted: BTreeMap::new(),
            }),
        }
    }

    /// The reason why an identity has no permission, such as `list`. `None` means that it has.
    pub(crate) fn refusal(&self, caller: &str, permission: &str) -> Option<AccessRefusal> {
        if self.denies.iter().any(|it| it.eq_ignore_ascii_case(caller)) {
            return Some(AccessRefusal::ByRole);
        }
        let policies = self.policies.as_ref()?;
        let has = |text: &String| {
            text.eq_ignore_ascii_case(permission) || text.eq_ignore_ascii_case("all")
        };
        let mut of_caller = policies
            .iter()
            .filter(|policy| policy.identity.eq_ignore_ascii_case(caller));
        let is_allowed = of_caller.any(|policy| policy.secrets.iter().any(has));
        (!is_allowed).then_some(AccessRefusal::ByPolicy)
    }

    /// The access policies. `None` means that roles decide.
    pub(crate) fn policies(&self) -> Option<&[AccessPolicy]> {
        self.policies.as_deref()
    }

    /// Creates a version, and the secret if it does not exist.
    pub(crate) fn set(
        &self,
        name: &str,
        new: NewVersion,
        now: Timestamp,
    ) -> Result<(Secret, Version), VaultError> {
        if !is_name(name, 127) {
            return Err(VaultError::InvalidName(name.to_owned()));
        }
        new.check()?;
        let mut secrets = self.lock();
        if secrets.deleted.contains_key(&name.to_lowercase()) {
            return Err(VaultError::Deleted(name.to_owned()));
        }
        let version = Version::new(new, now);
        let secret = match secrets.live.entry(name.to_lowercase()) {
            Entry::Occupied(entry) => {
                let secret = entry.into_mut();
                if secret.versions().any(|it| it.id == version.id) {
                    let id = version.id;
                    return Err(VaultError::VersionExists(format!("{name}/{id}")));
                }
                secret
                    .older
                    .push(mem::replace(&mut secret.newest, version.clone()));
                secret.set = Some(now);
                secret
            }
            Entry::Vacant(entry) => entry.insert(Secret {
                name: name.to_owned(),
                newest: version.clone(),
                older: Vec::new(),
                set: Some(now),
            }),
        };
        Ok((secret.clone(), version))
    }

    /// Changes a version, given by its id or the newest, without creating a new one.
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

    /// The secrets, in lower case, whose last version was set after `begin` and not after `end`.
    pub(super) fn set_between(&self, begin: Timestamp, end: Timestamp) -> Vec<String> {
        let secrets = self.lock();
        let is_new = |secret: &Secret| secret.set.is_some_and(|set| begin < set && set <= end);
        let new = secrets.live.iter().filter(|(_, secret)| is_new(secret));
        new.map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn delete(&self, name: &str, now: Timestamp) -> Result<DeletedSecret, VaultError> {
        let mut secrets = self.lock();
        let key = name.to_lowercase();
        let secret = secrets
            .live
            .remove(&key)
            .ok_or_else(|| VaultError::NotFound(name.to_owned()))?;
        let deleted = DeletedSecret { secret, at: now };
        secrets.deleted.insert(key, deleted.clone());
        Ok(deleted)
    }

    pub(crate) fn deleted(&self, name: &str) -> Result<DeletedSecret, VaultError> {
        let missing = || VaultError::NotDeleted(name.to_owned());
        self.lock()
            .deleted
            .get(&name.to_lowercase())
            .cloned()
            .ok_or_else(missing)
    }

    pub(crate) fn all_deleted(&self) -> Vec<DeletedSecret> {
        self.lock().deleted.values().cloned().collect()
    }

    /// Removes a deleted secret permanently.
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

fn path_of(name: &str, version: Option<&str>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name}/{version}"))
}
