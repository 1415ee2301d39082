//! Role propagation: the time for which a refusal by Azure may be a new role assignment that does
//! not apply everywhere yet.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_azure::{Deadline, ROLE_PROPAGATION, Scope};
use keyrelay_model::{Retryability, Verdict};
use keyrelay_records::Outcome;
use keyrelay_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// Pause after which a refusal is a new one.
const RESET_AFTER: Duration = Duration::from_hours(1);

/// Largest number of series that this process remembers. Without its entry, a series that has ended
/// stays in the store, and the next refusal within an hour is retried for a shorter time.
const MAX_REMEMBERED: usize = 10_000;

/// Largest number of series that are read and written at once.
const CONCURRENCY: usize = 16;

/// The refusals by Azure, in the store: an invocation ends long before a role has propagated.
///
/// A role is assigned on a resource group or above it, so the refusals of one operation in one group
/// are one series.
#[derive(Debug)]
pub(crate) struct RolePropagation {
    store: Store,
    /// The series that this process has added to. They are deleted when Azure refuses nothing in
    /// their group any more.
    refused: Mutex<HashSet<Series>>,
}

/// A series: the scope in lower case, and the refused operation.
type Series = (String, &'static str);

/// An outcome with the scope of its app.
pub(crate) struct ScopedOutcome<'o> {
    pub(crate) scope: Scope,
    pub(crate) outcome: &'o mut Outcome,
}

/// A series of refusals: `denials/<scope>/<operation>.json`.
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

    /// Makes refusals transient while they may be role propagation, once for each series. Other
    /// outcomes stay as they are.
    pub(crate) async fn classify(&self, outcomes: Vec<ScopedOutcome<'_>>, deadline: Deadline) {
        let mut series: BTreeMap<Series, Vec<&mut Outcome>> = BTreeMap::new();
        let mut accepted = BTreeSet::new();
        for ScopedOutcome { scope, outcome } in outcomes {
            let scope = scope.to_string().to_lowercase();
            let is_permanent = outcome.verdict == Verdict::Failed(Retryability::Permanent);
            match outcome.denied.filter(|_| is_permanent) {
                Some(operation) => {
                    let of = (scope, operation.as_str());
                    series.entry(of).or_default().push(outcome);
                }
                None if !outcome.verdict.is_error() => drop(accepted.insert(scope)),
                None => {}
            }
        }
        let store = self.store.with_deadline(Some(deadline.moment()));
        for of in self.ended(&series, &accepted) {
            // Without the deletion, the next refusal is retried for a shorter time.
            let _ = store.delete(&key(&of)).await;
        }
        let now = store.now();
        let judging = stream::iter(series);
        let judging = judging.for_each_concurrent(CONCURRENCY, |(of, mut outcomes)| {
            let store = &store;
            async move { judge(&mut outcomes, lasting(store, &of, now).await) }
        });
        judging.await;
    }

    /// Takes the series that have ended: Azure has accepted requests in their scopes, and has refused
    /// none. Adds the present ones.
    fn ended(
        &self,
        series: &BTreeMap<Series, Vec<&mut Outcome>>,
        accepted: &BTreeSet<String>,
    ) -> Vec<Series> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let has_ended = |of: &Series| {
            let is_refused = series.keys().any(|(scope, _)| *scope == of.0);
            accepted.contains(&of.0) && !is_refused
        };
        let ended: Vec<Series> = refused.extract_if(has_ended).collect();
        let free = MAX_REMEMBERED.saturating_sub(refused.len());
        refused.extend(series.keys().take(free).cloned());
        ended
    }
}

/// Decides about the refusals of a series, which lasts for this time.
fn judge(outcomes: &mut [&mut Outcome], lasting: Result<Duration, StoreError>) {
    for outcome in outcomes {
        judge_one(outcome, lasting.as_ref());
    }
}

fn judge_one(outcome: &mut Outcome, lasting: Result<&Duration, &StoreError>) {
    match lasting {
        Ok(lasting) if *lasting < ROLE_PROPAGATION => {
            outcome.verdict = Verdict::Failed(Retryability::Transient);
            outcome.message += " If the role is already assigned, the assignment takes effect \
                                within a few minutes.";
        }
        Ok(lasting) => {
            let minutes = lasting.as_secs() / 60;
            outcome.message += &format!(
                " Azure has denied it for {minutes} minutes: after assigning the role, resubmit \
                 the run."
            );
        }
        Err(error) => {
            outcome.verdict = Verdict::Failed(Retryability::Transient);
            outcome.message += &format!(" The time of the first refusal is unknown: {error}");
        }
    }
}

/// Adds a refusal to its series, and returns the time for which the series lasts.
async fn lasting(store: &Store, of: &Series, now: Timestamp) -> Result<Duration, StoreError> {
    let key = key(of);
    let known = store.read_json::<Refusals>(&key).await?;
    let known = known
        .map(|(known, _)| known)
        .filter(|known| elapsed(known.last, now) < RESET_AFTER);
    let since = known.map_or(now, |known| known.since);
    store.write(&key, &Refusals { since, last: now }).await?;
    Ok(elapsed(since, now))
}

fn key((scope, operation): &Series) -> String {
    let operation = operation.replace(' ', "-");
    let scope = scope.trim_start_matches('/');
    format!("denials/{scope}/{operation}.json")
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use keyrelay_azure::Operation;

    use super::*;

    #[tokio::test]
    async fn the_refusals_of_a_scope_are_one_series() {
        let folder = tempfile::tempdir().unwrap();
        let roles = RolePropagation::new(Store::folder(folder.path()).unwrap());
        let denied = || Outcome {
            denied: Some(Operation::ReadReferences),
            ..Outcome::permanent("denied.")
        };
        let mut outcomes: Vec<Outcome> = (0..100).map(|_| denied()).collect();
        let scope: Scope = "/subscriptions/s/resourceGroups/G".parse().unwrap();
        fn scoped<'o>(scope: &Scope, outcome: &'o mut Outcome) -> ScopedOutcome<'o> {
            let scope = scope.clone();
            ScopedOutcome { scope, outcome }
        }
        let deadline = Deadline::after(Duration::from_secs(60));
        let refused = outcomes.iter_mut().map(|outcome| scoped(&scope, outcome));
        roles.classify(refused.collect(), deadline).await;
        let is_transient = |it: &Outcome| it.verdict == Verdict::Failed(Retryability::Transient);
        assert!(outcomes.iter().all(is_transient));
        assert_eq!(roles.store.list("denials").await.unwrap().len(), 1);

        let mut accepted = Outcome::new(Verdict::Unchanged, "");
        let accepted = vec![scoped(&scope, &mut accepted)];
        roles.classify(accepted, deadline).await;
        assert!(roles.store.list("denials").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_series_of_refusals_ends_after_an_hour_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path()).unwrap();
        let minutes = |minutes: u64| Duration::from_mins(minutes);
        let mut lasted = Vec::new();
        for (scope, at) in [
            ("/subscriptions/s", 0),
            ("/subscriptions/s", 10),
            ("/subscriptions/s", 40),
            ("/subscriptions/t", 40),
            ("/subscriptions/s", 200),
        ] {
            let now = Timestamp::UNIX_EPOCH + minutes(at);
            let of = (scope.to_owned(), "list the sites");
            lasted.push(lasting(&store, &of, now).await.unwrap());
        }
        assert_eq!(lasted, [0, 10, 40, 0, 0].map(minutes));
    }
}
