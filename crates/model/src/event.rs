//! One Key Vault event, decoded from every shape in which it reaches a function.

mod decode;

pub use decode::decode_events;

use std::fmt;

use crate::names::{SecretName, SecretVersion, VaultHost};

/// What happened to one object of a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The id that Event Grid gave the event; a repeated delivery has the same one.
    pub id: String,
    /// The vault, by its host.
    pub vault_host: VaultHost,
    /// Secret, certificate or key.
    pub kind: ObjectKind,
    /// The object's name.
    pub name: SecretName,
    /// What happened to it.
    pub occurrence: Occurrence,
    /// The version it happened to.
    pub version: Option<SecretVersion>,
    /// When, in seconds since 1970.
    pub time: u64,
    /// The nanoseconds after `time`: they tell versions apart that were made within one second.
    pub nanoseconds: u32,
    /// When the version becomes valid, in seconds since 1970.
    pub not_before: Option<u64>,
    /// When the version expires, in seconds since 1970.
    pub expires: Option<u64>,
}

/// The kinds of Key Vault objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A secret.
    Secret,
    /// A certificate. Its value can be read, and referenced, as the secret of the same name and version.
    Certificate,
    /// A key. Nothing can reference it from an app setting.
    Key,
}

/// What can happen to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occurrence {
    /// A new version exists.
    NewVersionCreated,
    /// The version expires soon: 30 days ahead for secrets, once.
    NearExpiry,
    /// The version has expired.
    Expired,
    /// The version expires in 30, 14, 7 or 1 days: keyrelay's own, once for each. Nobody can send it.
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
    /// The word in event types: `NewVersionCreated` in `Microsoft.KeyVault.SecretNewVersionCreated`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewVersionCreated => "NewVersionCreated",
            Self::NearExpiry => "NearExpiry",
            Self::Expired => "Expired",
            Self::ExpiryReminder => "ExpiryReminder",
        }
    }

    /// What Key Vault has events for.
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
    /// The type that Event Grid calls the event by: `Microsoft.KeyVault.SecretNewVersionCreated`; one of our own is
    /// `keyrelay.SecretExpiryReminder`.
    pub fn event_type(&self) -> String {
        let prefix = if self.occurrence == Occurrence::ExpiryReminder {
            OWN_PREFIX
        } else {
            TYPE_PREFIX
        };
        format!("{prefix}{}{}", self.kind, self.occurrence)
    }

    /// When it happened, as precisely as is known: seconds since 1970 and nanoseconds after them.
    pub fn moment(&self) -> (u64, u32) {
        (self.time, self.nanoseconds)
    }

    /// Whether an app setting can reference the object: secrets, and certificates through their secret.
    pub fn can_be_referenced(&self) -> bool {
        self.kind != ObjectKind::Key
    }
}

/// What all Key Vault event types begin with.
const TYPE_PREFIX: &str = "Microsoft.KeyVault.";

/// What the types of our own events begin with.
const OWN_PREFIX: &str = "keyrelay.";

/// A value that came in place of an event, and why it is refused. It will not get better by delivering it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct EventError {
    /// The event's id, if it had one.
    pub id: Option<String>,
    /// What is wrong with it.
    pub reason: EventErrorReason,
}

/// What is wrong with a value that came in place of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventErrorReason {
    /// Not an object at all.
    #[error("expected an event, got {0}")]
    NotAnEvent(String),
    /// An event of something else than Key Vault.
    #[error("`{0}` is not a Key Vault event")]
    OfAnotherSource(String),
    /// A Key Vault event that is not about a version of a secret, certificate or key.
    #[error(
        "`{0}` events are not handled: subscribe to NewVersionCreated, NearExpiry and Expired only"
    )]
    NotHandled(String),
    /// A field that must be there is not.
    #[error("the event has no `{0}`")]
    Missing(&'static str),
    /// A field holds something else than it should.
    #[error("the event's `{field}` is not {expected}")]
    Invalid {
        /// The field's documented name.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Two fields contradict each other.
    #[error("the event's `{field}` says `{says}`, but its `data.Id` says `{id_says}`")]
    Contradiction {
        /// The field that differs from `data.Id`.
        field: &'static str,
        /// What it says.
        says: String,
        /// What `data.Id` says.
        id_says: String,
    },
}
