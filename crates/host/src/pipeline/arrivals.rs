//! The events that have arrived and may not be in the queues of all their apps yet: a worker waits for
//! them, so that events of one moment are in one batch.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// The events that have arrived and may not be in the queues of all their apps yet.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    next: AtomicU64,
    present: watch::Sender<BTreeSet<ArrivalId>>,
}

/// The number of an event, in the order of arrival in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ArrivalId(u64);

/// An event that has arrived and may not be in the queues of all its apps yet, until this is dropped.
#[derive(Debug)]
pub(crate) struct Arrival {
    id: ArrivalId,
    present: watch::Sender<BTreeSet<ArrivalId>>,
}

impl Arrivals {
    /// Announces an event.
    pub(super) fn announce(&self) -> Arrival {
        let id = ArrivalId(self.next.fetch_add(1, Ordering::Relaxed));
        let present = self.present.clone();
        present.send_modify(|present| {
            present.insert(id);
        });
        Arrival { id, present }
    }

    /// Waits until all events that have arrived are queued, but not longer than `longest`. One of
    /// those in `queued` is not waited for: it may still be looking for its other apps.
    pub(super) async fn wait(&self, longest: Duration, queued: impl Fn() -> HashSet<ArrivalId>) {
        let mut present = self.present.subscribe();
        let are_queued = |present: &BTreeSet<ArrivalId>| {
            present.is_empty() || {
                let queued = queued();
                present.iter().all(|id| queued.contains(id))
            }
        };
        // The sender lives as long as `self`.
        let _ = timeout(longest, present.wait_for(are_queued)).await;
    }
}

impl Arrival {
    /// The number of the event.
    pub(crate) fn id(&self) -> ArrivalId {
        self.id
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let id = self.id;
        self.present.send_modify(|present| {
            present.remove(&id);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn an_event_that_is_alone_waits_for_nothing() {
        let arrivals = Arrivals::default();
        let own = arrivals.announce();
        let began = Instant::now();
        arrivals.wait(LONGEST, || HashSet::from([own.id()])).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn another_event_is_waited_for_until_it_is_queued_but_not_for_long() {
        let arrivals = Arrivals::default();
        let (own, other) = (arrivals.announce(), arrivals.announce());
        let queued = || HashSet::from([own.id()]);
        let began = Instant::now();
        arrivals.wait(LONGEST, queued).await;
        assert_eq!(began.elapsed(), LONGEST);
        let ends = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            drop(other);
        };
        let began = Instant::now();
        tokio::join!(arrivals.wait(LONGEST, queued), ends);
        assert_eq!(began.elapsed(), Duration::from_millis(10));
    }
}
