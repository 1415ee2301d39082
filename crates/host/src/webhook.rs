//! Another front door: Event Grid delivers over HTTP, without a Functions host, as in Container Apps or Kubernetes.
//!
//! The ingress in front terminates TLS. Behind the door an event goes the same way as one from the Functions host, and a
//! timer in here does what that host's timer would.
//!
//! The door is in the open, so who knocks is asked before anything of the request is read:
//!
//! 1. `gate`: the token that Event Grid got from Entra for this webhook;
//! 2. `limits`: deliveries in a minute, and side by side;
//! 3. `body`: not too large, and not too slow;
//! 4. `handshake`: that the webhook wants the events;
//! 5. `delivery`: not a replay, and then the way of every event through the [relay](crate::relay).
//!
//! An answer tells Event Grid what to do, by the table in its "Message delivery and retry": 400, 401, 403 and 413 are final
//! for a webhook (the event is dead-lettered or dropped), 408 comes again after two minutes, 503 after half a minute, and
//! whatever else after ten seconds. So 401 is for tokens that will never be good, and trouble of our own is a 503.

mod body;
mod connections;
mod delivery;
mod door;
mod gate;
mod handshake;
mod keys;
mod limits;
mod refusal;
mod replay;
mod stop;
mod timer;

use std::collections::BTreeMap;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use keyrelay_azure::Http;
use tokio::net::TcpListener;
use tokio::sync::SetOnce;

use crate::config::{Config, Problem, StorePlace, Webhook};
use crate::start;
use crate::telemetry::Telemetry;
use door::Door;
use gate::Gate;
use limits::Limits;

/// Serves until the process is told to stop, and what was begun is finished.
///
/// `webhook` is the table of the configuration; see [`required`].
pub async fn serve(
    config: Config,
    webhook: Webhook,
    telemetry: Telemetry,
    app_root: &Path,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let stop = stop::on_signal().context("cannot wait for signals")?;
    let http = Http::new().context("cannot make an HTTP client")?;
    let gate = Gate::new(&webhook, &config.cloud, http)?;
    let listen = webhook.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener
        .local_addr()
        .context("cannot tell the address that is listened on")?;
    if let StorePlace::Folder(folder) = &config.store {
        let folder = folder.display();
        tracing::warn!(
            "the store is the folder {folder}: it must outlive the container, and be one for all replicas"
        );
    }
    tracing::info!(%address, "listening");
    let relay = Arc::new(SetOnce::new());
    let limits = Arc::new(Limits::new(&webhook));
    let door = Door::new(
        gate,
        Arc::clone(&limits),
        Arc::clone(&relay),
        &webhook,
        config.answer_within,
    );
    let working = async {
        start::work(config, telemetry, app_root, environment, address, &relay).await?;
        // The policies cannot change, so there is nothing to look after.
        pending().await
    };
    tokio::select! {
        () = connections::serve(listener, door::router(door), &limits, &stop) => Ok(()),
        ended = working => ended,
        () = timer::run(&relay, &stop) => Ok(()),
    }
}

/// The table `[webhook]`, or what to say if there is none.
pub fn required(config: &Config) -> Result<Webhook, Problem> {
    config.webhook.clone().ok_or_else(|| Problem {
        place: "keyrelay.toml: webhook".to_owned(),
        message:
            "missing: `--webhook` needs this table, or the variable KEYRELAY_WEBHOOK, with `tenant`, `audience`, and \
                  `role` or `senders`"
                .to_owned(),
    })
}
