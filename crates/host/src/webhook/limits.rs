//! Limits the rate and the concurrency of deliveries.
//!
//! The rate limiter is `governor`: its algorithm (GCRA) needs one atomic number and no task, and it
//! returns the time to wait, which becomes the `Retry-After`. The limits of `tower` delay a request
//! instead of refusing it. A semaphore limits the concurrency: a delivery holds its permit until it
//! is done, even if the sender disconnects.
//!
//! Only deliveries with a valid token are counted: a sender without one cannot use Event Grid's
//! share.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use keyrelay_config::WebhookConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::WebhookRefusal;

/// Refusals that are logged per minute. Every sender can cause one.
const LOGGED_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).expect("it is not 0");

/// `Retry-After` when all permits are taken: about the time of a slow delivery.
const RETRY_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct DeliveryLimits {
    clock: DefaultClock,
    rate: DefaultDirectRateLimiter,
    logged: DefaultDirectRateLimiter,
    permits: Arc<Semaphore>,
    concurrency: usize,
}

impl DeliveryLimits {
    pub(super) fn new(webhook: &WebhookConfig) -> Self {
        Self {
            clock: DefaultClock::default(),
            rate: RateLimiter::direct(Quota::per_minute(webhook.a_minute)),
            logged: RateLimiter::direct(Quota::per_minute(LOGGED_PER_MINUTE)),
            permits: Arc::new(Semaphore::new(webhook.at_once)),
            concurrency: webhook.at_once,
        }
    }

    /// Returns a permit for one delivery, which is held until it is dropped.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, WebhookRefusal> {
        let full = WebhookRefusal::TooMany {
            retry_after: RETRY_AFTER,
        };
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| full)?;
        match self.rate.check() {
            Ok(()) => Ok(permit),
            Err(later) => Err(WebhookRefusal::TooMany {
                retry_after: later.wait_time_from(self.clock.now()),
            }),
        }
    }

    /// Whether one more refusal may be logged.
    pub(super) fn may_log(&self) -> bool {
        self.logged.check().is_ok()
    }

    /// The number of concurrent deliveries.
    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Waits until no delivery is in progress.
    pub(super) async fn idle(&self) {
        let all = u32::try_from(self.concurrency).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _ = self.permits.acquire_many(all).await;
    }
}
