//! Holds: an operator has stopped the rotations of one secret. Its events are decided and recorded as in
//! the mode `monitor`, and what is pending waits.

use jiff::Timestamp;
use keyrelay_azure::Deadline;
use keyrelay_model::{Event, error_chain};
use keyrelay_records::Outcome;
use keyrelay_records::holds::{FORMAT, Hold, Holds};
use keyrelay_store::StoreError;
use tokio::time::Instant;

use crate::index::{secret_key, secret_of};
use crate::services::Services;
use crate::single_flight::FetchedAt;

/// The hold of an event's secret. None: it is not held. The error is the outcome if the store fails.
///
/// A hold that cannot be read holds as well: it is safe to wait. Concurrent callers share a read that
/// began after all of them had arrived.
pub(crate) async fn hold_of(
    services: &Services,
    event: &Event,
    until: Instant,
) -> Result<Option<Hold>, Outcome> {
    let holds = Holds::new(services.store.clone()).until(until);
    let arrived = Instant::now();
    let flight = services.holds.of(&secret_key(&secret_of(event)));
    let find = async {
        match holds.find(&event.vault_host, &event.name).await {
            Err(error @ StoreError::Unreadable { .. }) => Ok(Some(Hold {
                format: FORMAT,
                vault_host: event.vault_host.to_string(),
                secret: event.name.to_string(),
                by: "an object that cannot be read".to_owned(),
                at: Timestamp::UNIX_EPOCH,
                why: error_chain(&error),
            })),
            found => found,
        }
    };
    let is_fresh = |at: &FetchedAt| at.moment >= arrived;
    let found = flight.get_or_fetch(Deadline::at(until), is_fresh, find);
    found.await.map_err(Outcome::from)
}
