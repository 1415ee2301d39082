//! The bodies of requests and responses of the data plane.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::refusal::KeyVaultRefusal;
use crate::hidden::Hidden;
use crate::vaults::{
    Attributes, DeletedSecret, LocalVault, NewVersion, Secret, Version, check_tags,
};

/// The retention of a deleted secret, in days: the service's default.
const RECOVERABLE_DAYS: i64 = 90;

/// The body of a request that creates a version. Like the service, it ignores fields of newer
/// contracts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetSecret {
    value: Option<Hidden>,
    content_type: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    attributes: Option<AttributesBody>,
}

/// The body of a request that changes a version. Omitted fields keep their values.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateSecret {
    content_type: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    attributes: Option<AttributesBody>,
}

/// The attributes in a request. Dates are seconds since 1970.
#[derive(Debug, Default, Deserialize)]
struct AttributesBody {
    enabled: Option<bool>,
    nbf: Option<i64>,
    exp: Option<i64>,
}

impl SetSecret {
    pub(super) fn into_version(self) -> Result<NewVersion, KeyVaultRefusal> {
        let value = self.value.ok_or_else(|| {
            KeyVaultRefusal::BadParameter("Parameter value must be specified.".into())
        })?;
        let changes = self.attributes.unwrap_or_default();
        let mut attributes = Attributes::default();
        changes.check()?;
        changes.apply_to(&mut attributes);
        Ok(NewVersion {
            id: None,
            value,
            attributes,
            content_type: self.content_type,
            tags: self.tags.unwrap_or_default(),
        })
    }
}

impl UpdateSecret {
    pub(super) fn check(&self) -> Result<(), KeyVaultRefusal> {
        if let Some(tags) = &self.tags {
            check_tags(tags)?;
        }
        self.attributes
            .as_ref()
            .map_or(Ok(()), AttributesBody::check)
    }

    pub(super) fn apply_to(self, version: &mut Version) {
        if let Some(content_type) = self.content_type {
            version.content_type = Some(content_type);
        }
        if let Some(tags) = self.tags {
            version.tags = tags;
        }
        if let Some(attributes) = self.attributes {
            attributes.apply_to(&mut version.attributes);
        }
    }
}

impl AttributesBody {
    fn check(&self) -> Result<(), KeyVaultRefusal> {
        let possible =
            |seconds: Option<i64>| seconds.is_none_or(|it| Timestamp::from_second(it).is_ok());
        if possible(self.nbf) && possible(self.exp) {
            Ok(())
        } else {
            Err(KeyVaultRefusal::BadParameter(
                "A date is out of range.".into(),
            ))
        }
    }

    fn apply_to(&self, attributes: &mut Attributes) {
        let date = |seconds: Option<i64>| seconds.and_then(|it| Timestamp::from_second(it).ok());
        attributes.enabled = self.enabled.unwrap_or(attributes.enabled);
        attributes.not_before = date(self.nbf).or(attributes.not_before);
        attributes.expires = date(self.exp).or(attributes.expires);
    }
}

/// A version with its value.
pub(super) fn bundle(vault: &LocalVault, secret: &Secret, version: &Version) -> Value {
    let mut body = described(vault, secret, version, Some(&version.id));
    body.insert("value".into(), version.value.expose().into());
    body.into()
}

/// A version in a list or after a change.
pub(super) fn without_value(vault: &LocalVault, secret: &Secret, version: &Version) -> Value {
    described(vault, secret, version, Some(&version.id)).into()
}

/// A secret in a list. Its id has no version, and its attributes are those of the newest version.
pub(super) fn item_of_newest(vault: &LocalVault, secret: &Secret) -> Value {
    described(vault, secret, &secret.newest, None).into()
}

/// A deleted secret with the id of its newest version.
pub(super) fn deleted(vault: &LocalVault, deleted: &DeletedSecret) -> Value {
    deleted_with(vault, deleted, Some(&deleted.secret.newest.id))
}

/// A deleted secret in a list.
pub(super) fn deleted_item(vault: &LocalVault, deleted: &DeletedSecret) -> Value {
    deleted_with(vault, deleted, None)
}

fn deleted_with(vault: &LocalVault, deleted: &DeletedSecret, id: Option<&str>) -> Value {
    let purge = deleted
        .at
        .saturating_add(SignedDuration::from_hours(24 * RECOVERABLE_DAYS));
    let mut body = described(vault, &deleted.secret, &deleted.secret.newest, id);
    let recovery_id = format!("{}/deletedsecrets/{}", vault.url, deleted.secret.name);
    body.insert("recoveryId".into(), recovery_id.into());
    body.insert("deletedDate".into(), deleted.at.as_second().into());
    body.insert(
        "scheduledPurgeDate".into(),
        purge.unwrap_or(Timestamp::MAX).as_second().into(),
    );
    body.into()
}

/// The fields of all bodies: id, attributes, and the optional ones that are set.
fn described(
    vault: &LocalVault,
    secret: &Secret,
    version: &Version,
    id: Option<&str>,
) -> Map<String, Value> {
    let mut path = format!("{}/secrets/{}", vault.url, secret.name);
    if let Some(id) = id {
        path = format!("{path}/{id}");
    }
    let mut body = Map::new();
    body.insert("id".into(), path.into());
    body.insert("attributes".into(), attributes(version));
    if let Some(content_type) = &version.content_type {
        body.insert("contentType".into(), content_type.as_str().into());
    }
    body.insert("tags".into(), json!(version.tags));
    body
}

fn attributes(version: &Version) -> Value {
    let mut attributes = json!({
        "enabled": version.attributes.enabled,
        "created": version.created.as_second(),
        "updated": version.updated.as_second(),
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": RECOVERABLE_DAYS,
    });
    let dates = [
        ("nbf", version.attributes.not_before),
        ("exp", version.attributes.expires),
    ];
    if let Some(attributes) = attributes.as_object_mut() {
        attributes.extend(
            dates
                .into_iter()
                .filter_map(|(name, date)| Some((name.into(), date?.as_second().into()))),
        );
    }
    attributes
}
