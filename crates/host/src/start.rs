//! Starts the handler: configuration, logging, services, listener; in the order in which they can
//! fail.

mod assemble;
mod instance;
mod logging;
mod rules;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use keyrelay_config::{Config, TelemetryMode};
use tokio::net::TcpListener;
use tokio::sync::SetOnce;

use crate::functions::routes::router;
use crate::policy_cache::watch;
use crate::reconcile::continue_deliveries;
use crate::services::Services;
use crate::telemetry::{Telemetry, TelemetryError};
use assemble::assemble;
use instance::{PORT_VARIABLES, instance};
pub use logging::logging;
use rules::check_rules;

/// The option by which keyrelay-host starts itself to compile a policy.
pub const COMPILE_POLICY: &str = "--compile-policy";

/// Starts the exporters that the environment configures, unless the configuration switches them
/// off. An error there stops nothing else.
pub fn telemetry(
    config: &Config,
    environment: &BTreeMap<String, String>,
) -> (Telemetry, Option<TelemetryError>) {
    if config.telemetry == TelemetryMode::Off {
        return (Telemetry::default(), None);
    }
    match Telemetry::start(environment, &instance(environment)) {
        Ok(telemetry) => (telemetry, None),
        Err(error) => (Telemetry::default(), Some(error)),
    }
}

/// Serves the Functions host until the process is killed.
///
/// The Functions host waits for the first response, and requests it every 25 ms: the listener
/// responds while the services are assembled, and events wait for them.
pub async fn serve(
    config: Config,
    telemetry: Telemetry,
    app_root: &Path,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let port = port(environment)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let services = Arc::new(SetOnce::new());
    let serving = axum::serve(listener, router(Arc::clone(&services)));
    let running = run(config, telemetry, app_root, environment, address, &services);
    let serving = async { serving.await.context("the listener has ended") };
    tokio::try_join!(running, serving).map(drop)
}

/// Assembles the services for a listener that is already open, and then reloads policies that
/// change.
pub(crate) async fn run(
    config: Config,
    telemetry: Telemetry,
    app_root: &Path,
    environment: &BTreeMap<String, String>,
    address: SocketAddr,
    ready: &SetOnce<Arc<Services>>,
) -> anyhow::Result<()> {
    let (app_root, environment) = (app_root.to_owned(), environment.clone());
    let assembling =
        tokio::task::spawn_blocking(move || assemble(config, telemetry, &app_root, &environment));
    let services = assembling
        .await
        .context("a panic occurred while the services were assembled")??;
    let services = Arc::new(services);
    tracing::info!(
        address = %address,
        version = env!("CARGO_PKG_VERSION"),
        mode = ?services.config.mode,
        store = %services.store,
        instance = services.instance,
        policies = services.policies.names().join(", "),
        "keyrelay-host is ready"
    );
    // It is set only here.
    let _ = ready.set(Arc::clone(&services));
    tokio::join!(maintain(&services), continue_deliveries(&services));
    Ok(())
}

/// Loads the policies, checks the rules, and repeats both when `policies/` changes.
async fn maintain(services: &Services) {
    let Services {
        policies, metrics, ..
    } = services;
    policies.load_all().await;
    let loaded = || async {
        let (usable, quarantined) = policies.counts();
        metrics.policies(usable, quarantined);
        check_rules(services).await;
    };
    loaded().await;
    if watch::can_change(policies) {
        watch::watch(policies, loaded).await;
    }
}

fn port(environment: &BTreeMap<String, String>) -> anyhow::Result<u16> {
    let [name, _] = PORT_VARIABLES;
    let value = PORT_VARIABLES
        .iter()
        .find_map(|name| environment.get(*name));
    let value = value.with_context(|| {
        format!(
            "{name} is not set: the Functions host starts this program; to try it, use \
             `keyrelay local`"
        )
    })?;
    value
        .parse()
        .with_context(|| format!("{name} is not a port"))
}
