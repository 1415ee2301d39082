//! What the listeners share: the state of everything, and the few things that concern several services.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::apps::{App, Apps, Resolver};
use crate::azure_cloud::AzureCloud;
use crate::cloud::{CloudError, CloudOptions};
use crate::faults::Faults;
use crate::hidden::Hidden;
use crate::identity::Identities;
use crate::intercept::Intercepts;
use crate::published_event::PublishedEvent;
use crate::requests::Requests;
use crate::resource_manager::RateLimits;
use crate::storage::Storage;
use crate::vaults::{self, NewVersion, Occurrence, Secret, Vault, VaultError, Vaults, Version};
use crate::world::{Role, World};

/// The state of one stand-in.
pub(crate) struct Backend {
    pub(crate) subscription: String,
    pub(crate) tenant: String,
    pub(crate) cloud: AzureCloud,
    pub(crate) options: CloudOptions,
    pub(crate) vaults: Vaults,
    pub(crate) apps: Apps,
    pub(crate) identities: Identities,
    pub(crate) faults: Faults,
    pub(crate) intercepts: Intercepts,
    pub(crate) storage: Option<Storage>,
    pub(crate) requests: Requests,
    pub(crate) rate_limits: RateLimits,
    pub(crate) roles: Vec<Role>,
    subscribed: Mutex<Vec<Subscribed>>,
    events: mpsc::UnboundedSender<PublishedEvent>,
    stopped: CancellationToken,
}

/// An event subscription, as Resource Manager shows it.
#[derive(Debug, Clone)]
pub(crate) struct Subscribed {
    pub(crate) name: String,
    pub(crate) vault: String,
    /// The vault's id.
    pub(crate) topic: String,
    /// The id of the function that the events go to.
    pub(crate) function: String,
    pub(crate) event_types: Vec<String>,
    pub(crate) subject_begins_with: String,
    pub(crate) has_dead_letter: bool,
}

impl Backend {
    pub(crate) fn new(
        world: &World,
        options: CloudOptions,
        events: mpsc::UnboundedSender<PublishedEvent>,
        storage: Option<Storage>,
    ) -> Self {
        let now = Timestamp::now();
        let apps = Apps::new(world, now);
        Self {
            subscription: world.subscription.clone(),
            tenant: world.tenant.clone(),
            cloud: world.cloud,
            vaults: Vaults::new(world, now),
            identities: Identities::new(world, &apps, options.token_lifetime),
            apps,
            faults: Faults::default(),
            intercepts: Intercepts::default(),
            storage,
            requests: Requests::new(),
            rate_limits: RateLimits::new(options.limits_requests),
            roles: world.roles.clone(),
            subscribed: Mutex::default(),
            options,
            events,
            stopped: CancellationToken::new(),
        }
    }

    /// The event subscriptions that Resource Manager shows.
    pub(crate) fn subscribed(&self) -> MutexGuard<'_, Vec<Subscribed>> {
        self.subscribed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a new version of a secret and hands its event to Event Grid.
    pub(crate) fn set_secret(
        &self,
        vault: &Vault,
        name: &str,
        made_of: NewVersion,
        now: Timestamp,
    ) -> Result<(Secret, Version), VaultError> {
        let (secret, version) = vault.set(name, made_of, now)?;
        self.publish(vault, &secret, &version, Occurrence::NewVersionCreated, now);
        Ok((secret, version))
    }

    /// Hands an event to Event Grid. If nobody listens there, it is lost.
    pub(crate) fn publish(
        &self,
        vault: &Vault,
        secret: &Secret,
        version: &Version,
        what: Occurrence,
        now: Timestamp,
    ) {
        tracing::debug!(
            vault = vault.name,
            secret = secret.name,
            version = version.id,
            ?what,
            "publishing an event"
        );
        if self
            .events
            .send(vaults::event(vault, secret, version, what, now))
            .is_err()
        {
            tracing::warn!(
                vault = vault.name,
                secret = secret.name,
                "nobody takes events any more"
            );
        }
    }

    /// Sets a secret, with nothing but a value, and returns the version's id.
    pub(crate) fn set_secret_value(
        &self,
        vault: &str,
        name: &str,
        value: Hidden,
    ) -> Result<String, CloudError> {
        let (_, version) = self.set_secret(
            self.vault(vault)?,
            name,
            NewVersion::of(value),
            Timestamp::now(),
        )?;
        Ok(version.id)
    }

    /// Hands an event about a secret's newest version to Event Grid.
    pub(crate) fn publish_of_newest(
        &self,
        vault: &str,
        name: &str,
        what: Occurrence,
    ) -> Result<(), CloudError> {
        let vault = self.vault(vault)?;
        let secret = vault.secret(name)?;
        self.publish(vault, &secret, &secret.newest, what, Timestamp::now());
        Ok(())
    }

    pub(crate) fn vault(&self, name: &str) -> Result<&Vault, CloudError> {
        self.vaults
            .named(name)
            .ok_or_else(|| CloudError::UnknownVault(name.to_owned()))
    }

    pub(crate) fn app(&self, name: &str) -> Result<&Arc<App>, CloudError> {
        self.apps
            .named(name)
            .ok_or_else(|| CloudError::UnknownApp(name.to_owned()))
    }

    /// Resolves an app's references as they are now.
    pub(crate) fn resolve(&self, app: &App) {
        let Self {
            cloud,
            vaults,
            faults,
            ..
        } = self;
        app.resolve(&Resolver {
            cloud: *cloud,
            vaults,
            faults,
            now: Timestamp::now(),
        });
    }

    /// Resolves an app's references after a while, as they are then. At once if the while is zero.
    pub(crate) fn resolve_after(self: &Arc<Self>, delay: Duration, app: &Arc<App>) {
        if delay.is_zero() {
            return self.resolve(app);
        }
        let (backend, app) = (Arc::clone(self), Arc::clone(app));
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            backend.resolve(&app);
        });
    }

    /// Runs a task until the stand-in is stopped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.stopped.clone().run_until_cancelled_owned(task));
    }

    /// Runs a task to its end even if nobody waits for it any more. None: the stand-in was stopped, or the task panicked.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        tokio::spawn(self.stopped.clone().run_until_cancelled_owned(task))
            .await
            .ok()
            .flatten()
    }

    /// Stops all tasks when it is dropped.
    pub(crate) fn until_dropped(&self) -> DropGuard {
        self.stopped.clone().drop_guard()
    }
}
