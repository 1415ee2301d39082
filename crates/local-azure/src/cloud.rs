//! The stand-in as a whole: starts it, says where it is, and moves it by hand.

mod by_hand;
mod writer;

pub use writer::Writer;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;
use url::Url;

use crate::app_process::{self, AppLine};
use crate::azure_cloud::Audience;
use crate::azurite::{ACCOUNT, Azurite, AzuriteError};
use crate::backend::{Backend, Subscribed};
use crate::exchange::exchange;
use crate::identity::{ENDPOINT_PATH, Identity};
use crate::published_event::PublishedEvent;
use crate::requests::Service;
use crate::serve::{listen, serve};
use crate::storage::Storage;
use crate::tls::{Tls, TlsError};
use crate::vaults::VaultError;
use crate::world::{World, WorldError};

/// Identity, Key Vault and Resource Manager on 127.0.0.1. Dropping it ends them, with all connections and processes.
pub struct Cloud {
    backend: Arc<Backend>,
    identity_url: Url,
    key_vault_url: Url,
    resource_manager_url: Url,
    storage_url: Option<Url>,
    tls: Tls,
    _running: DropGuard,
}

/// How the stand-in behaves.
#[derive(Debug, Clone)]
pub struct CloudOptions {
    /// The ports to listen on.
    pub ports: Ports,
    /// How many items Resource Manager puts on a page. Default: 50.
    pub page_size: usize,
    /// How long a token is good. Default: 24 hours.
    pub token_lifetime: Duration,
    /// How long after a write of settings their references are resolved. Default: at once.
    pub resolve_after: Duration,
    /// How long after a refresh the references are resolved. Default: 200 ms. Azure needs about 15 s.
    pub refresh_after: Duration,
    /// Whether rows of references say `activeVersion`. Default: yes.
    pub reports_active_version: bool,
    /// Whether Resource Manager refuses callers that exceed its limits. Default: no.
    pub limits_requests: bool,
    /// The variable PATH of app processes.
    pub path: String,
    /// Blob storage. None: there is no storage account.
    pub storage: Option<Arc<Azurite>>,
    /// Where the lines go that app processes write.
    pub app_lines: Option<mpsc::UnboundedSender<AppLine>>,
}

/// The port of each listener; 0 is any free one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// The endpoint that gives tokens.
    pub identity: u16,
    /// The vaults' data plane.
    pub key_vault: u16,
    /// Resource Manager.
    pub resource_manager: u16,
    /// Blob storage.
    pub storage: u16,
}

impl Default for CloudOptions {
    fn default() -> Self {
        Self {
            ports: Ports::default(),
            page_size: 50,
            token_lifetime: Duration::from_secs(24 * 60 * 60),
            resolve_after: Duration::ZERO,
            refresh_after: Duration::from_millis(200),
            reports_active_version: true,
            limits_requests: false,
            path: "/usr/local/bin:/usr/bin:/bin".into(),
            storage: None,
            app_lines: None,
        }
    }
}

