//! One invocation of the timer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::{Deadline, Scope};
use keyrelay_records::{History, Index, Outcome, Pending, RemainingSites, Run};
use keyrelay_store::{Store, StoreError};

use crate::pipeline::run::TimeBudget;
use crate::services::Services;

/// Longest time for one run: enough to take over the lease of an instance that was killed, and for a
/// refresh, which takes Azure about 15 s.
const ONE_RUN: Duration = Duration::from_secs(45);

/// Time after the deadline in which the results of the invocation are still written.
const RECORD: Duration = Duration::from_secs(30);

/// Largest number of apps and groups that each event reads because the last sweep could not.
const MAX_UNREAD: usize = 50;

/// Time after which pending work and postponed events are given up.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_hours(24);

/// One invocation of the timer.
pub(super) struct Pass<'a> {
    pub(super) services: &'a Arc<Services>,
    pub(super) invocation: &'a str,
    /// The end of new work.
    pub(super) deadline: Deadline,
    /// The parts of the store, for operations that end shortly after the deadline.
    pub(super) store: Store,
    pub(super) history: History,
    pub(super) pending: Pending,
    pub(super) index: Index,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        services: &'a Arc<Services>,
        invocation: &'a str,
        deadline: Deadline,
    ) -> Self {
        let store_deadline = deadline.moment() + RECORD;
        Self {
            services,
            invocation,
            deadline,
            store: services.store.with_deadline(Some(store_deadline)),
            history: services.history.until(store_deadline),
            pending: services.pending.until(store_deadline),
            index: services.index.stored(store_deadline),
        }
    }

    /// The same pass, with less time for new work.
    pub(super) fn within(&self, time: Duration) -> Self {
        let deadline = self.deadline.min(Deadline::after(time));
        Self::new(self.services, self.invocation, deadline)
    }

    /// Writes to the index what this process has read.
    pub(super) async fn flush_index(&self) -> Result<(), StoreError> {
        let moment = self.deadline.moment() + RECORD;
        self.services.index.flush(moment).await
    }

    /// Records in the index that a sweep, which began at `began`, has come to its end, and has read
    /// the apps of all scopes but these, and but the apps and groups `unread`. If those are too many,
    /// no scope counts as read.
    pub(super) async fn index_swept(
        &self,
        began: Timestamp,
        unlisted: &[RemainingSites],
        mut unread: BTreeSet<String>,
    ) -> Result<(), StoreError> {
        let scopes = self.services.config.scope.iter();
        let is_listed = |scope: &&Scope| unlisted.iter().all(|it| it.scope != **scope);
        let mut listed: Vec<Scope> = scopes.filter(is_listed).cloned().collect();
        if unread.len() > MAX_UNREAD {
            unread.clear();
            listed.clear();
        }
        self.index.swept(began, &listed, &unread).await?;
        self.services.index.forget_state();
        Ok(())
    }

    /// The deadline of one run: others wait for the queues of its apps.
    pub(super) fn run_deadline(&self) -> Deadline {
        self.deadline.min(Deadline::after(ONE_RUN))
    }

    /// The budget of one run.
    pub(super) fn run_budget(&self) -> TimeBudget {
        TimeBudget::of_timer(self.run_deadline())
    }
}

/// The time between two moments; zero if they are in the wrong order.
pub(super) fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// Whether all verdicts of a run are final.
pub(super) fn is_final(run: &Run) -> bool {
    run.outcomes().all(Outcome::is_final)
}
