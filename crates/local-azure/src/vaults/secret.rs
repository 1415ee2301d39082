//! Secrets and their versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::hidden::Hidden;

/// The attributes of a version, which can be changed without creating a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Whether the version can be read.
    pub enabled: bool,
    /// The activation date.
    pub not_before: Option<Timestamp>,
    /// The expiry date.
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

/// The content of a new version.
#[derive(Debug)]
pub(crate) struct NewVersion {
    pub(crate) value: Hidden,
    pub(crate) attributes: Attributes,
    pub(crate) content_type: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

impl NewVersion {
    /// Creates the content from a value alone.
    pub(crate) fn of(value: Hidden) -> Self {
        Self {
            value,
            attributes: Attributes::default(),
            content_type: None,
            tags: BTreeMap::new(),
        }
    }
}

/// A secret with its versions. The name keeps its original case.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    pub(crate) name: String,
    /// The version of a request that names none, enabled or not.
    pub(crate) newest: Version,
    pub(super) older: Vec<Version>,
    /// The time of the newest version. `None` for a version of the world.
    pub(super) set: Option<Timestamp>,
}

impl Secret {
    pub(crate) fn versions(&self) -> impl Iterator<Item = &Version> {
        self.older.iter().chain([&self.newest])
    }

    /// A version by its id, or the newest.
    pub(super) fn version_mut(&mut self, id: Option<&str>) -> Option<&mut Version> {
        let mut versions = self.older.iter_mut().chain([&mut self.newest]);
        match id {
            Some(id) => versions.find(|version| version.id.eq_ignore_ascii_case(id)),
            None => versions.last(),
        }
    }
}

/// A deleted secret.
#[derive(Debug, Clone)]
pub(crate) struct DeletedSecret {
    pub(crate) secret: Secret,
    pub(crate) at: Timestamp,
}

impl Version {
    pub(super) fn new(new: NewVersion, now: Timestamp) -> Self {
        Self {
            id: Uuid::new_v4().simple().to_string(),
            value: new.value,
            attributes: new.attributes,
            created: now,
            updated: now,
            content_type: new.content_type,
            tags: new.tags,
        }
    }
}
