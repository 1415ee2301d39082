//! The record of an event.

use jiff::Timestamp;
use keyrelay_model::{Event, NameError, ObjectKind, Occurrence};
use serde::{Deserialize, Serialize};

/// An event, field by field. No value of a secret is in an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// The id that Event Grid gave it.
    pub id: String,
    /// `Microsoft.KeyVault.SecretNewVersionCreated`
    #[serde(rename = "type")]
    pub event_type: String,
    /// The vault's host.
    pub vault_host: String,
    /// The kind of object, as in the event's type.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// The change of the object, as in the event's type.
    pub occurrence: String,
    /// The version.
    pub version: Option<String>,
    /// The time of the event: seconds since 1970.
    pub time: u64,
    /// The nanoseconds after that.
    pub nanoseconds: u32,
    /// Whether that is the time of its arrival, because the event does not tell its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_time_of_arrival: bool,
    /// The time from which the version is valid, in seconds since 1970.
    pub not_before: Option<u64>,
    /// The time at which the version expires, in seconds since 1970.
    pub expires: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The reason why a record cannot be read as an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventRecordError {
    /// An unknown word.
    #[error("the record's `{field}` is `{word}`, which this version does not know")]
    Word {
        /// The field.
        field: &'static str,
        /// The word.
        word: String,
    },
    /// A name that Key Vault does not allow.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl EventRecord {
    /// Returns the time of the event. None if it is out of range.
    pub fn event_time(&self) -> Option<Timestamp> {
        Timestamp::new(
            i64::try_from(self.time).ok()?,
            i32::try_from(self.nanoseconds).ok()?,
        )
        .ok()
    }
}

impl From<&Event> for EventRecord {
    fn from(event: &Event) -> Self {
        Self {
            id: event.id.clone(),
            event_type: event.event_type(),
            vault_host: event.vault_host.to_string(),
            kind: event.kind.to_string(),
            name: event.name.to_string(),
            occurrence: event.occurrence.to_string(),
            version: event.version.as_ref().map(ToString::to_string),
            time: event.time,
            nanoseconds: event.nanoseconds,
            is_time_of_arrival: event.is_time_of_arrival,
            not_before: event.not_before,
            expires: event.expires,
        }
    }
}

impl TryFrom<&EventRecord> for Event {
    type Error = EventRecordError;

    fn try_from(record: &EventRecord) -> Result<Self, EventRecordError> {
        let unknown = |field, word: &str| EventRecordError::Word {
            field,
            word: word.to_owned(),
        };
        let kind = ObjectKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == record.kind);
        let mut occurrences = Occurrence::OF_KEY_VAULT
            .into_iter()
            .chain([Occurrence::ExpiryReminder]);
        let occurrence = occurrences.find(|occurrence| occurrence.as_str() == record.occurrence);
        Ok(Self {
            id: record.id.clone(),
            vault_host: record.vault_host.parse()?,
            kind: kind.ok_or_else(|| unknown("kind", &record.kind))?,
            name: record.name.parse()?,
            occurrence: occurrence.ok_or_else(|| unknown("occurrence", &record.occurrence))?,
            version: record
                .version
                .as_ref()
                .map(|version| version.parse())
                .transpose()?,
            time: record.time,
            nanoseconds: record.nanoseconds,
            is_time_of_arrival: record.is_time_of_arrival,
            not_before: record.not_before,
            expires: record.expires,
        })
    }
}
