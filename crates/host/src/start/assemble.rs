//! Assembles the services.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use keyrelay_azure::{Credential, Http, KeyVault, LogAnalytics, ResourceManager};
use keyrelay_config::{Config, OwnApp, identities};
use keyrelay_records::{History, Pending, store};
use keyrelay_sandbox::{AppSandbox, Compilation, CompileCommand, Lock};
use tokio::sync::{Notify, Semaphore};

use super::COMPILE_POLICY;
use super::instance::instance;
use crate::functions::pages::Pages;
use crate::index::IndexUpdates;
use crate::pipeline::app_queue::AppQueues;
use crate::pipeline::discovery_cache::DiscoveryCache;
use crate::pipeline::handled_apps::HandledApps;
use crate::pipeline::recent_changes::RecentChanges;
use crate::pipeline::role_propagation::RolePropagation;
use crate::pipeline::run::{MAX_EVENTS_AT_ONCE, MAX_RUNS};
use crate::policy_cache::PolicyCache;
use crate::services::Services;
use crate::single_flight::SingleFlights;
use crate::telemetry::{self, Telemetry};

/// Assembles the services from the configuration and the environment. Nothing is requested yet.
pub(super) fn assemble(
    mut config: Config,
    telemetry: Telemetry,
    app_root: &Path,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Services> {
    let own_app = OwnApp::find(config.own_app.as_ref(), environment)?;
    if config.scope.is_empty() {
        config.scope.extend(own_app.group());
    }
    if config.scope.is_empty() && config.rules.iter().all(|rule| rule.apps.is_empty()) {
        anyhow::bail!(
            "no app would be found: `scope` is empty, and keyrelay's own resource group is unknown. \
             Set `scope`, or the app setting KEYRELAY_SCOPE, to the subscriptions or resource groups \
             of the apps"
        );
    }
    let (identity, others) = identities(&config.client_ids, environment);
    let metrics = Arc::new(telemetry.instruments());
    let mut http = Http::new().context("cannot make an HTTP client")?;
    if telemetry.is_on() {
        http = http.observed_by(telemetry::observer(&metrics));
    }
    let credential = Arc::new(Credential::new(identity, &http));
    let folder = app_root.join("policies");
    let compiler = CompileCommand::of_this_program(COMPILE_POLICY)
        .context("cannot find the file of this program")?;
    let sandbox = AppSandbox::new(app_root, Compilation::ChildProcess(compiler.clone()))
        .context("cannot start the sandbox")?;
    let lock = Lock::that_applies(app_root, config.locked, &config.trusted_keys)?;
    let policies = PolicyCache::open(&folder, sandbox, lock)
        .with_context(|| format!("cannot read {}", folder.display()))?;
    let store = store::open(&config.store, app_root, &config.cloud, &credential, &http)?;
    let others = others
        .into_iter()
        .map(|it| Arc::new(Credential::new(it, &http)));
    let resource_manager = ResourceManager::with_identities(
        &config.cloud,
        Arc::clone(&credential),
        others.collect(),
        http.clone(),
    )?;
    let audit = match config.audit_workspace.clone() {
        Some(workspace) => {
            let log = LogAnalytics::new(&config.cloud, Arc::clone(&credential), http.clone())?;
            Some((log, workspace))
        }
        None => None,
    };
    Ok(Services {
        instance: instance(environment),
        own_app,
        policies,
        resource_manager,
        audit,
        key_vault: KeyVault::new(&config.cloud, credential, http)?,
        history: History::new(store.clone()),
        index: IndexUpdates::new(store.clone()),
        pending: Pending::new(store.clone()),
        role_propagation: RolePropagation::new(store.clone()),
        store,
        telemetry,
        metrics,
        events: Semaphore::new(MAX_EVENTS_AT_ONCE),
        left_work: Notify::new(),
        recent_changes: RecentChanges::default(),
        pages: Pages::new(&config, app_root, &compiler, environment),
        runs: Arc::new(Semaphore::new(MAX_RUNS)),
        versions: SingleFlights::default(),
        holds: SingleFlights::default(),
        discovery: DiscoveryCache::default(),
        app_queues: AppQueues::default(),
        handled_apps: HandledApps::default(),
        config,
    })
}
