//! The events that a vault publishes.

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::secret::{Secret, Version};
use super::vault::LocalVault;
use crate::published_event::PublishedEvent;

/// An occurrence that publishes an event. Updates and deletions of secrets publish none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretOccurrence {
    NewVersionCreated,
    NearExpiry,
    Expired,
}

impl SecretOccurrence {
    fn event_type(self) -> &'static str {
        match self {
            Self::NewVersionCreated => "Microsoft.KeyVault.SecretNewVersionCreated",
            Self::NearExpiry => "Microsoft.KeyVault.SecretNearExpiry",
            Self::Expired => "Microsoft.KeyVault.SecretExpired",
        }
    }
}

/// The event in the Event Grid schema. As in recorded events, the two dates are numbers or null.
pub(super) fn event(
    vault: &LocalVault,
    secret: &Secret,
    version: &Version,
    occurrence: SecretOccurrence,
    now: Timestamp,
) -> PublishedEvent {
    let event = json!({
        "id": Uuid::new_v4().to_string(),
        "topic": vault.id,
        "subject": secret.name,
        "eventType": occurrence.event_type(),
        "eventTime": format!("{now:.7}"),
        "data": {
            "Id": format!("{}/secrets/{}/{}", vault.url, secret.name, version.id),
            "VaultName": vault.name,
            "ObjectType": "Secret",
            "ObjectName": secret.name,
            "Version": version.id,
            "NBF": version.attributes.not_before.map(Timestamp::as_second),
            "EXP": version.attributes.expires.map(Timestamp::as_second),
        },
        "dataVersion": "1",
        "metadataVersion": "1",
    });
    PublishedEvent {
        topic: vault.id.clone(),
        event,
    }
}
