//! The reconcile timer of the webhook. It replaces that of the Functions host: see
//! `Reconcile/function.json`.
//!
//! Each replica has its own. They may run concurrently, like the instances of a function app: the
//! leases of the apps serialise their changes. Jitter keeps them from running in step.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SetOnce;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::reconcile::reconcile;
use crate::services::Services;

/// Interval of the timer, as in `0 * * * * *`.
const INTERVAL: Duration = Duration::from_mins(1);

/// Largest deviation from the interval, as a part of it.
const JITTER: f64 = 0.1;

/// Latest time of the first run: a replica that was killed may have left pending work.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// Runs until the shutdown, and then waits: the server decides when the process ends.
pub(super) async fn run(services: &SetOnce<Arc<Services>>, shutdown: &CancellationToken) {
    let services = services.wait().await;
    let mut pause = FIRST_WITHIN.mul_f64(rand::random());
    while shutdown.run_until_cancelled(sleep(pause)).await.is_some() {
        let services = Arc::clone(services);
        // A task of its own: a panic ends only this run. Failures are in the log already.
        let done =
            tokio::spawn(async move { reconcile(&services, &Uuid::new_v4().to_string()).await })
                .await;
        if done.is_err() {
            tracing::error!("a panic occurred in the reconcile timer: please report this");
        }
        pause = INTERVAL.mul_f64(1.0 + JITTER * (2.0 * rand::random::<f64>() - 1.0));
    }
    std::future::pending().await
}
