//! The options of the cloud.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::app_process::AppLine;
use crate::azurite::Azurite;

/// The options of a cloud.
#[derive(Debug, Clone)]
pub struct CloudOptions {
    /// The ports to listen on.
    pub ports: Ports,
    /// The number of items on a page of Resource Manager. Default: 50.
    pub page_size: usize,
    /// The lifetime of a token. Default: 24 hours.
    pub token_lifetime: Duration,
    /// The delay between a write of settings and the resolution of their references. Default: none.
    pub resolve_after: Duration,
    /// The delay between a refresh and the resolution of references. Default: 200 ms. Azure needs
    /// about 15 s.
    pub refresh_after: Duration,
    /// Whether the status of a reference includes `activeVersion`. Default: yes.
    pub reports_active_version: bool,
    /// Whether Resource Manager enforces its rate limits. Default: no.
    pub limits_requests: bool,
    /// The variable PATH of app processes.
    pub path: String,
    /// Blob storage. `None` means that there is no storage account.
    pub storage: Option<Arc<Azurite>>,
    /// The receiver of the lines that app processes write.
    pub app_lines: Option<mpsc::UnboundedSender<AppLine>>,
}

/// The port of each listener. 0 means a free port.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// The identity endpoint.
    pub identity: u16,
    /// The data plane of Key Vault.
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
