//! The time of one run, divided among its steps.

use std::time::Duration;

use keyrelay_azure::Deadline;

/// Longest time for a secret's list of versions. Without the list, the record of what was applied
/// decides.
const VERSIONS: Duration = Duration::from_secs(4);

/// Time that is reserved for the record of a run.
const RECORD: Duration = Duration::from_millis(1_500);

/// Time after the deadline in which a run may still end by itself. All requests to Azure end at the
/// deadline, but a policy that is being compiled, or that uses a generous limit of its own, does
/// not. Event Grid waits for 30 s, and the longest configurable invocation takes 27 s.
const GRACE: Duration = Duration::from_secs(2);

/// Longest time for one rotation, where no invocation bounds it: others wait for the app's queue.
const ONE_ROTATION: Duration = Duration::from_secs(45);

/// The time of one run, divided among its steps. An invocation waits for nothing past its
/// deadlines. A batch may outlive the invocation that started it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeBudget {
    /// The end of requests to Azure.
    work: Deadline,
    /// The end of operations of the store.
    record: Deadline,
}

impl TimeBudget {
    /// Divides the time of an invocation by Event Grid, which begins now.
    pub(crate) fn of_invocation(within: Duration) -> Self {
        Self::of_delivery(Deadline::after(within), within)
    }

    /// Divides what is left until `deadline` of an invocation that takes `within` at most.
    pub(crate) fn of_delivery(deadline: Deadline, within: Duration) -> Self {
        let reserved = RECORD.min(within / 8);
        let work = Deadline::at(deadline.moment() - reserved);
        Self {
            work,
            record: Deadline::at(deadline.moment() + GRACE),
        }
    }

    /// Divides the time of a run by the reconcile timer. No caller waits for its response.
    pub(crate) fn of_timer(work: Deadline) -> Self {
        Self {
            work,
            record: Deadline::at(work.moment() + RECORD + GRACE),
        }
    }

    /// Returns the budget of one rotation of the run.
    pub(crate) fn for_rotation(&self) -> Self {
        let work = self.work.min(Deadline::after(ONE_ROTATION));
        Self {
            work,
            record: self
                .record
                .min(Deadline::at(work.moment() + RECORD + GRACE)),
        }
    }

    /// The deadline of a secret's list of versions, if it is requested now.
    pub(crate) fn versions(&self) -> Deadline {
        self.work.min(Deadline::after(VERSIONS))
    }

    /// The deadline of rotations, and of everything else that is requested of Azure.
    pub(crate) fn rotations(&self) -> Deadline {
        self.work
    }

    /// The deadline of the store's operations for a verdict that is not recorded yet: the record
    /// itself needs some time afterwards.
    pub(crate) fn store(&self) -> Deadline {
        Deadline::at(self.record.moment() - RECORD)
    }

    /// The deadline of the store's operations, and of the run itself.
    pub(crate) fn record(&self) -> Deadline {
        self.record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_invocation_keeps_time_for_its_record() {
        let budget = TimeBudget::of_invocation(Duration::from_secs(25));
        let left = |deadline: Deadline| deadline.remaining().as_millis();
        assert_eq!(left(budget.versions()), 4_000);
        assert_eq!(left(budget.rotations()), 23_500);
        assert_eq!(left(budget.record()), 27_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_invocation_bounds_all_steps() {
        let budget = TimeBudget::of_invocation(Duration::from_secs(2));
        for deadline in [budget.versions(), budget.rotations()] {
            assert_eq!(deadline.remaining().as_millis(), 1_750);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_timer_bounds_each_rotation() {
        let budget = TimeBudget::of_timer(Deadline::after(Duration::from_secs(240)));
        assert_eq!(budget.rotations().remaining().as_secs(), 240);
        assert_eq!(budget.versions().remaining().as_secs(), 4);
        assert_eq!(budget.for_rotation().rotations().remaining().as_secs(), 45);
    }
}
