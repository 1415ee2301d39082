//! Key Vault events.

use std::fmt;

use crate::app_change::AppChange;
use crate::bounded_json::MAX_VALUES;
use crate::names::{SecretName, SecretVersion, VaultHost};

/// Largest number of events in one delivery. Event Grid sends at most 1 MB, and an event of Key
/// Vault has some 1,000 bytes.
pub const MAX_EVENTS: usize = 1_000;

/// One event about an object of a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The id that Event Grid gave the event. A repeated delivery has the same id.
    pub id: String,
    /// The vault, by its host.
    pub vault_host: VaultHost,
    /// The kind of the object.
    pub kind: ObjectKind,
    /// The object's name.
    pub name: SecretName,
    /// The kind of event.
    pub occurrence: Occurrence,
    /// The version that the event is about.
    pub version: Option<SecretVersion>,
    /// The time of the event, in seconds since 1970.
    pub time: u64,
    /// The nanoseconds after `time`. They order versions that were created within one second.
    pub nanoseconds: u32,
    /// Whether the event does not tell its time, and `time` is that of its arrival.
    pub is_time_of_arrival: bool,
    /// The time from which the version is valid, in seconds since 1970.
    pub not_before: Option<u64>,
    /// The time at which the version expires, in seconds since 1970.
    pub expires: Option<u64>,
}

/// The kinds of Key Vault objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A secret.
    Secret,
    /// A certificate. Its value can be read, and referenced, as the secret of the same name and
    /// version.
    Certificate,
    /// A key. Nothing can reference it from an app setting.
    Key,
}

/// The kinds of events about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occurrence {
    /// A new version exists.
    NewVersionCreated,
    /// The version expires soon. Key Vault sends this once, 30 days ahead for secrets.
    NearExpiry,
    /// The version has expired.
    Expired,
    /// The version expires in 30, 14, 7 or 1 days. keyrelay creates this event itself, once for
    /// each; the decoder refuses it.
    ExpiryReminder,
}

impl ObjectKind {
    /// The word in event types: `Secret` in `Microsoft.KeyVault.SecretNewVersionCreated`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::Certificate => "Certificate",
            Self::Key => "Key",
        }
    }

    /// The path segment in object ids: `secrets` in `https://v.vault.azure.net/secrets/s`.
    pub fn collection(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Certificate => "certificates",
            Self::Key => "keys",
        }
    }

    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Secret, Self::Certificate, Self::Key];
}

impl Occurrence {
    /// The word in event types: `NewVersionCreated` in
    /// `Microsoft.KeyVault.SecretNewVersionCreated`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewVersionCreated => "NewVersionCreated",
            Self::NearExpiry => "NearExpiry",
            Self::Expired => "Expired",
            Self::ExpiryReminder => "ExpiryReminder",
        }
    }

    /// The occurrences that Key Vault sends events for.
    pub const OF_KEY_VAULT: [Self; 3] = [Self::NewVersionCreated, Self::NearExpiry, Self::Expired];
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Event {
    /// The event type, as in Event Grid: `Microsoft.KeyVault.SecretNewVersionCreated`. The type of
    /// keyrelay's own event is `keyrelay.SecretExpiryReminder`.
    pub fn event_type(&self) -> String {
        let prefix = if self.occurrence == Occurrence::ExpiryReminder {
            OWN_PREFIX
        } else {
            TYPE_PREFIX
        };
        format!("{prefix}{}{}", self.kind, self.occurrence)
    }

    /// The time of the event: seconds since 1970, and the nanoseconds after them.
    pub fn moment(&self) -> (u64, u32) {
        (self.time, self.nanoseconds)
    }

    /// Whether an app setting can reference the object. This holds for secrets, and for
    /// certificates through their secret.
    pub fn can_be_referenced(&self) -> bool {
        self.kind != ObjectKind::Key
    }
}

/// The prefix of Key Vault's event types.
pub(crate) const TYPE_PREFIX: &str = "Microsoft.KeyVault.";

/// The prefix of keyrelay's own event types.
const OWN_PREFIX: &str = "keyrelay.";

/// An error from decoding an event. It is permanent: a repeated delivery has the same content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct EventError {
    /// The event's id, if it has one.
    pub id: Option<String>,
    /// The reason.
    pub reason: EventErrorReason,
}

/// The reason why a value is not an event that keyrelay handles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventErrorReason {
    /// The value is not an object.
    #[error("expected an event, got {0}")]
    NotAnEvent(String),
    /// There are more events, or more values, than in any delivery of Event Grid.
    #[error("there are more than {MAX_EVENTS} events, or more than {MAX_VALUES} values in them")]
    TooMany,
    /// The event is not from Key Vault.
    #[error("`{0}` is not a Key Vault event")]
    OfAnotherSource(String),
    /// A resource was written: an app, or something else. That is no event about a secret, and
    /// early news of references.
    #[error("the event is about a resource of Azure, and not about an object of a vault")]
    ResourceWritten(Option<AppChange>),
    /// The Key Vault event is not about a version of a secret, certificate or key.
    #[error(
        "`{0}` events are not handled: subscribe to NewVersionCreated, NearExpiry and Expired only"
    )]
    NotHandled(String),
    /// A required field is missing.
    #[error("the event has no `{0}`")]
    Missing(&'static str),
    /// A field has an invalid value.
    #[error("the event's `{field}` is not {expected}")]
    Invalid {
        /// The field's documented name.
        field: &'static str,
        /// The expected value.
        expected: &'static str,
    },
    /// Two fields contradict each other.
    #[error("the event's `{field}` says `{says}`, but its `data.Id` says `{id_says}`")]
    Contradiction {
        /// The field that differs from `data.Id`.
        field: &'static str,
        /// The value of that field.
        says: String,
        /// The value of `data.Id`.
        id_says: String,
    },
}
