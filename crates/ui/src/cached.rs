//! A value that may take long to read, kept in memory for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The part of the time that reading may take: one in so many.
const SHARE: u32 = 10;

/// The time for which an old value is shown while a new one is read.
const STALE: Duration = Duration::from_secs(60);

/// The time that a page waits for a new value.
const QUICK: Duration = Duration::from_millis(300);

/// A cached value. If it takes long to read, an old one is shown while a new one is read in the
/// background, so that no page waits for it.
#[derive(Debug)]
pub(crate) struct Cached<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    /// The shortest time for which a value is fresh.
    fresh: Duration,
    slot: Mutex<Slot<T>>,
    /// Held while a value is read that pages wait for.
    reading: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Slot<T> {
    entry: Option<CacheEntry<T>>,
    /// The number of invalidations. A value that was begun before one is not kept.
    generation: u64,
    is_read_in_background: bool,
}

#[derive(Debug)]
struct CacheEntry<T> {
    value: Arc<T>,
    read: Instant,
    took: Duration,
}

/// The use of an entry.
enum Lookup<T> {
    Fresh(Arc<T>),
    /// It is shown, and a new one is to be read. False: that has begun already.
    Stale(Arc<T>, bool),
    Missing,
}

impl<T: Send + Sync + 'static> Cached<T> {
    /// An empty cache, whose values are fresh for at least this time, and for ten times as long as
    /// they take to read.
    pub(crate) fn new(fresh: Duration) -> Self {
        let slot = Slot {
            entry: None,
            generation: 0,
            is_read_in_background: false,
        };
        Self(Arc::new(Shared {
            fresh,
            slot: Mutex::new(slot),
            reading: Arc::default(),
        }))
    }

    /// The value, or one of up to a minute ago while `read` reads a new one for long.
    pub(crate) async fn get<E, F>(&self, read: impl FnOnce() -> F) -> Result<Arc<T>, E>
    where
        E: std::fmt::Display + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        match self.0.lookup() {
            Lookup::Fresh(value) | Lookup::Stale(value, false) => return Ok(value),
            Lookup::Stale(value, true) => {
                let (shared, read) = (Arc::clone(&self.0), read());
                tokio::spawn(async move {
                    if let Err(error) = shared.read(read).await {
                        tracing::warn!("an older state is shown: {error}");
                    }
                    shared.slot().is_read_in_background = false;
                });
                return Ok(value);
            }
            Lookup::Missing => {}
        }
        let reading = Arc::clone(&self.0.reading).lock_owned().await;
        match self.0.lookup() {
            // Another page has waited for it as well.
            Lookup::Fresh(value) => Ok(value),
            _ => self.read_apart(read(), reading).await,
        }
    }

    /// Reads a value in a task of its own: several values are read on several cores. If the client
    /// of a page goes away, the next page waits for the same read, which holds the lock.
    async fn read_apart<E: Send + 'static>(
        &self,
        read: impl Future<Output = Result<T, E>> + Send + 'static,
        reading: tokio::sync::OwnedMutexGuard<()>,
    ) -> Result<Arc<T>, E> {
        let shared = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            let value = shared.read(read).await;
            drop(reading);
            value
        });
        match task.await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(value) => value,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime ends, and this task with it.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Forgets the value, because it has changed.
    pub(crate) fn invalidate(&self) {
        let mut slot = self.0.slot();
        slot.entry = None;
        slot.generation += 1;
    }
}

impl<T> Shared<T> {
    fn slot(&self) -> std::sync::MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lookup(&self) -> Lookup<T> {
        let mut slot = self.slot();
        let Some(entry) = &slot.entry else {
            return Lookup::Missing;
        };
        let (value, age) = (Arc::clone(&entry.value), entry.read.elapsed());
        let fresh = self.fresh.max(entry.took * SHARE);
        // Without a time for which values are fresh, none is shown twice.
        if self.fresh.is_zero() || age > fresh + STALE {
            return Lookup::Missing;
        }
        if age < fresh {
            return Lookup::Fresh(value);
        }
        if entry.took < QUICK {
            return Lookup::Missing;
        }
        let is_first = !std::mem::replace(&mut slot.is_read_in_background, true);
        Lookup::Stale(value, is_first)
    }

