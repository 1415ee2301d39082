//! Throttles: the rate and the concurrency of requests to one subscription or one vault.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use crate::call::{Deadline, Priority};
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
    /// Half of the permits: the most that background requests hold.
    background: Semaphore,
    /// Separate from `in_flight`: the settings that a writer has read must not become stale in a
    /// queue.
    writers: Arc<Semaphore>,
    reads: TokenBucket,
    writes: TokenBucket,
}

/// The permit of a request in flight.
#[derive(Debug)]
pub(crate) struct InFlight<'t> {
    _permit: SemaphorePermit<'t>,
    _background: Option<SemaphorePermit<'t>>,
}

/// The token bucket of one kind of request.
///
/// Background requests take at most half of its pace, and no token while a request for an event
/// waits: other instances draw from Azure's bucket at the same time.
///
/// Azure's own bucket is shared with other instances and with other programs of the same identity.
/// If Azure reports fewer remaining tokens than this bucket holds, Azure's number applies.
#[derive(Debug)]
struct TokenBucket {
    /// `None`: only a 429 holds requests back.
    rate: Option<Rate>,
    level: Mutex<Level>,
    /// Serves the waiting requests for events in the order of their arrival.
    queue: tokio::sync::Mutex<()>,
    /// The number of requests for events that wait.
    waiting: watch::Sender<usize>,
    /// Half of the rate.
    background_rate: Option<Rate>,
    background_level: Mutex<Level>,
    /// Serves the waiting background requests in the order of their arrival.
    background_queue: tokio::sync::Mutex<()>,
}

/// A request for an event that waits for a token, until this is dropped.
struct Waiting<'b>(&'b watch::Sender<usize>);

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
            background: Semaphore::new(limits.in_flight.div_ceil(2)),
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
        priority: Priority,
    ) -> Option<OwnedSemaphorePermit> {
        let permit = deadline
            .bound(Arc::clone(&self.writers).acquire_owned())
            .await?
            .ok()?;
        for _ in 0..requests {
            self.writes.acquire(deadline, priority).await?;
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
        priority: Priority,
    ) -> Option<InFlight<'_>> {
        let background = match priority {
            Priority::Event => None,
            Priority::Background => Some(deadline.bound(self.background.acquire()).await?.ok()?),
        };
        self.bucket(kind).acquire(deadline, priority).await?;
        Some(InFlight {
            _permit: deadline.bound(self.in_flight.acquire()).await?.ok()?,
            _background: background,
        })
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
        let background_rate = rate.map(|rate| Rate {
            burst: rate.burst.div_ceil(2),
            per_second: rate.per_second / 2.0,
        });
        Self {
            rate,
            level: Mutex::new(Level::full(rate)),
            queue: tokio::sync::Mutex::default(),
            waiting: watch::Sender::new(0),
            background_rate,
            background_level: Mutex::new(Level::full(background_rate)),
            background_queue: tokio::sync::Mutex::default(),
        }
    }

    /// Waits for a token and takes it. `None`: it would come after the deadline.
    async fn acquire(&self, deadline: Deadline, priority: Priority) -> Option<()> {
        match priority {
            Priority::Event => {
                let _waiting = Waiting::in_line(&self.waiting);
                let _head = deadline.bound(self.queue.lock()).await?;
                self.acquire_as_head(deadline, priority).await
            }
            Priority::Background => {
                let _head = deadline.bound(self.background_queue.lock()).await?;
                self.acquire_as_head(deadline, priority).await
            }
        }
    }

    async fn acquire_as_head(&self, deadline: Deadline, priority: Priority) -> Option<()> {
        loop {
            if priority == Priority::Background {
                let mut waiting = self.waiting.subscribe();
                // The sender lives as long as `self`.
                let _ = deadline
                    .bound(waiting.wait_for(|count| *count == 0))
                    .await?;
            }
            let until = match self.take(Instant::now(), priority) {
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
    fn take(&self, now: Instant, priority: Priority) -> Result<(), Instant> {
        let mut level = self.level();
        if let Some(until) = level.blocked_until.filter(|until| *until > now) {
            return Err(until);
        }
        let Some(rate) = self.rate else { return Ok(()) };
        level.has_token(rate, now)?;
        if let (Priority::Background, Some(half)) = (priority, self.background_rate) {
            let background = self.background_level.lock();
            let mut background = background.unwrap_or_else(PoisonError::into_inner);
            background.has_token(half, now)?;
            background.tokens -= 1.0;
        }
        level.tokens -= 1.0;
        Ok(())
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

impl<'b> Waiting<'b> {
    fn in_line(count: &'b watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Level {
    fn full(rate: Option<Rate>) -> Self {
        Self {
            tokens: rate.map_or(0.0, |rate| f64::from(rate.burst)),
            filled: Instant::now(),
            blocked_until: None,
            rejections: 0,
        }
    }

    /// Returns whether there is a token now, or the moment of the next one.
    fn has_token(&mut self, rate: Rate, now: Instant) -> Result<(), Instant> {
        self.fill(rate, now);
        if self.tokens >= 1.0 {
            return Ok(());
        }
        // The margin avoids another wait because of rounding.
        Err(now
            + Duration::from_secs_f64((1.0 - self.tokens) / rate.per_second)
            + Duration::from_micros(100))
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = f64::from(rate.burst).min(self.tokens + seconds * rate.per_second);
        self.filled = self.filled.max(now);
    }
}

#[cfg(test)]
mod tests;
