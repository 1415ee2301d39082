//! From the environment to a running handler, in the order in which things can go wrong.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use keyrelay_azure::{Credential, Http, Identity, KeyVault, ResourceManager, Scope};
use keyrelay_sandbox::{LOCK_FILE, Lock, Sandbox};
use tokio::net::TcpListener;
use tokio::sync::SetOnce;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::config::{Config, LogLevel, Problem, TelemetryMode, own_app};
use crate::denials::Denials;
use crate::discovery::Discovery;
use crate::history::History;
use crate::memory::Memories;
use crate::pending::Pending;
use crate::relay::Relay;
use crate::server;
use crate::settled::Settled;
use crate::shelf::Shelf;
use crate::store;
use crate::telemetry::{self, SPANS, Telemetry, TelemetryError};
use crate::turns::Turns;

/// The variables that the Functions host passes its port in: the present name and the older one.
const PORT_VARIABLES: [&str; 2] = ["FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"];

/// The variables in which a container finds its replica's name: in Container Apps, and in Kubernetes.
const CONTAINER_VARIABLES: [&str; 2] = ["CONTAINER_APP_REPLICA_NAME", "HOSTNAME"];

/// Starts logging to standard output, one JSON object a line. The Functions host takes standard error for errors.
///
/// What `telemetry` sends besides is made of the same lines, and of spans, which are in no line.
pub fn logging(level: LogLevel, telemetry: &Telemetry) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // What libraries say below a warning is not for operators, and nobody has read all of it for what it may hold.
    let targets = Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_targets(
            ["keyrelay_host", "keyrelay_azure", "keyrelay_sandbox"].map(|target| (target, level)),
        );
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    // Only fails if there is a subscriber already, as in a test.
    let spans = telemetry
        .tracer()
        .map(|tracer| {
            tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_location(false)
                .with_threads(false)
        })
        .map(|layer| layer.with_filter(Targets::new().with_target(SPANS, LevelFilter::INFO)));
    let bridge = telemetry
        .bridge()
        .map(|bridge| bridge.with_filter(targets.clone()));
    let _ = tracing_subscriber::registry()
        .with(spans)
        .with(bridge)
        .with(lines.with_filter(targets))
        .try_init();
}

/// Sets up what the environment asks for, unless the configuration says no. A mistake there is said, and stops nothing.
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

/// Reads the configuration beside `host.json`: `keyrelay.toml` in the app's folder, and the environment.
pub fn configuration(
    app_root: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<Config, Vec<Problem>> {
    let file = app_root.join("keyrelay.toml");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(vec![Problem {
                place: file.display().to_string(),
                message: format!("cannot be read: {error}"),
            }]);
        }
    };
    Config::read(&text, environment)
}

/// Listens, puts the parts together, and serves until the process is killed.
///
/// The Functions host waits for the first answer, and asks again every 25 ms or so: it gets one while the parts are put
/// together, and events wait for them.
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
    let relay = Arc::new(SetOnce::new());
    let serving = axum::serve(listener, server::router(Arc::clone(&relay)));
    let working = work(config, telemetry, app_root, environment, address, &relay);
    let serving = async { serving.await.context("serving ended") };
    tokio::try_join!(working, serving).map(drop)
}

/// Puts the parts together while somebody listens already, says that they are, and looks after them.
pub(crate) async fn work(
    config: Config,
    telemetry: Telemetry,
    app_root: &Path,
    environment: &BTreeMap<String, String>,
    address: SocketAddr,
    relay: &SetOnce<Arc<Relay>>,
) -> anyhow::Result<()> {
    let (app_root, environment) = (app_root.to_owned(), environment.clone());
    let assembled =
        tokio::task::spawn_blocking(move || assemble(config, telemetry, &app_root, &environment));
    let assembled = Arc::new(
        assembled
            .await
            .context("putting the parts together failed")??,
    );
    tracing::info!(
        address = %address,
        version = env!("CARGO_PKG_VERSION"),
        mode = ?assembled.config.mode,
        store = %assembled.store,
        instance = assembled.instance,
        policies = assembled.shelf.names().join(", "),
        "keyrelay-host is ready"
    );
    // Nobody else sets it.
    let _ = relay.set(Arc::clone(&assembled));
    look_after(&assembled).await;
    Ok(())
}

