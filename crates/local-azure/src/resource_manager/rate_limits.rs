//! Resource Manager's limits on requests: a bucket of reads and one of writes for each caller.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;
use tokio::time::Instant;

/// The buckets of all callers in the one subscription.
#[derive(Debug)]
pub(crate) struct RateLimits {
    /// Whether requests are taken out of the buckets at all.
    enforced: bool,
    buckets: Mutex<HashMap<(String, &'static str), Bucket>>,
}

/// What a kind of request may use, as documented for a principal in a subscription and region.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// How many requests the full bucket holds.
    size: f64,
    /// How many come back in a second.
    refill: f64,
    /// The header that says how many are left.
    header: &'static str,
}

const READS: Limit = Limit {
    size: 250.0,
    refill: 25.0,
    header: "x-ms-ratelimit-remaining-subscription-reads",
};
const WRITES: Limit = Limit {
    size: 200.0,
    refill: 10.0,
    header: "x-ms-ratelimit-remaining-subscription-writes",
};

impl Limit {
    /// Every method that is not a reading one counts as a write, `POST .../list` too.
    fn of(method: &Method) -> Self {
        if matches!(*method, Method::GET | Method::HEAD) {
            READS
        } else {
            WRITES
        }
    }
}

impl RateLimits {
    pub(crate) fn new(enforced: bool) -> Self {
        Self {
            enforced,
            buckets: Mutex::default(),
        }
    }

    /// Takes one request out of the bucket. The error is how long to wait for it.
    pub(crate) fn take(&self, caller: &str, method: &Method, now: Instant) -> Result<(), Duration> {
        if !self.enforced {
            return Ok(());
        }
        let limit = Limit::of(method);
        self.with_bucket(caller, limit, now, |bucket| bucket.take(limit))
    }

    /// The header of this kind of request, and how many are left.
    pub(crate) fn left(&self, caller: &str, method: &Method, now: Instant) -> (&'static str, u64) {
        let limit = Limit::of(method);
        // Whole requests only; a bucket holds at most a few hundred.
        (
            limit.header,
            self.with_bucket(caller, limit, now, |bucket| bucket.left.floor() as u64),
        )
    }

    fn with_bucket<T>(
        &self,
        caller: &str,
        limit: Limit,
        now: Instant,
        act: impl FnOnce(&mut Bucket) -> T,
    ) -> T {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = Bucket {
            left: limit.size,
            filled: now,
        };
        let bucket = buckets
            .entry((caller.to_owned(), limit.header))
            .or_insert(full);
        bucket.fill(limit, now);
        act(bucket)
    }
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    filled: Instant,
}

impl Bucket {
    fn fill(&mut self, limit: Limit, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = limit.size.min(self.left + seconds * limit.refill);
        self.filled = now;
    }

    fn take(&mut self, limit: Limit) -> Result<(), Duration> {
        if self.left >= 1.0 {
            self.left -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - self.left) / limit.refill))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of 1,000 requests are let through at one moment.
    fn let_through(limits: &RateLimits, method: &Method, now: Instant) -> usize {
        (0..1000)
            .filter(|_| limits.take("orders", method, now).is_ok())
            .count()
    }

    #[test]
    fn lets_through_what_the_buckets_hold() {
        let (limits, now) = (RateLimits::new(true), Instant::now());
        assert_eq!(let_through(&limits, &Method::GET, now), 250);
        assert_eq!(let_through(&limits, &Method::PUT, now), 200);
    }

    #[test]
    fn fills_up_again() {
        let (limits, now) = (RateLimits::new(true), Instant::now());
        let_through(&limits, &Method::GET, now);
        let_through(&limits, &Method::PUT, now);
        let later = now + Duration::from_secs(2);
        assert_eq!(let_through(&limits, &Method::GET, later), 50);
        assert_eq!(let_through(&limits, &Method::PUT, later), 20);
    }

    #[test]
    fn says_how_long_to_wait() {
        let (limits, now) = (RateLimits::new(true), Instant::now());
        let_through(&limits, &Method::PUT, now);
        assert_eq!(
            limits.take("orders", &Method::PUT, now),
            Err(Duration::from_millis(100))
        );
    }

    #[test]
    fn one_caller_does_not_empty_the_bucket_of_another() {
        let (limits, now) = (RateLimits::new(true), Instant::now());
        let_through(&limits, &Method::GET, now);
        assert_eq!(limits.take("reports", &Method::GET, now), Ok(()));
    }

    #[test]
    fn refuses_nothing_while_it_is_switched_off() {
        let (limits, now) = (RateLimits::new(false), Instant::now());
        assert_eq!(let_through(&limits, &Method::GET, now), 1000);
    }
}
