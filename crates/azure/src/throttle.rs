//! Throttles: the rate and the concurrency of requests to one subscription or one vault.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::call::Deadline;
use crate::limits::{Rate, RequestLimits};
use crate::retry::{FIRST_THROTTLED, LONGEST_THROTTLED};

/// The two kinds of requests that Resource Manager counts: every request other than `GET` is a
/// write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Read,
    Write,
}

/// Bounds the requests to one subscription or one vault.
///
/// No wait exceeds the deadline of the call. A request at the head of the queue fails at once if
/// its token would come after its deadline; the requests behind it fail at their deadlines.
#[derive(Debug)]
pub(crate) struct Throttle {
    in_flight: Semaphore,
    /// Separate from `in_flight`: the settings that a writer has read must not become stale in a
    /// queue.
    writers: Arc<Semaphore>,
    reads: TokenBucket,
    writes: TokenBucket,
}

/// The token bucket of one kind of request.
///
/// Azure's own bucket is shared with other instances and with other programs of the same identity.
/// If Azure reports fewer remaining tokens than this bucket holds, Azure's number applies.
#[derive(Debug)]
struct TokenBucket {
    /// `None`: only a 429 holds requests back.
    rate: Option<Rate>,
    level: Mutex<Level>,
    /// Serves the waiting requests in the order of their arrival.
    queue: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Level {
    tokens: f64,
    filled: Instant,
    /// The end of the pause after a 429.
    blocked_until: Option<Instant>,
    /// The number of 429 in a row without `Retry-After`.
    rejections: u32,
}

impl Throttle {
    pub(crate) fn new(limits: &RequestLimits, has_buckets: bool) -> Self {
        let bucket = |rate| TokenBucket::new(Some(rate).filter(|_| has_buckets));
        Self {
            in_flight: Semaphore::new(limits.in_flight),
            writers: Arc::new(Semaphore::new(limits.writers)),
            reads: bucket(limits.reads),
            writes: bucket(limits.writes),
        }
    }

    /// Waits for a writer's permit and the tokens for `requests` requests. `None`: the deadline is
    /// exceeded.
    pub(crate) async fn writer(
        &self,
        requests: u32,
        deadline: Deadline,
    ) -> Option<OwnedSemaphorePermit> {
        let permit = deadline
            .bound(Arc::clone(&self.writers).acquire_owned())
            .await?
            .ok()?;
        for _ in 0..requests {
            self.writes.acquire(deadline).await?;
        }
        Some(permit)
    }

    /// Waits until a request may be sent. It is in flight until the permit is dropped. `None`: the
    /// deadline is exceeded.
    ///
    /// The token comes first, so that a request without one does not occupy a permit of the other
    /// kind.
    pub(crate) async fn acquire(
        &self,
        kind: RequestKind,
        deadline: Deadline,
    ) -> Option<SemaphorePermit<'_>> {
        self.bucket(kind).acquire(deadline).await?;
        deadline.bound(self.in_flight.acquire()).await?.ok()
    }

    /// Pauses the requests of a kind after Azure responded with 429.
    pub(crate) fn rejected(&self, kind: RequestKind, retry_after: Option<Duration>) {
        self.bucket(kind).rejected(retry_after);
    }

    /// Notes a response other than 429, and the remaining tokens that Azure reported with it.
    pub(crate) fn accepted(&self, kind: RequestKind, remaining: Option<u32>) {
        self.bucket(kind).accepted(remaining);
    }

    fn bucket(&self, kind: RequestKind) -> &TokenBucket {
        match kind {
            RequestKind::Read => &self.reads,
            RequestKind::Write => &self.writes,
        }
    }
}

impl TokenBucket {
    fn new(rate: Option<Rate>) -> Self {
        let level = Level {
            tokens: rate.map_or(0.0, |rate| f64::from(rate.burst)),
            filled: Instant::now(),
            blocked_until: None,
            rejections: 0,
        };
        Self {
            rate,
            level: Mutex::new(level),
            queue: tokio::sync::Mutex::default(),
        }
    }

    /// Waits for a token and takes it. `None`: it would come after the deadline.
    async fn acquire(&self, deadline: Deadline) -> Option<()> {
        let _head = deadline.bound(self.queue.lock()).await?;
        loop {
            let until = match self.take(Instant::now()) {
                Ok(()) => return Some(()),
                Err(until) => until,
            };
            if until >= deadline.moment() {
                return None;
            }
            sleep_until(until).await;
        }
    }

    /// Takes a token, or returns the moment of the next one.
    fn take(&self, now: Instant) -> Result<(), Instant> {
        let mut level = self.level();
        if let Some(until) = level.blocked_until.filter(|until| *until > now) {
            return Err(until);
        }
        let Some(rate) = self.rate else { return Ok(()) };
        level.fill(rate, now);
        if level.tokens >= 1.0 {
            level.tokens -= 1.0;
            return Ok(());
        }
        // The margin avoids another wait because of rounding.
        Err(now
            + Duration::from_secs_f64((1.0 - level.tokens) / rate.per_second)
            + Duration::from_micros(100))
    }

    fn rejected(&self, retry_after: Option<Duration>) {
        let now = Instant::now();
        let mut level = self.level();
        let pause = retry_after.unwrap_or_else(|| {
            FIRST_THROTTLED
                .saturating_mul(1 << level.rejections.min(8))
                .min(LONGEST_THROTTLED)
        });
        level.rejections = level.rejections.saturating_add(1);
        let until = (now + pause).max(level.blocked_until.unwrap_or(now));
        level.blocked_until = Some(until);
        // An empty bucket releases the waiting requests one by one after the pause, not all at
        // once.
        level.tokens = 0.0;
        level.filled = until;
    }