/// What is done without being asked: looks through the policies and rules, and at what changes in `policies/`.
async fn look_after(relay: &Relay) {
    if relay.config.scope.is_empty() && relay.config.rules.iter().all(|rule| rule.apps.is_empty()) {
        tracing::warn!("no app will be found: `scope` is empty, and no rotation names apps");
    }
    relay.shelf.load_all().await;
    let taken_up = || async {
        let (loaded, quarantined) = relay.shelf.counts();
        relay.metrics.policies(loaded, quarantined);
        relay.check_rules().await;
    };
    taken_up().await;
    if relay.shelf.can_change() {
        relay.shelf.watch(taken_up).await;
    }
}

/// What others see in a lease: the instance of the function app, or the container, and which process on it. A process that
/// was restarted is another one.
fn instance(environment: &BTreeMap<String, String>) -> String {
    let variable = |names: &[&str]| names.iter().find_map(|name| environment.get(*name));
    // A Functions host on somebody's own machine has no name that would say more than `local`.
    let container = variable(&CONTAINER_VARIABLES).filter(|_| variable(&PORT_VARIABLES).is_none());
    let instance: String = match (environment.get("WEBSITE_INSTANCE_ID"), container) {
        // Azure's are 64 characters long.
        (Some(instance), _) => instance.chars().take(16).collect(),
        // The name of the deployment comes first, and what tells one replica from another last.
        (None, Some(replica)) => replica
            .chars()
            .skip(replica.chars().count().saturating_sub(16))
            .collect(),
        (None, None) => "local".to_owned(),
    };
    format!("{instance}-{}", std::process::id())
}

fn port(environment: &BTreeMap<String, String>) -> anyhow::Result<u16> {
    let [name, _] = PORT_VARIABLES;
    let value = PORT_VARIABLES
        .iter()
        .find_map(|name| environment.get(*name));
    let value = value.with_context(|| {
        format!("{name} is not set: the Functions host starts this program; to try it, use `keyrelay local`")
    })?;
    value
        .parse()
        .with_context(|| format!("{name} is not a port"))
}

/// The lock, if it holds: it does where it is, unless the configuration says otherwise.
fn lock(config: &Config, app_root: &Path) -> anyhow::Result<Option<Lock>> {
    if config.locked == Some(false) {
        return Ok(None);
    }
    let lock = Lock::read(app_root)?;
    if config.locked == Some(true) && lock.is_none() {
        anyhow::bail!(
            "`locked` is true, and there is no {LOCK_FILE}: write it with `keyrelay lock`"
        );
    }
    Ok(lock)
}

/// Whose rights are used: what App Service, Container Apps and the workload identity of Kubernetes say in the environment.
pub fn identity(client_id: Option<String>, environment: &BTreeMap<String, String>) -> Identity {
    match environment.get("AZURE_FEDERATED_TOKEN_FILE") {
        _ if environment.contains_key("IDENTITY_ENDPOINT") => Identity::Managed { client_id },
        Some(file) => Identity::Workload {
            client_id,
            token_file: file.into(),
        },
        None => Identity::Developer,
    }
}

fn assemble(
    mut config: Config,
    telemetry: Telemetry,
    app_root: &Path,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Relay> {
    let own_app = own_app(environment);
    if let (true, Some(own)) = (config.scope.is_empty(), &own_app) {
        config.scope = vec![Scope::group_of(own)];
    }
    let identity = identity(config.client_id.clone(), environment);
    let metrics = Arc::new(telemetry.instruments());
    let mut http = Http::new().context("cannot make an HTTP client")?;
    if telemetry.is_on() {
        http = http.observed_by(telemetry::observer(&metrics));
    }
    let credential = Arc::new(Credential::new(identity, &http));
    let folder = app_root.join("policies");
    let sandbox = Sandbox::new().context("cannot start the sandbox")?;
    let lock = lock(&config, app_root)?;
    let shelf = Shelf::open(&folder, sandbox, lock)
        .with_context(|| format!("cannot read {}", folder.display()))?;
    let store = store::open(&config.store, app_root, &config.cloud, &credential, &http)?;
    Ok(Relay {
        instance: instance(environment),
        history: History::new(store.clone()),
        pending: Pending::new(store.clone()),
        denials: Denials::new(store.clone()),
        store,
        settled: Settled::default(),
        versions: Memories::default(),
        turns: Turns::default(),
        resource_manager: ResourceManager::new(
            &config.cloud,
            Arc::clone(&credential),
            http.clone(),
        )?,
        key_vault: KeyVault::new(&config.cloud, credential, http)?,
        own_app,
        shelf,
        discovery: Discovery::default(),
        telemetry,
        metrics,
        config,
    })
}
