//! The token bucket of one kind of request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::share::{LEAST, Share};
use crate::call::{Deadline, Priority};
use crate::limits::Rate;
use crate::retry::{FIRST_THROTTLED, LONGEST_THROTTLED};

/// The most of the pace that background requests take.
const BACKGROUND: f64 = 0.9;

/// The token bucket of one kind of request.
///
/// Azure's own bucket is shared with other instances and with other programs of the same identity.
/// If Azure reports fewer remaining tokens than this bucket holds, Azure's number applies; if it
/// reports few, this bucket is refilled at a [`Share`] of its rate.
///
/// Background requests take at most nine tenths of the pace, leave a fifth of the bucket to events,
/// and take no token while a request for an event waits. Where other programs keep Azure's bucket
/// empty, they go on at a sixteenth of the pace.
#[derive(Debug)]
pub(super) struct TokenBucket {
    /// `None`: only a 429 holds requests back.
    rate: Option<Rate>,
    state: Mutex<State>,
    /// The requests that have a token and no response.
    in_flight: Arc<AtomicUsize>,
    /// Serves the waiting requests for events in the order of their arrival.
    queue: tokio::sync::Mutex<()>,
    /// The number of requests for events that wait.
    waiting: watch::Sender<usize>,
    /// Serves the waiting background requests in the order of their arrival.
    background_queue: tokio::sync::Mutex<()>,
}

/// A token that was taken, until the response to its request arrives.
#[derive(Debug)]
pub(super) struct Token(Arc<AtomicUsize>);

/// A request for an event that waits for a token, until this is dropped.
struct Waiting<'b>(&'b watch::Sender<usize>);

#[derive(Debug)]
struct State {
    level: Level,
    /// What background requests may take of `level`.
    background: Level,
    /// The time of the last background request.
    background_taken: Instant,
    share: Share,
    /// The end of the pause after a 429.
    blocked_until: Option<Instant>,
    /// The number of 429 in a row without `Retry-After`.
    rejections: u32,
}

