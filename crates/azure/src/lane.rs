//! How fast and how many at once: what the requests of one subscription, or one vault, share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::call::Deadline;
use crate::http::Limits;

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// How often at once, after a pause.
    pub burst: u32,
    /// How often in a second, in the long run.
    pub a_second: f64,
}

/// The two kinds of requests that Resource Manager counts: everything that is no `GET` is a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
}

/// What the requests of one subscription, or one vault, share.
#[derive(Debug)]
pub(crate) struct Lane {
    in_flight: Semaphore,
    /// Those who are about to write have places of their own: what they have read must not get old in a queue.
    writers: Arc<Semaphore>,
    reads: Pace,
    writes: Pace,
}

/// The pace of one kind of request.
///
/// Azure's own bucket is shared with other instances, and with other programs of the same identity. What Azure says is left
/// in it counts when it is less than what we know of.
#[derive(Debug)]
struct Pace {
    /// None: only what Azure answers holds requests back.
    rate: Option<Rate>,
    bucket: Mutex<Bucket>,
    /// Whoever waits for the bucket, in turn.
    queue: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    filled: Instant,
    /// Azure has refused, and nobody asks again before this.
    stopped_until: Option<Instant>,
    /// How often it has refused in a row without saying for how long.
    refusals: u32,
}

/// The pause after a refusal that does not say how long to wait, and the longest one after several of them.
const REFUSED: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

impl Lane {
    pub(crate) fn new(limits: &Limits, is_paced: bool) -> Self {
        let pace = |rate| Pace::new(Some(rate).filter(|_| is_paced));
        Self {
            in_flight: Semaphore::new(limits.in_flight),
            writers: Arc::new(Semaphore::new(limits.writers)),
            reads: pace(limits.reads),
            writes: pace(limits.writes),
        }
    }

    /// Waits for a place among the writers, with so many requests that may be sent at once. None: the time is over before.
    pub(crate) async fn writer(
        &self,
        requests: u32,
        deadline: Deadline,
    ) -> Option<OwnedSemaphorePermit> {
        let place = deadline
            .bound(Arc::clone(&self.writers).acquire_owned())
            .await?
            .ok()?;
        for _ in 0..requests {
            deadline.bound(self.writes.pass(deadline)).await??;
        }
        Some(place)
    }

    /// Waits until a request of this kind may be sent; it is in flight until the permit is dropped. None: the time is over
    /// before that. Who waits for the pace holds up nobody of the other kind.
    pub(crate) async fn enter(
        &self,
        kind: Kind,
        deadline: Deadline,
    ) -> Option<SemaphorePermit<'_>> {
        deadline.bound(self.pace(kind).pass(deadline)).await??;
        deadline.bound(self.in_flight.acquire()).await?.ok()
    }

    /// Azure has refused a request because there were too many.
    pub(crate) fn refused(&self, kind: Kind, retry_after: Option<Duration>) {
        self.pace(kind).refused(retry_after);
    }

    /// Azure has answered a request, and maybe said how many more it would.
    pub(crate) fn answered(&self, kind: Kind, remaining: Option<u32>) {
        self.pace(kind).answered(remaining);
    }

    fn pace(&self, kind: Kind) -> &Pace {
        match kind {
            Kind::Read => &self.reads,
            Kind::Write => &self.writes,
        }
    }
}

impl Pace {
    fn new(rate: Option<Rate>) -> Self {
        let left = rate.map_or(0.0, |rate| f64::from(rate.burst));
        let bucket = Bucket {
            left,
            filled: Instant::now(),
            stopped_until: None,
            refusals: 0,
        };
        Self {
            rate,
            bucket: Mutex::new(bucket),
            queue: tokio::sync::Mutex::default(),
        }
    }

