//! Throttles: the rate and the concurrency of requests to one subscription or one vault.

mod bucket;
mod share;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::call::{Deadline, Priority};
use crate::limits::RequestLimits;
use bucket::{Token, TokenBucket};

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
    /// Three quarters of the permits: the most that background requests hold.
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
    _token: Token,
    _background: Option<SemaphorePermit<'t>>,
}

/// The permit of a writer, with the tokens of its requests.
#[derive(Debug)]
pub(crate) struct Writer {
    _permit: OwnedSemaphorePermit,
    _tokens: Vec<Token>,
}

impl Throttle {
    pub(crate) fn new(limits: &RequestLimits, has_buckets: bool) -> Self {
        let bucket = |rate| TokenBucket::new(Some(rate).filter(|_| has_buckets));
        Self {
            in_flight: Semaphore::new(limits.in_flight),
            background: Semaphore::new((limits.in_flight * 3).div_ceil(4)),
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
    ) -> Option<Writer> {
        let permit = deadline
            .bound(Arc::clone(&self.writers).acquire_owned())
            .await?
            .ok()?;
        let mut tokens = Vec::new();
        for _ in 0..requests {
            tokens.push(self.writes.token(deadline, priority).await?);
        }
        Some(Writer {
            _permit: permit,
            _tokens: tokens,
        })
    }

    /// Waits until a request may be sent. It is in flight until the permit is dropped. `None`: the
    /// deadline is exceeded.
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
        let bucket = self.bucket(kind);
        let (token, permit) = bucket.acquire(deadline, priority, &self.in_flight).await?;
        Some(InFlight {
            _permit: permit,
            _token: token,
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

#[cfg(test)]
mod tests;