#[derive(Debug)]
struct Level {
    rate: Rate,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        let without = Rate {
            burst: 0,
            per_second: 0.0,
        };
        Self {
            rate,
            state: Mutex::new(State::new(rate.unwrap_or(without), Instant::now())),
            in_flight: Arc::default(),
            queue: tokio::sync::Mutex::default(),
            waiting: watch::Sender::new(0),
            background_queue: tokio::sync::Mutex::default(),
        }
    }

    /// Waits for a token and takes it, then waits for a permit. `None`: the token would come after
    /// the deadline, or the deadline is exceeded.
    ///
    /// The token comes first, so that a request without one does not occupy a permit of the other
    /// kind. The next in the queue waits for both, so that no more than one token is taken before it
    /// can be used: Azure may report in the meantime that there are fewer.
    pub(super) async fn acquire<'s>(
        &self,
        deadline: Deadline,
        priority: Priority,
        permits: &'s Semaphore,
    ) -> Option<(Token, SemaphorePermit<'s>)> {
        let _waiting = self.in_line(priority);
        let _head = deadline.bound(self.queue(priority).lock()).await?;
        let token = self.acquire_as_head(deadline, priority).await?;
        Some((token, deadline.bound(permits.acquire()).await?.ok()?))
    }

    /// Waits for a token and takes it. `None`: it would come after the deadline.
    pub(super) async fn token(&self, deadline: Deadline, priority: Priority) -> Option<Token> {
        let _waiting = self.in_line(priority);
        let _head = deadline.bound(self.queue(priority).lock()).await?;
        self.acquire_as_head(deadline, priority).await
    }

    fn queue(&self, priority: Priority) -> &tokio::sync::Mutex<()> {
        match priority {
            Priority::Event => &self.queue,
            Priority::Background => &self.background_queue,
        }
    }

    fn in_line(&self, priority: Priority) -> Option<Waiting<'_>> {
        (priority == Priority::Event).then(|| Waiting::in_line(&self.waiting))
    }

    async fn acquire_as_head(&self, deadline: Deadline, priority: Priority) -> Option<Token> {
        loop {
            if priority == Priority::Background {
                let mut waiting = self.waiting.subscribe();
                // The sender lives as long as `self`.
                let _ = deadline
                    .bound(waiting.wait_for(|count| *count == 0))
                    .await?;
            }
            let until = match self.take(Instant::now(), priority) {
                Ok(token) => return Some(token),
                Err(until) => until,
            };
            if until >= deadline.moment() {
                return None;
            }
            sleep_until(until).await;
        }
    }

    /// Takes a token, or returns the moment of the next one.
    fn take(&self, now: Instant, priority: Priority) -> Result<Token, Instant> {
        let mut state = self.state();
        if let Some(until) = state.blocked_until.filter(|until| *until > now) {
            return Err(until);
        }
        if self.rate.is_some() {
            state.take(priority, self.in_flight.load(Ordering::Relaxed), now)?;
        }
        Ok(Token::of(&self.in_flight))
    }

    /// Pauses the requests after Azure responded with 429.
    pub(super) fn rejected(&self, retry_after: Option<Duration>) {
        let now = Instant::now();
        let mut state = self.state();
        let pause = retry_after.unwrap_or_else(|| {
            FIRST_THROTTLED
                .saturating_mul(1 << state.rejections.min(8))
                .min(LONGEST_THROTTLED)
        });
        state.rejections = state.rejections.saturating_add(1);
        let until = (now + pause).max(state.blocked_until.unwrap_or(now));
        state.blocked_until = Some(until);
        // An empty bucket releases the waiting requests one by one after the pause, not all at
        // once.
        state.level.tokens = 0.0;
        state.level.filled = until;
    }

    /// Notes a response other than 429, and the remaining tokens that Azure reported with it.
    pub(super) fn accepted(&self, remaining: Option<u32>) {
        let mut state = self.state();
        state.rejections = 0;
        if let (Some(remaining), Some(_)) = (remaining, self.rate) {
            let in_flight = self.in_flight.load(Ordering::Relaxed);
            state.reported(remaining, in_flight, Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token {
    fn of(in_flight: &Arc<AtomicUsize>) -> Self {
        in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(in_flight))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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

impl State {
    fn new(rate: Rate, now: Instant) -> Self {
        let reserve = reserve(rate);
        let background = Rate {
            burst: rate.burst.saturating_sub(reserve),
            per_second: rate.per_second * BACKGROUND,
        };
        Self {
            level: Level::full(rate, now),
            background: Level::full(background, now),
            background_taken: now,
            share: Share::new(rate, f64::from(reserve), now),
            blocked_until: None,
            rejections: 0,
        }
    }

    /// Takes a token, or returns the moment of the next one.
    fn take(&mut self, priority: Priority, in_flight: usize, now: Instant) -> Result<(), Instant> {
        let (fraction, of_background) = self.fill(in_flight, now);
        match priority {
            Priority::Event => self.level.has(1.0, fraction, now)?,
            Priority::Background => {
                let reserve = f64::from(reserve(self.level.rate));
                if let Err(until) = self.level.has(1.0 + reserve, fraction, now) {
                    self.least(fraction, now)
                        .map_err(|least| least.min(until))?;
                }
                self.background.has(1.0, of_background, now)?;
                self.background.tokens -= 1.0;
                self.background_taken = now;
            }
        }
        self.level.tokens -= 1.0;
        Ok(())
    }

    /// Whether a background request may take a token of the reserve, or the moment when it may.
    fn least(&self, fraction: f64, now: Instant) -> Result<(), Instant> {
        let interval = Duration::from_secs_f64(1.0 / (self.level.rate.per_second * LEAST));
        let next = self.background_taken + interval;
        match self.level.has(1.0, fraction, now) {
            Ok(()) if next <= now => Ok(()),
            Ok(()) => Err(next),
            Err(until) => Err(until.max(next)),
        }
    }

    fn reported(&mut self, remaining: u32, in_flight: usize, now: Instant) {
        self.fill(in_flight, now);
        self.share.reported(remaining, now);
        self.level.tokens = self.level.tokens.min(f64::from(remaining));
        if let Some(spare) = self.share.spare(in_flight) {
            self.background.tokens = self.background.tokens.min(spare.max(0.0));
        }
    }

    /// Adds the tokens of the time since the last call. Returns the fractions of the pace.
    fn fill(&mut self, in_flight: usize, now: Instant) -> (f64, f64) {
        let fraction = self.share.fraction(in_flight, now);
        let of_background = self.share.background_fraction(in_flight, now);
        self.level.fill(fraction, now);
        self.background.fill(of_background, now);
        (fraction, of_background)
    }
}

impl Level {
    fn full(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            tokens: f64::from(rate.burst),
            filled: now,
        }
    }

    /// Returns whether there are so many tokens now, or the moment when there are.
    fn has(&self, tokens: f64, fraction: f64, now: Instant) -> Result<(), Instant> {
        if self.tokens >= tokens {
            return Ok(());
        }
        // The margin avoids another wait because of rounding.
        Err(now
            + Duration::from_secs_f64((tokens - self.tokens) / (self.rate.per_second * fraction))
            + Duration::from_micros(100))
    }

    fn fill(&mut self, fraction: f64, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        let filled = self.tokens + seconds * self.rate.per_second * fraction;
        self.tokens = f64::from(self.rate.burst).min(filled);
        self.filled = self.filled.max(now);
    }
}

/// The number of tokens that background requests leave to events: a fifth of the bucket.
fn reserve(rate: Rate) -> u32 {
    rate.burst / 5
}