/// Why the stand-in cannot start or do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// There can be no such world.
    #[error("this world cannot be")]
    World(#[from] WorldError),
    /// There is no https.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A listener could not be opened.
    #[error("cannot listen on port {port} of 127.0.0.1")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The world has no such vault.
    #[error("there is no vault `{0}`")]
    UnknownVault(String),
    /// The world has no such app.
    #[error("there is no app `{0}`")]
    UnknownApp(String),
    /// Storage cannot be asked.
    #[error(transparent)]
    Storage(#[from] AzuriteError),
    /// The vault refuses.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Cloud {
    /// Starts the three services. What vaults publish goes to `events`, for Event Grid.
    pub async fn start(
        world: World,
        options: CloudOptions,
        events: mpsc::UnboundedSender<PublishedEvent>,
    ) -> Result<Self, CloudError> {
        world.check()?;
        let tls = Tls::new(world.cloud)?;
        let ports = options.ports;
        let (identity, identity_url) = open(ports.identity, ENDPOINT_PATH).await?;
        let (key_vault, key_vault_url) = open(ports.key_vault, "/").await?;
        let (resource_manager, resource_manager_url) = open(ports.resource_manager, "/").await?;
        let mut listeners = vec![
            (Service::Identity, identity),
            (Service::KeyVault, key_vault),
            (Service::ResourceManager, resource_manager),
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
        let backend = Arc::new(Backend::new(&world, options, events, storage));
        for (service, listener) in listeners {
            let shared = Arc::clone(&backend);
            backend.spawn(serve(listener, tls.clone(), move |request| {
                exchange(Arc::clone(&shared), service, request)
            }));
        }
        for app in backend.apps.iter() {
            backend.resolve(app);
            let CloudOptions {
                path, app_lines, ..
            } = &backend.options;
            backend.spawn(app_process::keep_running(
                Arc::clone(app),
                path.clone(),
                app_lines.clone(),
            ));
        }
        let running = backend.until_dropped();
        Ok(Self {
            backend,
            identity_url,
            key_vault_url,
            resource_manager_url,
            storage_url,
            tls,
            _running: running,
        })
    }

    /// The endpoint that gives tokens: what App Service calls `IDENTITY_ENDPOINT`.
    pub fn identity_url(&self) -> &Url {
        &self.identity_url
    }

    /// The listener of all vaults. It serves the vault that the `Host` header names, as `{vault}.vault.azure.net` or
    /// `{vault}.localhost`; without one, the only vault of the world.
    pub fn key_vault_url(&self) -> &Url {
        &self.key_vault_url
    }

    /// One vault, named by the path, for clients that cannot choose the `Host` header.
    pub fn vault_url(&self, vault: &str) -> Result<Url, CloudError> {
        let vault = self.backend.vault(vault)?;
        let mut url = self.key_vault_url.clone();
        url.set_path(&format!("/vaults/{}", vault.name));
        Ok(url)
    }

    /// Resource Manager, and below `/local` the controls of the stand-in.
    pub fn resource_manager_url(&self) -> &Url {
        &self.resource_manager_url
    }

    /// The blob service of the storage account, if there is one.
    pub fn storage_url(&self) -> Option<&Url> {
        self.storage_url.as_ref()
    }

    /// The certificate of the listeners, in PEM. They speak https on the same ports, for the client libraries that
    /// refuse plain http.
    pub fn certificate(&self) -> &str {
        self.tls.certificate()
    }

    /// The environment by which a program finds an identity that no vault denies: one that is no app of this world.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment_for(&self.backend.identities.outsider)
    }

    /// The environment by which an app finds its identity, as App Service sets it. Empty if it has none.
    pub fn environment_of(&self, app: &str) -> Result<Vec<(String, String)>, CloudError> {
        let identity = self.backend.app(app)?.identity.as_ref();
        Ok(identity
            .map(|identity| self.environment_for(identity))
            .unwrap_or_default())
    }

    /// A token for blob storage, as the endpoint gives it to somebody who is no app of the world.
    pub fn storage_token(&self) -> String {
        let identities = &self.backend.identities;
        identities
            .make_token(
                &identities.outsider.name,
                Audience::Storage,
                Timestamp::now(),
            )
            .0
    }

    /// Has Resource Manager show an event subscription.
    pub(crate) fn show(&self, subscribed: Subscribed) {
        self.backend.subscribed().push(subscribed);
    }

    fn environment_for(&self, identity: &Identity) -> Vec<(String, String)> {
        let endpoint = self.identity_url.to_string();
        let header = identity.header.expose().to_owned();
        vec![
            ("IDENTITY_ENDPOINT".into(), endpoint),
            ("IDENTITY_HEADER".into(), header),
        ]
    }
}

/// Opens a listener, and says where it is.
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
    /// Only where it is: what is in it holds tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud")
            .field("identity_url", &self.identity_url.as_str())
            .field("key_vault_url", &self.key_vault_url.as_str())
            .field("resource_manager_url", &self.resource_manager_url.as_str())
            .finish_non_exhaustive()
    }
}
