//! Role propagation: the time for which a refusal by Azure may be a new role assignment that does
//! not apply everywhere yet.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::{Deadline, ROLE_PROPAGATION};
use keyrelay_model::{Retryability, Verdict};
use keyrelay_records::Outcome;
use keyrelay_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// Pause after which a refusal is a new one.
const RESET_AFTER: Duration = Duration::from_hours(1);

/// The refusals by Azure, in the store: an invocation ends long before a role has propagated.
#[derive(Debug)]
pub(crate) struct RolePropagation {
    store: Store,
    /// The subjects that this process was refused. Their objects are deleted when a request
    /// succeeds.
    refused: Mutex<HashSet<String>>,
}

/// A series of refusals: `denials/<subject>.json`.
#[derive(Serialize, Deserialize)]
struct Refusals {
    since: Timestamp,
    last: Timestamp,
}

impl RolePropagation {
    /// The refusals in this store.
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            refused: Mutex::default(),
        }
    }

    /// Makes a refusal transient while it may be role propagation. Other outcomes stay as they are.
    ///
    /// `subject` is the part of the key that stands for the app or the scope.
    pub(crate) async fn classify(&self, subject: &str, outcome: &mut Outcome, deadline: Deadline) {
        let store = || self.store.with_deadline(Some(deadline.moment()));
        let is_refused = outcome.may_be_role_propagation
            && outcome.verdict == Verdict::Failed(Retryability::Permanent);
        if !is_refused {
            if !outcome.verdict.is_error() && self.refused().remove(subject) {
                // Without the deletion, the next refusal is retried for a shorter time.
                let _ = store().delete(&key(subject)).await;
            }
            return;
        }
        self.refused().insert(subject.to_owned());
        match lasting(&store(), subject, Timestamp::now()).await {
            Ok(lasting) if lasting < ROLE_PROPAGATION => {
                outcome.verdict = Verdict::Failed(Retryability::Transient);
                outcome.message += " If the role is already assigned, the assignment takes effect \
                                    within a few minutes.";
            }
            Ok(lasting) => {
                let minutes = lasting.as_secs() / 60;
                outcome.message += &format!(
                    " Azure has denied it for {minutes} minutes: after assigning the role, \
                     resubmit the run."
                );
            }
            Err(error) => {
                outcome.verdict = Verdict::Failed(Retryability::Transient);
                outcome.message += &format!(" The time of the first refusal is unknown: {error}");
            }
        }
    }

    fn refused(&self) -> MutexGuard<'_, HashSet<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a refusal to its series, and returns the time for which the series lasts.
async fn lasting(store: &Store, subject: &str, now: Timestamp) -> Result<Duration, StoreError> {
    let key = key(subject);
    let known = store.read_json::<Refusals>(&key).await?;
    let known = known
        .map(|(known, _)| known)
        .filter(|known| elapsed(known.last, now) < RESET_AFTER);
    let since = known.map_or(now, |known| known.since);
    store.write(&key, &Refusals { since, last: now }).await?;
    Ok(elapsed(since, now))
}

fn key(subject: &str) -> String {
    format!("denials/{subject}.json")
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_series_of_refusals_ends_after_an_hour_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path()).unwrap();
        let minutes = |minutes: u64| Duration::from_mins(minutes);
        let mut lasted = Vec::new();
        for (subject, at) in [
            ("orders", 0),
            ("orders", 10),
            ("orders", 40),
            ("other", 40),
            ("orders", 200),
        ] {
            let now = Timestamp::UNIX_EPOCH + minutes(at);
            lasted.push(lasting(&store, subject, now).await.unwrap());
        }
        assert_eq!(lasted, [0, 10, 40, 0, 0].map(minutes));
    }
}