    /// Waits for the turn and takes one out of the bucket. None: that would take longer than there is time.
    async fn pass(&self, deadline: Deadline) -> Option<()> {
        let _turn = self.queue.lock().await;
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

    /// Takes one out, or says when there may be one.
    fn take(&self, now: Instant) -> Result<(), Instant> {
        let mut bucket = self.bucket();
        if let Some(until) = bucket.stopped_until.filter(|until| *until > now) {
            return Err(until);
        }
        let Some(rate) = self.rate else { return Ok(()) };
        bucket.fill(rate, now);
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        // A little more than is needed, or rounding would make another round.
        Err(now
            + Duration::from_secs_f64((1.0 - bucket.left) / rate.a_second)
            + Duration::from_micros(100))
    }

    fn refused(&self, retry_after: Option<Duration>) {
        let now = Instant::now();
        let mut bucket = self.bucket();
        let (first, longest) = REFUSED;
        let pause = retry_after.unwrap_or_else(|| {
            first
                .saturating_mul(1 << bucket.refusals.min(8))
                .min(longest)
        });
        bucket.refusals = bucket.refusals.saturating_add(1);
        let until = (now + pause).max(bucket.stopped_until.unwrap_or(now));
        bucket.stopped_until = Some(until);
        // Afterwards they come one by one, and not all that have been waiting at once.
        bucket.left = 0.0;
        bucket.filled = until;
    }

    fn answered(&self, remaining: Option<u32>) {
        let mut bucket = self.bucket();
        bucket.refusals = 0;
        if let (Some(remaining), Some(rate)) = (remaining, self.rate) {
            bucket.fill(rate, Instant::now());
            bucket.left = bucket.left.min(f64::from(remaining));
        }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn fill(&mut self, rate: Rate, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = f64::from(rate.burst).min(self.left + seconds * rate.a_second);
        self.filled = self.filled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> Lane {
        Lane::new(&Limits::default(), true)
    }

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(3_600))
    }

    /// How long so many requests take, one after the other.
    async fn time_of(lane: &Lane, kind: Kind, requests: u32) -> Duration {
        let started = Instant::now();
        for _ in 0..requests {
            drop(lane.enter(kind, soon()).await.unwrap());
        }
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_reads_keep_the_rate() {
        let Limits { reads, .. } = Limits::default();
        let least = f64::from(1_000 - reads.burst) / reads.a_second;
        let took = time_of(&lane(), Kind::Read, 1_000).await.as_secs_f64();
        assert!(
            took >= least && took < least * 1.1,
            "{took} s, at least {least} s"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn reads_do_not_wait_for_writes() {
        let lane = lane();
        let Limits { writes, .. } = Limits::default();
        assert_eq!(
            time_of(&lane, Kind::Write, writes.burst).await,
            Duration::ZERO
        );
        assert!(time_of(&lane, Kind::Write, 1).await > Duration::ZERO);
        assert_eq!(time_of(&lane, Kind::Read, 1).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_stops_everybody_and_they_come_back_one_by_one() {
        let lane = lane();
        let Limits { reads, .. } = Limits::default();
        lane.refused(Kind::Read, Some(Duration::from_secs(30)));
        let started = Instant::now();
        assert!(time_of(&lane, Kind::Read, 20).await.as_secs_f64() >= 30.0 + 20.0 / reads.a_second);
        assert!(started.elapsed() < Duration::from_secs(32));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_without_a_time_stop_longer_and_longer_until_an_answer() {
        let lane = lane();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            lane.refused(Kind::Write, None);
            pauses.push(time_of(&lane, Kind::Write, 1).await.as_millis() / 100 * 100);
        }
        // And an eighth of a second for the bucket to hold one again.
        assert_eq!(pauses, [600, 1_100, 2_100, 4_100, 8_100, 8_100]);
        lane.answered(Kind::Write, None);
        lane.refused(Kind::Write, None);
        assert!(time_of(&lane, Kind::Write, 1).await < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_azure_says_is_left_counts_if_it_is_less() {
        let lane = lane();
        lane.answered(Kind::Read, Some(3));
        assert_eq!(time_of(&lane, Kind::Read, 3).await, Duration::ZERO);
        assert!(time_of(&lane, Kind::Read, 1).await > Duration::ZERO);
        lane.answered(Kind::Read, Some(200));
        assert!(
            time_of(&lane, Kind::Read, 1).await > Duration::ZERO,
            "more than we know of is not believed"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_past_the_deadline_or_takes_what_others_need() {
        let lane = lane();
        lane.refused(Kind::Read, Some(Duration::from_secs(30)));
        let started = Instant::now();
        for _ in 0..100 {
            assert!(
                lane.enter(Kind::Read, Deadline::after(Duration::from_secs(10)))
                    .await
                    .is_none()
            );
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert!(time_of(&lane, Kind::Read, 1).await.as_secs_f64() < 30.1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_vault_has_no_pace_but_stops_when_it_refuses() {
        let lane = Lane::new(&Limits::default(), false);
        assert_eq!(time_of(&lane, Kind::Read, 10_000).await, Duration::ZERO);
        lane.refused(Kind::Read, Some(Duration::from_secs(5)));
        assert_eq!(
            time_of(&lane, Kind::Read, 1_000).await,
            Duration::from_secs(5)
        );
    }
}