    async fn read<E>(&self, read: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let generation = self.slot().generation;
        let begin = Instant::now();
        let value = Arc::new(read.await?);
        let mut slot = self.slot();
        if slot.generation == generation {
            slot.entry = Some(CacheEntry {
                value: Arc::clone(&value),
                read: Instant::now(),
                took: begin.elapsed(),
            });
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    async fn get(cached: &Cached<u32>, value: u32) -> u32 {
        let read = || async move { Ok::<_, Infallible>(value) };
        *cached.get(read).await.unwrap()
    }

    /// Makes the value one that has taken long to read.
    fn slow(cached: &Cached<u32>, took: Duration) {
        cached.0.slot().entry.as_mut().unwrap().took = took;
    }

    /// Makes the value older.
    fn age(cached: &Cached<u32>, by: Duration) {
        let mut slot = cached.0.slot();
        let entry = slot.entry.as_mut().unwrap();
        entry.read = entry.read.checked_sub(by).unwrap();
    }

    /// Waits until a value that is read in the background is there.
    async fn until(cached: &Cached<u32>, value: u32) {
        while get(cached, value).await != value {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_old_value_is_shown_while_a_new_one_is_read() {
        let cached = Cached::new(Duration::from_secs(5));
        assert_eq!(get(&cached, 1).await, 1);
        assert_eq!(get(&cached, 2).await, 1);
        slow(&cached, Duration::from_millis(400));
        age(&cached, Duration::from_secs(6));
        assert_eq!(get(&cached, 3).await, 1);
        until(&cached, 3).await;
        assert_eq!(get(&cached, 4).await, 3);
    }

    #[tokio::test]
    async fn a_read_goes_on_when_its_page_is_cancelled_and_the_next_page_waits_for_it() {
        let cached = Cached::new(Duration::from_secs(5));
        let (finish, finished) = tokio::sync::oneshot::channel();
        let read = || async move {
            finished.await.unwrap();
            Ok::<_, Infallible>(1)
        };
        let page = cached.get(read);
        let cancelled = tokio::time::timeout(Duration::from_millis(10), page).await;
        assert!(cancelled.is_err());
        let next = get(&cached, 2);
        finish.send(()).unwrap();
        assert_eq!(next.await, 1);
    }

    #[tokio::test]
    async fn a_page_waits_for_a_value_that_is_quick_to_read() {
        let cached = Cached::new(Duration::from_secs(5));
        assert_eq!(get(&cached, 1).await, 1);
        age(&cached, Duration::from_secs(6));
        assert_eq!(get(&cached, 2).await, 2);
    }

    #[tokio::test]
    async fn a_value_that_is_too_old_or_has_changed_is_not_shown() {
        let cached = Cached::new(Duration::from_secs(5));
        assert_eq!(get(&cached, 1).await, 1);
        age(&cached, Duration::from_secs(66));
        assert_eq!(get(&cached, 2).await, 2);
        cached.invalidate();
        assert_eq!(get(&cached, 3).await, 3);
    }

    #[tokio::test]
    async fn a_value_that_takes_long_is_fresh_for_ten_times_as_long() {
        let cached = Cached::new(Duration::from_secs(5));
        assert_eq!(get(&cached, 1).await, 1);
        slow(&cached, Duration::from_secs(2));
        age(&cached, Duration::from_secs(19));
        assert_eq!(get(&cached, 2).await, 1);
        assert_eq!(get(&cached, 3).await, 1);
        age(&cached, Duration::from_secs(2));
        assert_eq!(get(&cached, 4).await, 1);
        until(&cached, 4).await;
    }

    #[tokio::test]
    async fn without_a_time_every_page_reads() {
        let cached = Cached::new(Duration::ZERO);
        assert_eq!((get(&cached, 1).await, get(&cached, 2).await), (1, 2));
    }
}
