//! Acquires the lease of an app: one writer across all instances.

use std::time::Duration;

use keyrelay_records::Outcome;
use keyrelay_records::app_state::{self, AppState};
use keyrelay_store::{Acquired, Lease};

use super::context::BatchContext;
use super::stages::{Batch, Leased};

/// Longest pause before a lease that another instance holds is requested again.
const RETRY: Duration = Duration::from_millis(400);

/// Shortest pause.
const SHORTEST_RETRY: Duration = Duration::from_millis(20);

/// Acquires the lease of the batch's app. The error holds the batch, and the reason.
pub(super) async fn acquire(batch: Batch) -> Result<Leased, (Batch, Outcome)> {
    match lease_of(&batch.context).await {
        Ok(lease) => Ok(Leased { batch, lease }),
        Err(outcome) => Err((batch, outcome)),
    }
}

/// Acquires the lease of the app, and waits while another instance holds it.
pub(super) async fn lease_of(context: &BatchContext) -> Result<Lease<AppState>, Outcome> {
    let key = app_state::key(&context.app);
    let services = &context.services;
    let deadline = Some(context.store_deadline.moment());
    let store = services.store.with_deadline(deadline);
    loop {
        let acquired =
            Lease::acquire(&store, &key, &services.instance, services.config.lease).await?;
        let (holder, remaining) = match acquired {
            Acquired::Held(mut lease) => {
                lease.set_deadline(deadline);
                return Ok(*lease);
            }
            Acquired::Busy { holder, remaining } => (holder, remaining),
        };
        let pause = remaining.clamp(SHORTEST_RETRY, RETRY);
        if context.call.deadline.remaining() <= pause {
            let seconds = remaining.as_secs_f32();
            let message = format!(
                "`{holder}` is writing the app and holds its lease for {seconds:.0} s more"
            );
            return Err(Outcome::transient(message));
        }
        tokio::time::sleep(pause).await;
    }
}
