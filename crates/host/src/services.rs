//! The parts of the program that live as long as the process.

use std::sync::Arc;

use jiff::Timestamp;
use keyrelay_azure::{KeyVault, LogAnalytics, ResourceManager};
use keyrelay_config::{Config, OwnApp};
use keyrelay_model::Versions;
use keyrelay_records::holds::Hold;
use keyrelay_records::{History, Pending};
use keyrelay_store::Store;
use tokio::sync::{Notify, Semaphore};

use crate::functions::pages::Pages;
use crate::index::IndexUpdates;
use crate::pipeline::app_queue::AppQueues;
use crate::pipeline::discovery_cache::DiscoveryCache;
use crate::pipeline::handled_apps::HandledApps;
use crate::pipeline::recent_changes::RecentChanges;
use crate::pipeline::role_propagation::RolePropagation;
use crate::policy_cache::PolicyCache;
use crate::single_flight::SingleFlights;
use crate::telemetry::{Metrics, Telemetry};

/// The parts of the program that live as long as the process. Every step of the pipeline gets them
/// as an argument.
#[derive(Debug)]
pub struct Services {
    /// The configuration.
    pub config: Config,
    /// The app in Azure that this process runs in, as far as it is known.
    pub own_app: OwnApp,
    /// The name of this process in leases and records: the instance of the function app, and the
    /// process id.
    pub instance: String,
    /// The policies.
    pub policies: PolicyCache,
    /// The client for sites, their settings and their references.
    pub resource_manager: ResourceManager,
    /// The client for versions of secrets. It never reads a value.
    pub key_vault: KeyVault,
    /// The vaults' audit logs, and the workspace that has them. None: they are not queried.
    pub audit: Option<(LogAnalytics, String)>,
    /// The store: a blob container or a folder.
    pub store: Store,
    /// The run history, in the store.
    pub history: History,
    /// Which app references which secret.
    pub(crate) index: IndexUpdates,
    /// Work that outlives its invocation, in the store.
    pub pending: Pending,
    /// Exporters of traces, metrics and logs.
    pub telemetry: Telemetry,
    /// The instruments.
    pub metrics: Arc<Metrics>,
    /// Bounds the events of the deliveries that are handled at once.
    pub(crate) events: Semaphore,
    /// Bounds the concurrent runs of events.
    pub(crate) runs: Arc<Semaphore>,
    /// Told when a delivery leaves work for want of time.
    pub(crate) left_work: Notify,
    /// The changed apps that were noted of late.
    pub(crate) recent_changes: RecentChanges,
    /// The pages, if they are on.
    pub(crate) pages: Option<Pages>,
    /// The lists of versions, by vault and secret.
    pub(crate) versions: SingleFlights<String, Arc<Versions>>,
    /// The holds, by vault and secret.
    pub(crate) holds: SingleFlights<String, Option<Hold>>,
    /// The sites of the scope, their slots and their references.
    pub(crate) discovery: DiscoveryCache,
    /// One queue for each app: a single writer in this process.
    pub(crate) app_queues: AppQueues,
    /// Refusals by Azure that may be role assignments which are still propagating.
    pub(crate) role_propagation: RolePropagation,
    /// The apps for which an event is handled: deduplicates redeliveries.
    pub(crate) handled_apps: HandledApps,
}

impl Services {
    /// The time by the clock of the store, on which all instances agree.
    pub(crate) fn now(&self) -> Timestamp {
        self.store.now()
    }
}
