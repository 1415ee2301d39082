//! The timer that calls `reconcile`, in the place of the Functions host's: see `Reconcile/function.json`.
//!
//! Each replica has one of its own. They may run side by side, as instances of a function app may: what they do is under
//! the leases of the apps. That they do not begin in step is what the jitter is for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SetOnce;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::reconcile::reconcile;
use crate::relay::Relay;

/// How often it runs: `0 */5 * * * *`.
const EVERY: Duration = Duration::from_mins(5);

/// By how much of `EVERY` a pause may be longer or shorter.
const JITTER: f64 = 0.1;

/// Until when the first run comes: a replica that was killed may have left something behind.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// Runs until the process is told to stop, and then waits for ever: whoever serves decides when it is over.
pub(super) async fn run(relay: &SetOnce<Arc<Relay>>, stop: &CancellationToken) {
    let relay = relay.wait().await;
    let mut pause = FIRST_WITHIN.mul_f64(rand::random());
    while stop.run_until_cancelled(sleep(pause)).await.is_some() {
        let relay = Arc::clone(relay);
        // A task of its own: a panic ends nothing but itself. What went wrong is in the log already.
        let done =
            tokio::spawn(async move { reconcile(&relay, &Uuid::new_v4().to_string()).await }).await;
        if done.is_err() {
            tracing::error!("reconciling made keyrelay panic: please report this");
        }
        pause = EVERY.mul_f64(1.0 + JITTER * (2.0 * rand::random::<f64>() - 1.0));
    }
    std::future::pending().await
}
