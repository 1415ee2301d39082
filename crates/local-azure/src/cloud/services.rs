//! The services of one cloud and the state that several of them share.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::error::CloudError;
use super::options::CloudOptions;
use crate::apps::news::News;
use crate::apps::{Apps, AppsClock, LocalApp, Resolver};
use crate::audit::AuditLog;
use crate::faults::Faults;
use crate::hidden::Hidden;
use crate::identity::Identities;
use crate::intercept::Intercepts;
use crate::key_vault::KeyVaultService;
use crate::log_analytics::LogAnalyticsService;
use crate::published_event::PublishedEvent;
use crate::recording::Recording;
use crate::requests::Requests;
use crate::resource_manager::{ResourceManagerOptions, ResourceManagerService};
use crate::storage::Storage;
use crate::tasks::Tasks;
use crate::vaults::{LocalVault, NewVersion, SecretOccurrence, Vaults};
use crate::world::World;

/// All services of one cloud.
pub(crate) struct CloudServices {
    pub(super) identities: Arc<Identities>,
    pub(super) key_vault: KeyVaultService,
    pub(super) resource_manager: ResourceManagerService,
    pub(super) log_analytics: LogAnalyticsService,
    pub(super) storage: Option<Storage>,
    pub(super) vaults: Arc<Vaults>,
    pub(super) apps: Arc<Apps>,
    pub(super) faults: Arc<Faults>,
    pub(super) intercepts: Intercepts,
    pub(super) requests: Arc<Requests>,
    pub(super) recording: Option<Recording>,
    pub(super) tasks: Tasks,
}

impl CloudServices {
    pub(super) fn new(
        world: &World,
        options: &CloudOptions,
        events: mpsc::UnboundedSender<PublishedEvent>,
        storage: Option<Storage>,
        recording: Option<Recording>,
    ) -> Self {
        let now = Timestamp::now();
        let tasks = Tasks::default();
        let faults = Arc::new(Faults::default());
        let news = News::of(world, &events);
        let vaults = Arc::new(Vaults::new(world, events, now));
        let audit = Arc::new(AuditLog::new());
        let resolver = Resolver {
            cloud: world.cloud,
            vaults: Arc::clone(&vaults),
            faults: Arc::clone(&faults),
            audit: Arc::clone(&audit),
        };
        let clock = AppsClock {
            profile: options.profile.clone(),
            resolve_after: options.resolve_after,
        };
        let apps = Arc::new(Apps::new(world, resolver, clock, tasks.clone(), news, now));
        let identities = Arc::new(Identities::new(
            world,
            apps.identities(),
            options.token_lifetime,
        ));
        let resource_manager = ResourceManagerService::new(
            world,
            resource_manager_options(options),
            Arc::clone(&apps),
            Arc::clone(&vaults),
            Arc::clone(&identities),
        );
        Self {
            key_vault: KeyVaultService::new(world, Arc::clone(&vaults), Arc::clone(&identities)),
            log_analytics: LogAnalyticsService::new(
                world,
                options.audit.clone(),
                audit,
                Arc::clone(&identities),
            ),
            resource_manager,
            identities,
            storage,
            recording,
            vaults,
            apps,
            faults,
            intercepts: Intercepts::default(),
            requests: Arc::new(Requests::new()),
            tasks,
        }
    }

    pub(super) fn vault(&self, name: &str) -> Result<&LocalVault, CloudError> {
        self.vaults
            .named(name)
            .ok_or_else(|| CloudError::UnknownVault(name.to_owned()))
    }

    pub(super) fn app(&self, name: &str) -> Result<&Arc<LocalApp>, CloudError> {
        self.apps
            .named(name)
            .ok_or_else(|| CloudError::UnknownApp(name.to_owned()))
    }

    /// Sets a secret to a value, publishes the event, and returns the new version's id.
    pub(super) fn set_secret(
        &self,
        vault: &str,
        name: &str,
        value: Hidden,
    ) -> Result<String, CloudError> {
        self.set_version(vault, name, NewVersion::of(value))
    }

    /// Creates a version of a secret, publishes the event, and returns the version's id.
    pub(super) fn set_version(
        &self,
        vault: &str,
        name: &str,
        new: NewVersion,
    ) -> Result<String, CloudError> {
        let vault = self.vault(vault)?;
        let (_, version) = self.vaults.set_secret(vault, name, new, Timestamp::now())?;
        Ok(version.id)
    }

    /// Publishes an event about a secret's newest version.
    pub(super) fn publish_newest(
        &self,
        vault: &str,
        name: &str,
        occurrence: SecretOccurrence,
    ) -> Result<(), CloudError> {
        let vault = self.vault(vault)?;
        let secret = vault.secret(name)?;
        let now = Timestamp::now();
        self.vaults
            .publish(vault, &secret, &secret.newest, occurrence, now);
        Ok(())
    }
}

fn resource_manager_options(options: &CloudOptions) -> ResourceManagerOptions {
    ResourceManagerOptions {
        page_size: options.page_size,
        profile: options.profile.clone(),
        limits_requests: options.limits_requests,
    }
}
