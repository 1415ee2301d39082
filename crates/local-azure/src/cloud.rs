//! The stand-in as a whole: starts it, says where it is, and moves it by hand.

mod by_hand;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::Url;

use crate::app_process::{self, AppLine};
use crate::apps::Apps;
use crate::backend::Backend;
use crate::exchange::exchange;
use crate::hidden::Hidden;
use crate::identity::{ENDPOINT_PATH, Identities, Identity};
use crate::published_event::PublishedEvent;
use crate::requests::Service;
use crate::serve::{listen, serve};
use crate::vaults::VaultError;
use crate::world::{World, WorldError};

/// Identity, Key Vault and Resource Manager on 127.0.0.1. Dropping it ends them, with all connections and processes.
#[derive(Debug)]
pub struct Cloud {
    backend: Arc<Backend>,
    identity_url: Url,
    key_vault_url: Url,
    resource_manager_url: Url,
    /// What proves to the identity endpoint that an app is the app, by short name.
    headers: HashMap<String, Hidden>,
    /// The same for a caller that is no app of this world.
    own_header: Hidden,
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
    /// The vault refuses.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// The name of the identity that is no app's.
const OUTSIDER: &str = "outsider";

impl Cloud {
    /// Starts the three services. What vaults publish goes to `events`, for Event Grid.
    pub async fn start(
        world: World,
        options: CloudOptions,
        events: mpsc::UnboundedSender<PublishedEvent>,
    ) -> Result<Self, CloudError> {
        world.check()?;
        let now = Timestamp::now();
        let apps = Apps::new(&world, now);
        let mut identities = Identities::new(&world, options.token_lifetime);
        let own_header = identities.admit(Identity::new(OUTSIDER));
        let with_identity = apps.iter().filter_map(|app| Some((app.short_name.clone(), app.identity.clone()?)));
        let headers = with_identity.map(|(name, identity)| (name, identities.admit(identity))).collect();

        let ports = options.ports;
        let (identity, identity_url) = open(ports.identity, ENDPOINT_PATH).await?;
        let (key_vault, key_vault_url) = open(ports.key_vault, "/").await?;
        let (resource_manager, resource_manager_url) = open(ports.resource_manager, "/").await?;
        let backend = Arc::new(Backend::new(&world, options, identities, apps, events, now));
        for (service, listener) in [
            (Service::Identity, identity),
            (Service::KeyVault, key_vault),
            (Service::ResourceManager, resource_manager),
        ] {
            let shared = Arc::clone(&backend);
            backend.spawn(serve(listener, move |request| exchange(Arc::clone(&shared), service, request)));
        }
        for app in backend.apps.iter() {
            backend.resolve(app, now);
            let CloudOptions { path, app_lines, .. } = &backend.options;
            backend.spawn(app_process::keep_running(Arc::clone(app), path.clone(), app_lines.clone()));
        }
        Ok(Self { backend, identity_url, key_vault_url, resource_manager_url, headers, own_header })
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

    /// The environment by which a program finds an identity that no vault denies: one that is no app of this world.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment_with(&self.own_header)
    }

    /// The environment by which an app finds its identity, as App Service sets it. Empty if it has none.
    pub fn environment_of(&self, app: &str) -> Result<Vec<(String, String)>, CloudError> {
        let header = self.headers.get(&self.backend.app(app)?.short_name);
        Ok(header.map(|header| self.environment_with(header)).unwrap_or_default())
    }

    fn environment_with(&self, header: &Hidden) -> Vec<(String, String)> {
        let endpoint = self.identity_url.to_string();
        vec![("IDENTITY_ENDPOINT".into(), endpoint), ("IDENTITY_HEADER".into(), header.expose().into())]
    }
}

/// Opens a listener, and says where it is.
async fn open(port: u16, path: &str) -> Result<(TcpListener, Url), CloudError> {
    let failed = |source| CloudError::Listen { port, source };
    let (listener, port) = listen(port).await.map_err(failed)?;
    let url = format!("http://127.0.0.1:{port}{path}").parse().map_err(io::Error::other).map_err(failed)?;
    Ok((listener, url))
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.backend.stop();
    }
}
