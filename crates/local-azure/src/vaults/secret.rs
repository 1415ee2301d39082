//! Secrets and their versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::error::{LARGEST_VALUE, MOST_TAGS, VaultError};
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

/// The id of a version: 32 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionId(String);

impl VersionId {
    pub(crate) fn parse(text: &str) -> Result<Self, VaultError> {
        if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_lowercase()))
        } else {
            Err(VaultError::InvalidVersion(text.to_owned()))
        }
    }

    fn random() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }
}

/// The content of a new version.
#[derive(Debug)]
pub(crate) struct NewVersion {
    /// The id. `None` creates a random one.
    pub(crate) id: Option<VersionId>,
    pub(crate) value: Hidden,
    pub(crate) attributes: Attributes,
    pub(crate) content_type: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

impl NewVersion {
    pub(super) fn check(&self) -> Result<(), VaultError> {
        if self.value.expose().len() > LARGEST_VALUE {
            return Err(VaultError::ValueTooLarge);
        }
        check_tags(&self.tags)
    }

    /// Creates the content from a value alone.
    pub(crate) fn of(value: Hidden) -> Self {
        Self {
            id: None,
            value,
            attributes: Attributes::default(),
            content_type: None,
            tags: BTreeMap::new(),
        }
    }
}

/// Checks the number of tags.
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), VaultError> {
    if tags.len() > MOST_TAGS {
        return Err(VaultError::TooManyTags);
    }
    Ok(())
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
            id: new.id.unwrap_or_else(VersionId::random).0,
            value: new.value,
            attributes: new.attributes,
            created: now,
            updated: now,
            content_type: new.content_type,
            tags: new.tags,
        }
    }
}
