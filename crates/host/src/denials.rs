//! How long a refusal is believed to be a role assignment that is still spreading.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::ROLE_PROPAGATION;
use keyrelay_model::{Retryability, Verdict};
use keyrelay_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// A refusal after so long without one begins anew.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// The refusals that were met, in the store: an invocation is over long before a role has spread.
#[derive(Debug)]
pub struct Denials {
    store: Store,
    /// What this process was refused: it is forgotten when it is not refused any more.
    refused: Mutex<HashSet<String>>,
}

/// `denials/<subject>.json`
#[derive(Serialize, Deserialize)]
struct Denied {
    since: Timestamp,
    last: Timestamp,
}

impl Denials {
    /// The refusals in this store.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            refused: Mutex::default(),
        }
    }

    /// Makes a refusal that may be a fresh role assignment transient, while it is still believable; `subject` is what it was
    /// about. Other outcomes stay as they are.
    pub async fn judge(&self, subject: &str, outcome: &mut Outcome) {
        if !outcome.may_be_a_fresh_role
            || outcome.verdict != Verdict::Failed(Retryability::Permanent)
        {
            if !outcome.verdict.is_error() && self.refused().remove(subject) {
                // If that fails, the next refusal is believed for less long.
                let _ = self.store.delete(&key(subject)).await;
            }
            return;
        }
        self.refused().insert(subject.to_owned());
        match self.since(subject, Timestamp::now()).await {
            Ok(since) if since < ROLE_PROPAGATION => {
                outcome.verdict = Verdict::Failed(Retryability::Transient);
                outcome.message += " If the role is already assigned, the assignment takes effect within a few minutes.";
            }
            Ok(since) => {
                let minutes = since.as_secs() / 60;
                outcome.message += &format!(
                    " Azure has denied it for {minutes} minutes: after assigning the role, resubmit the run."
                );
            }
            Err(error) => {
                outcome.verdict = Verdict::Failed(Retryability::Transient);
                outcome.message += &format!(" The time of the first denial is unknown: {error}");
            }
        }
    }

    fn refused(&self) -> MutexGuard<'_, HashSet<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the refusals about a subject last.
    async fn since(&self, subject: &str, now: Timestamp) -> Result<Duration, StoreError> {
        let key = key(subject);
        let known = self
            .store
            .read_json::<Denied>(&key)
            .await?
            .map(|(known, _)| known);
        let known = known.filter(|known| elapsed(known.last, now) < FORGOTTEN);
        let since = known.map_or(now, |known| known.since);
        self.store.write(&key, &Denied { since, last: now }).await?;
        Ok(elapsed(since, now))
    }
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
    async fn a_refusal_is_believed_for_some_minutes_and_begins_anew_after_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let denials = Denials::new(Store::folder(folder.path()).unwrap());
        let at = |minutes: i64| Timestamp::UNIX_EPOCH + Duration::from_mins(minutes.unsigned_abs());
        assert_eq!(
            denials.since("orders", at(0)).await.unwrap(),
            Duration::ZERO
        );
        assert_eq!(
            denials.since("orders", at(10)).await.unwrap(),
            Duration::from_mins(10)
        );
        assert_eq!(
            denials.since("orders", at(40)).await.unwrap(),
            Duration::from_mins(40)
        );
        assert_eq!(
            denials.since("other", at(40)).await.unwrap(),
            Duration::ZERO
        );
        assert_eq!(
            denials.since("orders", at(200)).await.unwrap(),
            Duration::ZERO
        );
    }
}
