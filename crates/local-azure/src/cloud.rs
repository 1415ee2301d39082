//! The cloud: start, endpoints, and direct access for tests.

mod control;
mod direct;
mod error;
mod exchange;
mod options;
mod services;
mod writer;

pub use error::CloudError;
pub use options::{CloudOptions, Ports};
pub use writer::Writer;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;
use url::Url;

use crate::app_process;
use crate::azure_cloud::Audience;
use crate::azurite::ACCOUNT;
use crate::identity::{ENDPOINT_PATH, ManagedIdentity, STORAGE};
use crate::published_event::PublishedEvent;
use crate::recording::Recording;
use crate::resource_manager::ListedSubscription;
use crate::serve::{listen, serve};
use crate::service::Service;
use crate::storage::Storage;
use crate::tls::Tls;
use crate::world::World;
use exchange::exchange;
use services::CloudServices;

/// Identity, Key Vault, Resource Manager and Log Analytics on 127.0.0.1. Dropping it stops them,
/// with all connections and app processes.
pub struct Cloud {
    services: Arc<CloudServices>,
    identity_url: Url,
    key_vault_url: Url,
    resource_manager_url: Url,
    log_analytics_url: Url,
    storage_url: Option<Url>,
    is_audited: bool,
    tls: Tls,
    _running: DropGuard,
}

impl Cloud {
    /// Starts the services. Vaults publish their events to `events`, for Event Grid.
    pub async fn start(
        world: World,
        options: CloudOptions,
        events: mpsc::UnboundedSender<PublishedEvent>,
    ) -> Result<Self, CloudError> {
        world.check()?;
        let tls = Tls::new(world.cloud, world.vaults.iter().map(|it| it.name.as_str()))?;
        let ports = options.ports;
        let (identity, identity_url) = open(ports.identity, ENDPOINT_PATH).await?;
        let (key_vault, key_vault_url) = open(ports.key_vault, "/").await?;
        let (resource_manager, resource_manager_url) = open(ports.resource_manager, "/").await?;
        let (log_analytics, log_analytics_url) = open(ports.log_analytics, "/").await?;
        let mut listeners = vec![
            (Service::Identity, identity),
            (Service::KeyVault, key_vault),
            (Service::ResourceManager, resource_manager),
            (Service::LogAnalytics, log_analytics),
        ];
        let (mut storage, mut storage_url) = (None, None);
        if let Some(azurite) = &options.storage {
            let (listener, url) = open(ports.storage, &format!("/{ACCOUNT}")).await?;
            listeners.push((Service::Storage, listener));
            storage = Some(Storage {
                url: azurite.url(),
                client: azurite.client()?,
            });
            storage_url = Some(url);
        }
        let recording = options.record.as_deref().map(open_recording).transpose()?;
        let services = CloudServices::new(&world, &options, events, storage, recording);
        let services = Arc::new(services);
        for (service, listener) in listeners {
            let shared = Arc::clone(&services);
            services
                .tasks
                .spawn(serve(listener, tls.clone(), move |request| {
                    exchange(Arc::clone(&shared), service, request)
                }));
        }
        for app in services.apps.iter() {
            services.apps.resolve(app);
            services.tasks.spawn(app_process::keep_running(
                Arc::clone(app),
                options.path.clone(),
                options.app_lines.clone(),
            ));
        }
        let running = services.tasks.cancel_on_drop();
        Ok(Self {
            services,
            identity_url,
            key_vault_url,
            resource_manager_url,
            log_analytics_url,
            storage_url,
            is_audited: options.audit.is_some(),
            tls,
            _running: running,
        })
    }

    /// The identity endpoint, which App Service calls `IDENTITY_ENDPOINT`.
    pub fn identity_url(&self) -> &Url {
        &self.identity_url
    }

    /// The listener of all vaults. The `Host` header selects the vault, as
    /// `{vault}.vault.azure.net` or `{vault}.localhost`. Any other host selects the only vault of
    /// the world.
    pub fn key_vault_url(&self) -> &Url {
        &self.key_vault_url
    }

    /// The URL of one vault, selected by the path, for clients that cannot set the `Host` header.
    pub fn vault_url(&self, vault: &str) -> Result<Url, CloudError> {
        let vault = self.services.vault(vault)?;
        let mut url = self.key_vault_url.clone();
        url.set_path(&format!("/vaults/{}", vault.name));
        Ok(url)
    }

    /// The URL of Resource Manager. The paths below `/local` control the stand-in.
    pub fn resource_manager_url(&self) -> &Url {
        &self.resource_manager_url
    }

    /// The query service of Log Analytics. It has a workspace only with an audit log.
    pub fn log_analytics_url(&self) -> &Url {
        &self.log_analytics_url
    }

    /// Whether there is an audit log.
    pub(crate) fn is_audited(&self) -> bool {
        self.is_audited
    }

    /// The blob service of the storage account. `None` without a storage account.
    pub fn storage_url(&self) -> Option<&Url> {
        self.storage_url.as_ref()
    }

    /// The certificate of the listeners, in PEM. They serve https on the same ports, for client
    /// libraries that reject plain http.
    pub fn certificate(&self) -> &str {
        self.tls.certificate()
    }

    /// The environment of a program outside the world, with an identity that every vault accepts.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment_for(&self.services.identities.outsider)
    }

    /// The identity variables that App Service sets for an app. Empty for an app without an
    /// identity.
    pub fn environment_of(&self, app: &str) -> Result<Vec<(String, String)>, CloudError> {
        let identity = self.services.app(app)?.identity.as_ref();
        Ok(identity
            .map(|identity| self.environment_for(identity))
            .unwrap_or_default())
    }

    /// Issues a token for blob storage to the identity outside the world.
    pub fn storage_token(&self) -> String {
        let identities = &self.services.identities;
        let (owner, now) = (&identities.outsider, Timestamp::now());
        identities
            .issue_token(owner, STORAGE, Audience::Storage, now)
            .0
    }

    /// Adds an event subscription to the listings of Resource Manager.
    pub(crate) fn list_event_subscription(&self, subscription: ListedSubscription) {
        self.services
            .resource_manager
            .add_event_subscription(subscription);
    }

    fn environment_for(&self, identity: &ManagedIdentity) -> Vec<(String, String)> {
        let endpoint = self.identity_url.to_string();
        let header = identity.header.expose().to_owned();
        vec![
            ("IDENTITY_ENDPOINT".into(), endpoint),
            ("IDENTITY_HEADER".into(), header),
        ]
    }
}

fn open_recording(path: &Path) -> Result<Recording, CloudError> {
    let path = path.to_owned();
    Recording::open(&path).map_err(|source| CloudError::Record { path, source })
}

/// Opens a listener and returns it with its URL.
async fn open(port: u16, path: &str) -> Result<(TcpListener, Url), CloudError> {
    let failed = |source| CloudError::Listen { port, source };
    let (listener, port) = listen(port).await.map_err(failed)?;
    let url = format!("http://127.0.0.1:{port}{path}")
        .parse()
        .map_err(io::Error::other)
        .map_err(failed)?;
    Ok((listener, url))
}

impl fmt::Debug for Cloud {
    /// Prints only the URLs, because the state holds tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud")
            .field("identity_url", &self.identity_url.as_str())
            .field("key_vault_url", &self.key_vault_url.as_str())
            .field("resource_manager_url", &self.resource_manager_url.as_str())
            .field("log_analytics_url", &self.log_analytics_url.as_str())
            .finish_non_exhaustive()
    }
}
