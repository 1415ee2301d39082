//! Resource Manager's rate limits: one token bucket of reads and one of writes per caller.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;
use tokio::time::Instant;

/// The token buckets of all callers in the subscription.
#[derive(Debug)]
pub(crate) struct RateLimits {
    /// Whether requests take tokens.
    enforced: bool,
    buckets: Mutex<HashMap<(String, &'static str), TokenBucket>>,
}

/// The limit of reads or writes, as documented for a principal in a subscription and region.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// The capacity of the bucket, in requests.
    size: f64,
    /// The refill rate, in requests per second.
    refill: f64,
    /// The header that reports the remaining requests.
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
    /// The limit of a method. Every method other than GET and HEAD counts as a write, including
    /// `POST .../list`.
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

    /// Takes one token. The error is the time until the next token.
    pub(crate) fn take(&self, caller: &str, method: &Method, now: Instant) -> Result<(), Duration> {
        if !self.enforced {
            return Ok(());
        }
        let limit = Limit::of(method);
        self.with_bucket(caller, limit, now, |bucket| bucket.take(limit))
    }

    /// The header of this kind of request, with the number of remaining tokens.
    pub(crate) fn left(&self, caller: &str, method: &Method, now: Instant) -> (&'static str, u64) {
        let limit = Limit::of(method);
        // Whole requests only. The capacity is a few hundred.
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
        act: impl FnOnce(&mut TokenBucket) -> T,
    ) -> T {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = TokenBucket {
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
struct TokenBucket {
    left: f64,
    filled: Instant,
}

impl TokenBucket {
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

    /// The number of requests, out of 1,000 at one instant, that are accepted.
    fn accepted(limits: &RateLimits, method: &Method, now: Instant) -> usize {
        (0..1000)
            .filter(|_| limits.take("orders", method, now).is_ok())
            .count()
    }

    #[test]
    fn accepts_requests_up_to_the_capacity() {
        let (limits, now) = (RateLimits::new(true), Instant::now());
        assert_eq!(accepted(&limits, &Method::GET, now), 250);
        assert_eq!(accepted(&limits, &Method::PUT, now), 200);
    }

    #[test]
    fn refills() {
        let (limits, now) = (RateLimits::new(true), Instant::now());
        accepted(&limits, &Method::GET, now);
        accepted(&limits, &Method::PUT, now);
        let later = now + Duration::from_secs(2);
        assert_eq!(accepted(&limits, &Method::GET, later), 50);
        assert_eq!(accepted(&limits, &Method::PUT, later), 20);
    }

    #[test]
    fn returns_the_time_until_the_next_token() {
        let (limits, now) = (RateLimits::new(true), Instant::now());
        accepted(&limits, &Method::PUT, now);
        assert_eq!(
            limits.take("orders", &Method::PUT, now),
            Err(Duration::from_millis(100))
        );
    }

    #[test]
    fn one_caller_does_not_empty_the_bucket_of_another() {
        let (limits, now) = (RateLimits::new(true), Instant::now());
        accepted(&limits, &Method::GET, now);
        assert_eq!(limits.take("reports", &Method::GET, now), Ok(()));
    }

    #[test]
    fn accepts_everything_unless_enforced() {
        let (limits, now) = (RateLimits::new(false), Instant::now());
        assert_eq!(accepted(&limits, &Method::GET, now), 1000);
    }
}
