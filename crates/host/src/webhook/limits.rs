//! How many deliveries are taken: in a minute, and side by side.
//!
//! The rate is kept by `governor`, the rate limiter that is used most in Rust and is looked after: its algorithm (GCRA)
//! needs one atomic number and no task, and it says how long to wait, which is the `Retry-After`. The limits of `tower`
//! make a request wait instead of refusing it. A semaphore counts those side by side: a delivery holds its place until it is
//! done, also when nobody waits for the answer any more.
//!
//! Only those with a good token are counted: whoever has none cannot use up Event Grid's share.

use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;
use crate::config::Webhook;

/// Refusals that are logged in a minute. Anybody can make one.
const LOGGED_A_MINUTE: NonZeroU32 = NonZeroU32::new(60).expect("it is not 0");

/// When to come again if all places are taken: about as long as a delivery takes that is not a quick one.
const PLACE_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Limits {
    clock: DefaultClock,
    rate: DefaultDirectRateLimiter,
    logged: DefaultDirectRateLimiter,
    places: Arc<Semaphore>,
    at_once: usize,
}

impl Limits {
    pub(super) fn new(webhook: &Webhook) -> Self {
        Self {
            clock: DefaultClock::default(),
            rate: RateLimiter::direct(Quota::per_minute(webhook.a_minute)),
            logged: RateLimiter::direct(Quota::per_minute(LOGGED_A_MINUTE)),
            places: Arc::new(Semaphore::new(webhook.at_once)),
            at_once: webhook.at_once,
        }
    }

    /// A place for one delivery, until it is dropped.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let full = Refusal::TooMany {
            retry_after: PLACE_AFTER,
        };
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| full)?;
        match self.rate.check() {
            Ok(()) => Ok(place),
            Err(later) => Err(Refusal::TooMany {
                retry_after: later.wait_time_from(self.clock.now()),
            }),
        }
    }

    /// Whether there is room in the log for one more refusal.
    pub(super) fn may_log(&self) -> bool {
        self.logged.check().is_ok()
    }

    /// How many deliveries are handled side by side.
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// Waits until no delivery is under way.
    pub(super) async fn idle(&self) {
        let all = u32::try_from(self.at_once).unwrap_or(u32::MAX);
        // Fails only if it is closed, which nobody does.
        let _ = self.places.acquire_many(all).await;
    }
}
