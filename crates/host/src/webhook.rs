//! The webhook: Event Grid delivers over HTTP, without a Functions host, as in Container Apps or
//! Kubernetes.
//!
//! The ingress terminates TLS. An event takes the same pipeline as one from the
//! Functions host, and a timer of this process replaces that of the Functions host.
//!
//! The endpoint is public, so `places` and `progress` limit its connections, and a request is checked
//! in this order:
//!
//! 1. `auth`: the token that Event Grid gets from Microsoft Entra for this webhook;
//! 2. `limits`: the rate of deliveries, and their concurrency;
//! 3. `body`: its size and its time;
//! 4. `handshake`: the validation of the subscription;
//! 5. `delivery`: deduplication, and a run for each event.
//!
//! The status tells Event Grid what to do. By its documentation, "Message delivery and retry", 400,
//! 401, 403 and 413 are final for a webhook (the event is dead-lettered or dropped), 408 is retried
//! after two minutes, 503 after 30 seconds, and all others after ten seconds. So a token that can
//! never be valid gets a 401, and a failure of our own a 503.

mod auth;
mod body;
mod connections;
mod deduplication;
mod delivery;
mod handshake;
mod limits;
mod places;
mod progress;
mod refusal;
mod routes;
mod shutdown;
mod signing_keys;
mod timer;
mod token_error;

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use keyrelay_azure::Http;
use keyrelay_config::{Config, Problem, StoreLocation, WebhookConfig};
use tokio::net::TcpListener;
use tokio::sync::SetOnce;

use crate::start;
use crate::telemetry::Telemetry;
use auth::Auth;
use limits::DeliveryLimits;
use routes::WebhookState;

/// Serves until the process is told to shut down and the deliveries in progress are finished.
///
/// `webhook` is the table of the configuration; see [`required`].
pub async fn serve(
    config: Config,
    webhook: WebhookConfig,
    telemetry: Telemetry,
    app_root: &Path,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signal().context("cannot wait for signals")?;
    let http = Http::new().context("cannot make an HTTP client")?;
    let auth = Auth::new(&webhook, &config.cloud, http)?;
    let (listener, address) = listen(webhook.listen).await?;
    let probes = match config.probe_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    if let StoreLocation::Folder(folder) = &config.store {
        let folder = folder.display();
        tracing::warn!(
            "the store is the folder {folder}: it has to outlive the container, and all replicas \
             have to share it"
        );
    }
    tracing::info!(%address, "listening");
    let services = Arc::new(SetOnce::new());
    let probe_router = routes::probes(Arc::clone(&services));
    let probing = async {
        match probes {
            Some((listener, address)) => {
                tracing::info!(%address, "serving probes");
                connections::serve_probes(listener, probe_router).await;
            }
            None => pending().await,
        }
    };
    let limits = Arc::new(DeliveryLimits::new(&webhook));
    let state = WebhookState {
        auth,
        limits: Arc::clone(&limits),
        services: Arc::clone(&services),
        handled: Arc::default(),
        max_body: webhook.largest_body,
        rate_per_minute: webhook.a_minute,
        respond_within: config.answer_within,
    };
    let starting = async {
        start::run(config, telemetry, app_root, environment, address, &services).await?;
        // The policies are locked or read-only, so nothing is watched.
        pending().await
    };
    tokio::select! {
        () = connections::serve(listener, routes::router(state), &limits, &shutdown) => Ok(()),
        ended = starting => ended,
        () = timer::run(&services, &shutdown) => Ok(()),
        () = probing => Ok(()),
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let address = listener
        .local_addr()
        .context("cannot read the address of the listener")?;
    Ok((listener, address))
}

/// The table `[webhook]`, or the problem that it is missing.
pub fn required(config: &Config) -> Result<WebhookConfig, Problem> {
    config.webhook.clone().ok_or_else(|| Problem {
        location: "keyrelay.toml: webhook".to_owned(),
        message: "missing: `--webhook` needs this table, or the variable KEYRELAY_WEBHOOK, with \
                  `tenant`, `audience`, and `role` or `senders`"
            .to_owned(),
    })
}
