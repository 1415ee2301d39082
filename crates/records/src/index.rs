//! The index: which app references which secret. An event begins with it, so that its cost grows
//! with the apps that use the secret, and not with the apps of the scope.
//!
//! - `index/<vault host>/<shard>.json`: an [`IndexShard`], the secrets of the vault whose names have
//!   this first byte of their SHA-256, two hexadecimal digits. One object has the apps of a secret.
//! - `index/<vault host>/<shard>/<secret>/<parts>-<part>.json`: the apps of a secret that more than
//!   [`MAX_APPS`] apps reference, by the SHA-256 of the id of the app.
//! - `index/state.json`: the [`IndexState`].
//!
//! All writes are conditional, and each only adds to what is there or takes one app out, so that
//! instances may write at once, and one that dies leaves nothing half done.
//!
//! An object that was lost, or cannot be read, is made again by the next sweep only: until that comes to
//! its end, the object does not count as known, and events read the whole scope.

mod change;
mod read;
mod repair;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use keyrelay_azure::{ReferenceKind, Scope};
use keyrelay_model::{AppId, Event, Evidence, Occurrence, SecretName, VaultHost, Versions};
use keyrelay_store::Store;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

pub use change::{Found, IndexChange, IndexUpdate, SecretChange, SecretUpdate};
pub use read::{SecretUsers, Users};

/// The format of the objects that this version writes. An object with a higher one counts as
/// missing.
pub const FORMAT: u32 = 1;

/// Largest number of apps of one secret in the object of its shard: an app takes some 350 bytes, and
/// an object should stay well below 1 MB.
pub const MAX_APPS: usize = 1_000;

/// The number of apps in a part when the apps of a secret are split.
const APPS_IN_A_PART: usize = MAX_APPS / 2;

const FOLDER: &str = "index";
const STATE: &str = "index/state.json";

/// The index in a store.
#[derive(Debug, Clone)]
pub struct Index(Store);

/// The progress of the index: `index/state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexState {
    /// [`FORMAT`].
    pub format: u32,
    /// The time at which the last sweep of all apps began that came to its end.
    pub swept: Timestamp,
    /// The scopes that it has read.
    pub scopes: BTreeSet<String>,
    /// The apps that it could not read for a passing reason, and the resource groups whose slots it
    /// could not list, by their ids. Events read them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<String>,
    /// The objects of shards that there were at its end. One that is missing was lost.
    pub shards: BTreeSet<String>,
}

/// Some secrets of a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexShard {
    format: u32,
    /// The beginning of the sweep that makes it again, because it was lost. None: it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_again: Option<Timestamp>,
    /// By the name in lower case.
    secrets: BTreeMap<String, IndexedSecret>,
}

/// A secret and the apps that reference it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedSecret {
    /// The number of objects that have its apps. 0: this one.
    #[serde(default, skip_serializing_if = "is_zero")]
    parts: u32,
    /// The newest version, as far as events and the vault have shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<NewestVersion>,
    /// What the rules of the installation say of it.
    #[serde(default, skip_serializing_if = "IndexedRule::is_default")]
    rule: IndexedRule,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    apps: Apps,
}

/// The newest usable version of a secret, with its dates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewestVersion {
    /// The version.
    pub version: String,
    /// The time at which it was created, to the second.
    pub created: Timestamp,
    /// The time at which it expires. None: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// What the rules of the installation say of a secret, as far as it is not usual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedRule {
    /// The reason why its events change no app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwatched: Option<String>,
    /// The apps that its rule names, by their ids in lower case. Empty: all apps of the scope.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub apps: BTreeSet<String>,
}

/// The apps of a secret, by the id in lower case.
type Apps = BTreeMap<String, IndexedApp>;

/// One object of a secret whose apps are split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct IndexPart {
    format: u32,
    /// As in [`IndexShard`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_again: Option<Timestamp>,
    apps: Apps,
}

/// An app that references a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedApp {
    /// The app.
    #[serde(with = "crate::text")]
    pub id: AppId,
    /// Its references to the secret.
    pub references: Vec<IndexedReference>,
    /// The time since which it is known.
    pub since: Timestamp,
    /// The time at which Azure showed the references last, to the hour.
    pub seen: Timestamp,
    /// The newest version of the secret for which nothing was left to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<CurrentVersion>,
    /// The version that a person has set back, and that was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_back: Option<String>,
}