    fn accepted(&self, remaining: Option<u32>) {
        let mut level = self.level();
        level.rejections = 0;
        if let (Some(remaining), Some(rate)) = (remaining, self.rate) {
            level.fill(rate, Instant::now());
            level.tokens = level.tokens.min(f64::from(remaining));
        }
    }

    fn level(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Level {
    fn fill(&mut self, rate: Rate, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = f64::from(rate.burst).min(self.tokens + seconds * rate.per_second);
        self.filled = self.filled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    fn throttle() -> Throttle {
        Throttle::new(&RequestLimits::default(), true)
    }

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(3_600))
    }

    /// The time that sequential requests take.
    async fn time_of(throttle: &Throttle, kind: RequestKind, requests: u32) -> Duration {
        let started = Instant::now();
        for _ in 0..requests {
            drop(throttle.acquire(kind, soon()).await.unwrap());
        }
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_reads_keep_to_the_rate() {
        let RequestLimits { reads, .. } = RequestLimits::default();
        let least = f64::from(1_000 - reads.burst) / reads.per_second;
        let took = time_of(&throttle(), RequestKind::Read, 1_000)
            .await
            .as_secs_f64();
        assert!(
            took >= least && took < least * 1.1,
            "{took} s, at least {least} s"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn reads_do_not_wait_for_writes() {
        let throttle = throttle();
        let RequestLimits { writes, .. } = RequestLimits::default();
        assert_eq!(
            time_of(&throttle, RequestKind::Write, writes.burst).await,
            Duration::ZERO
        );
        assert!(time_of(&throttle, RequestKind::Write, 1).await > Duration::ZERO);
        assert_eq!(
            time_of(&throttle, RequestKind::Read, 1).await,
            Duration::ZERO
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_pauses_all_requests_and_then_releases_them_one_by_one() {
        let throttle = throttle();
        let RequestLimits { reads, .. } = RequestLimits::default();
        throttle.rejected(RequestKind::Read, Some(Duration::from_secs(30)));
        let started = Instant::now();
        assert!(
            time_of(&throttle, RequestKind::Read, 20)
                .await
                .as_secs_f64()
                >= 30.0 + 20.0 / reads.per_second
        );
        assert!(started.elapsed() < Duration::from_secs(32));
    }

    #[tokio::test(start_paused = true)]
    async fn a_429_without_retry_after_pauses_longer_each_time_until_a_success() {
        let throttle = throttle();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            throttle.rejected(RequestKind::Write, None);
            pauses.push(time_of(&throttle, RequestKind::Write, 1).await.as_millis() / 100 * 100);
        }
        // The bucket needs another ninth of a second for a token.
        assert_eq!(pauses, [600, 1_100, 2_100, 4_100, 8_100, 8_100]);
        throttle.accepted(RequestKind::Write, None);
        throttle.rejected(RequestKind::Write, None);
        assert!(time_of(&throttle, RequestKind::Write, 1).await < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn azures_remaining_tokens_apply_if_they_are_fewer() {
        let throttle = throttle();
        throttle.accepted(RequestKind::Read, Some(3));
        assert_eq!(
            time_of(&throttle, RequestKind::Read, 3).await,
            Duration::ZERO
        );
        assert!(time_of(&throttle, RequestKind::Read, 1).await > Duration::ZERO);
        throttle.accepted(RequestKind::Read, Some(200));
        assert!(
            time_of(&throttle, RequestKind::Read, 1).await > Duration::ZERO,
            "a larger number does not add tokens"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_after_the_deadline_is_neither_waited_for_nor_taken() {
        let throttle = throttle();
        throttle.rejected(RequestKind::Read, Some(Duration::from_secs(30)));
        let started = Instant::now();
        for _ in 0..100 {
            assert!(
                throttle
                    .acquire(RequestKind::Read, Deadline::after(Duration::from_secs(10)))
                    .await
                    .is_none()
            );
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert!(time_of(&throttle, RequestKind::Read, 1).await.as_secs_f64() < 30.1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_vault_has_no_bucket_but_pauses_after_a_429() {
        let throttle = Throttle::new(&RequestLimits::default(), false);
        assert_eq!(
            time_of(&throttle, RequestKind::Read, 10_000).await,
            Duration::ZERO
        );
        throttle.rejected(RequestKind::Read, Some(Duration::from_secs(5)));
        assert_eq!(
            time_of(&throttle, RequestKind::Read, 1_000).await,
            Duration::from_secs(5)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_left_at_the_deadline() {
        let throttle = &throttle();
        throttle.rejected(RequestKind::Read, Some(Duration::from_secs(30)));
        let started = Instant::now();
        // The first waits for its token at the head of the queue; the others wait behind it.
        let first = throttle.acquire(RequestKind::Read, soon());
        let behind = join_all((1..=10).map(|seconds| async move {
            let deadline = Deadline::after(Duration::from_secs(seconds));
            (
                throttle
                    .acquire(RequestKind::Read, deadline)
                    .await
                    .is_none(),
                started.elapsed().as_secs(),
            )
        }));
        let (first, behind) = tokio::join!(first, behind);
        assert!(first.is_some());
        let expected: Vec<_> = (1..=10).map(|seconds| (true, seconds)).collect();
        assert_eq!(behind, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_without_tokens_before_its_deadline_returns_its_permit() {
        let throttle = throttle();
        let RequestLimits {
            writers, writes, ..
        } = RequestLimits::default();
        time_of(&throttle, RequestKind::Write, writes.burst).await;
        let started = Instant::now();
        for _ in 0..=writers {
            let deadline = Deadline::after(Duration::from_millis(50));
            assert!(throttle.writer(3, deadline).await.is_none());
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert!(throttle.writer(3, soon()).await.is_some());
    }
}
