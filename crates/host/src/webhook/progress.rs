//! The progress of a connection: the head of a request, a request, or nothing at all.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Longest time for the head of a request. The first one begins with the connection.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest idle time of a connection. It is longer than the minute for which an ingress keeps a
/// connection, so that the ingress closes it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// The progress of a connection.
#[derive(Debug)]
pub(super) struct Progress(watch::Sender<Phase>);

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// A part of a head has arrived, or the connection is new.
    Head(Instant),
    /// A request is handled.
    Busy,
    /// No part of the next request has arrived.
    Idle(Instant),
    /// The place is given to another connection.
    Evicted,
}

impl Progress {
    /// The progress of a connection that is accepted now.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Phase::Head(Instant::now())))
    }

    /// Notes that bytes have arrived.
    pub(super) fn received(&self) {
        self.0.send_if_modified(|phase| {
            let is_idle = matches!(phase, Phase::Idle(_));
            if is_idle {
                *phase = Phase::Head(Instant::now());
            }
            is_idle
        });
    }

    /// Notes that the head of a request is complete.
    pub(super) fn begun(&self) {
        self.enter(Phase::Busy);
    }

    /// Notes that the response to a request is made.
    pub(super) fn answered(&self) {
        self.enter(Phase::Idle(Instant::now()));
    }

    /// The time since when the connection waits for its sender. None: it handles a request.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        match *self.0.borrow() {
            Phase::Head(since) | Phase::Idle(since) => Some(since),
            Phase::Busy | Phase::Evicted => None,
        }
    }

    /// Closes the connection, so that another one gets its place.
    pub(super) fn evict(&self) {
        self.0.send_replace(Phase::Evicted);
    }

    /// Waits until the connection has to be closed: its sender is too slow, or it is evicted.
    pub(super) async fn expired(&self) {
        let mut phases = self.0.subscribe();
        loop {
            let phase = *phases.borrow_and_update();
            let until = match phase {
                Phase::Head(since) => Some(since + HEAD_TIMEOUT),
                Phase::Idle(since) => Some(since + IDLE_TIMEOUT),
                Phase::Busy => None,
                Phase::Evicted => return,
            };
            let timeout = pin!(async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            });
            tokio::select! {
                // The sender lives as long as `self`.
                _ = phases.changed() => {}
                () = timeout => return,
            }
        }
    }

    fn enter(&self, next: Phase) {
        self.0.send_if_modified(|phase| {
            let is_open = !matches!(phase, Phase::Evicted);
            if is_open {
                *phase = next;
            }
            is_open
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    async fn lasts(progress: &Progress) -> u64 {
        let began = Instant::now();
        let _ = timeout(Duration::from_secs(1_000), progress.expired()).await;
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_ten_seconds_however_often_a_byte_of_it_arrives() {
        let progress = Progress::new();
        let dripping = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                progress.received();
            }
        };
        tokio::select! {
            lasted = lasts(&progress) => assert_eq!(lasted, 10),
            () = dripping => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_takes_its_time_and_the_next_head_has_ten_seconds_again() {
        let progress = Progress::new();
        progress.begun();
        progress.received();
        assert_eq!(lasts(&progress).await, 1_000);
        progress.answered();
        assert_eq!(lasts(&progress).await, 75);
        progress.answered();
        progress.received();
        assert_eq!(lasts(&progress).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_evicted_connection_stays_so() {
        let progress = Progress::new();
        progress.evict();
        progress.begun();
        assert!(progress.waiting_since().is_none());
        assert_eq!(lasts(&progress).await, 0);
    }
}
