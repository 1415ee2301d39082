//! The options of the cloud.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::app_process::AppLine;
use crate::audit::AuditOptions;
use crate::azurite::Azurite;
use crate::profile::Profile;

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
    /// The behaviour where descriptions of Azure differ. Default: as reported by users.
    pub profile: Profile,
    /// Whether Resource Manager enforces its rate limits. Default: no.
    pub limits_requests: bool,
    /// The variable PATH of app processes.
    pub path: String,
    /// The audit log of the vaults. `None` means that Log Analytics has no workspace.
    pub audit: Option<AuditOptions>,
    /// Blob storage. `None` means that there is no storage account.
    pub storage: Option<Arc<Azurite>>,
    /// The file to which each exchange is appended as JSON, with all values and tokens.
    pub record: Option<PathBuf>,
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
    /// The query service of Log Analytics.
    pub log_analytics: u16,
}

impl Default for CloudOptions {
    fn default() -> Self {
        Self {
            ports: Ports::default(),
            page_size: 50,
            token_lifetime: Duration::from_secs(24 * 60 * 60),
            resolve_after: Duration::ZERO,
            profile: Profile::as_reported(),
            limits_requests: false,
            path: "/usr/local/bin:/usr/bin:/bin".into(),
            audit: None,
            storage: None,
            record: None,
            app_lines: None,
        }
    }
}
