//! The vaults of the world, and the publication of their events.

mod error;
mod event;
mod new_secrets;
mod secret;
pub(crate) mod vault;

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

pub use error::VaultError;
pub(crate) use event::SecretOccurrence;
pub(crate) use new_secrets::NewSecrets;
pub use secret::Attributes;
pub(crate) use secret::{DeletedSecret, NewVersion, Secret, Version, VersionId, check_tags};
pub(crate) use vault::{AccessRefusal, LocalVault};

use crate::published_event::PublishedEvent;
use crate::world::World;

/// All vaults of the world.
#[derive(Debug)]
pub(crate) struct Vaults {
    vaults: Vec<LocalVault>,
    events: mpsc::UnboundedSender<PublishedEvent>,
}

impl Vaults {
    pub(crate) fn new(
        world: &World,
        events: mpsc::UnboundedSender<PublishedEvent>,
        now: Timestamp,
    ) -> Self {
        let vaults = world
            .vaults
            .iter()
            .map(|vault| LocalVault::new(vault, &world.subscription, world.cloud, now))
            .collect();
        Self { vaults, events }
    }

    pub(crate) fn named(&self, name: &str) -> Option<&LocalVault> {
        self.vaults
            .iter()
            .find(|vault| vault.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LocalVault> {
        self.vaults.iter()
    }

    /// The subscriptions that have a vault.
    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = &str> {
        self.vaults.iter().map(|vault| vault.subscription.as_str())
    }

    /// The resource groups that have a vault.
    pub(crate) fn resource_groups(&self) -> impl Iterator<Item = &str> {
        self.vaults
            .iter()
            .map(|vault| vault.resource_group.as_str())
    }

    /// The only vault. `None` if there are several.
    pub(crate) fn only(&self) -> Option<&LocalVault> {
        match self.vaults.as_slice() {
            [vault] => Some(vault),
            _ => None,
        }
    }

    /// The secrets with a version that was set less than `window` before `now`.
    pub(crate) fn new_within(&self, window: Duration, now: Timestamp) -> NewSecrets {
        let begin = now.checked_sub(window).unwrap_or(Timestamp::MIN);
        let of_vault = |vault: &LocalVault| {
            let secrets = vault.set_between(begin, now);
            secrets
                .into_iter()
                .map(|secret| (vault.name.to_lowercase(), secret))
                .collect::<Vec<_>>()
        };
        NewSecrets::new(self.vaults.iter().flat_map(of_vault))
    }

    /// Creates a version of a secret and publishes its event.
    pub(crate) fn set_secret(
        &self,
        vault: &LocalVault,
        name: &str,
        new: NewVersion,
        now: Timestamp,
    ) -> Result<(Secret, Version), VaultError> {
        let (secret, version) = vault.set(name, new, now)?;
        self.publish(
            vault,
            &secret,
            &version,
            SecretOccurrence::NewVersionCreated,
            now,
        );
        Ok((secret, version))
    }

    /// Hands an event to Event Grid. Without a receiver the event is lost.
    pub(crate) fn publish(
        &self,
        vault: &LocalVault,
        secret: &Secret,
        version: &Version,
        occurrence: SecretOccurrence,
        now: Timestamp,
    ) {
        tracing::debug!(
            vault = vault.name,
            secret = secret.name,
            version = version.id,
            ?occurrence,
            "publishing an event"
        );
        let event = event::event(vault, secret, version, occurrence, now);
        if self.events.send(event).is_err() {
            tracing::warn!(
                vault = vault.name,
                secret = secret.name,
                "an event was dropped: Event Grid has stopped"
            );
        }
    }
}