/// A reference of an app to a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IndexedReference {
    /// The setting or connection string.
    pub setting: String,
    /// Whether it is a connection string.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_connection_string: bool,
    /// The version that it is pinned to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The kind of the identity that resolves it: `SystemAssigned`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// A version that an app has, or that it needs nothing for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentVersion {
    /// The version.
    pub version: String,
    /// The words of the evidence. None: Azure takes the version by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The time at which that was found.
    pub at: Timestamp,
}

impl Index {
    /// The index in this store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// The same index, for operations that end by `moment`.
    #[must_use]
    pub fn until(&self, moment: Instant) -> Self {
        Self(self.0.with_deadline(Some(moment)))
    }
}

impl IndexState {
    /// Those of the scopes whose apps the sweep has not read.
    pub fn uncovered(&self, scopes: &[Scope]) -> Vec<Scope> {
        let is_covered = |scope: &Scope| self.scopes.contains(&scope.to_string().to_lowercase());
        let uncovered = scopes.iter().filter(|scope| !is_covered(scope));
        uncovered.cloned().collect()
    }
}

impl Default for IndexShard {
    fn default() -> Self {
        Self {
            format: FORMAT,
            made_again: None,
            secrets: BTreeMap::new(),
        }
    }
}

impl Default for IndexPart {
    fn default() -> Self {
        Self {
            format: FORMAT,
            made_again: None,
            apps: Apps::new(),
        }
    }
}

impl IndexedReference {
    /// The list that holds the reference.
    pub fn kind(&self) -> ReferenceKind {
        match self.is_connection_string {
            true => ReferenceKind::ConnectionString,
            false => ReferenceKind::AppSetting,
        }
    }
}

impl IndexedRule {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl NewestVersion {
    /// The newest of a vault's versions, `now` in seconds since 1970. None: there is none, or there are several,
    /// which were created within one second.
    pub fn of(versions: &Versions, now: u64) -> Option<Self> {
        let newest = versions.newest(now);
        let [(version, attributes)] = newest.as_slice() else {
            return None;
        };
        Some(Self {
            version: version.as_str().to_owned(),
            created: timestamp(attributes.created)?,
            expires: attributes.expires.and_then(timestamp),
        })
    }

    /// The version that an event announces, if it is valid, `now` in seconds since 1970.
    pub fn announced(event: &Event, now: u64) -> Option<Self> {
        let is_valid = event.not_before.is_none_or(|not_before| not_before <= now);
        let is_new = event.occurrence == Occurrence::NewVersionCreated && is_valid;
        let version = event.version.as_ref().filter(|_| is_new)?;
        Some(Self {
            version: version.as_str().to_owned(),
            created: timestamp(event.time)?,
            expires: event.expires.and_then(timestamp),
        })
    }
}

fn timestamp(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

impl CurrentVersion {
    /// The version that an app has by this evidence.
    pub fn new(version: &str, evidence: Option<Evidence>, at: Timestamp) -> Self {
        Self {
            version: version.to_owned(),
            evidence: evidence.map(|evidence| evidence.as_str().to_owned()),
            at,
        }
    }
}

/// The key of the shard that has a secret.
fn shard_key(vault: &VaultHost, secret: &SecretName) -> String {
    let vault = vault.as_str().to_lowercase();
    let byte = first_byte(&secret.as_str().to_lowercase());
    format!("{FOLDER}/{vault}/{byte:02x}.json")
}

/// The key of a part of a secret whose apps are split, in the shard at `shard`.
fn part_key(shard: &str, secret: &str, parts: u32, part: u32) -> String {
    let shard = shard.strip_suffix(".json").unwrap_or(shard);
    format!("{shard}/{secret}/{parts}-{part}.json")
}

/// The part that has an app, whose id is in lower case.
fn part_of(app: &str, parts: u32) -> u32 {
    u32::from(first_byte(app)) % parts.max(1)
}

fn first_byte(text: &str) -> u8 {
    Sha256::digest(text.as_bytes())
        .first()
        .copied()
        .unwrap_or(0)
}

fn lower_id(app: &AppId) -> String {
    app.to_string().to_lowercase()
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
