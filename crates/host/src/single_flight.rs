//! Single flight: one request to Azure serves all callers that need the same value.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::Deadline;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

/// Largest number of keys: names of vaults, secrets and apps come from outside. Without its entry, a
/// caller makes a request of its own.
const CAPACITY: u64 = 20_000;

/// Time after which an unused entry is dropped. An event needs a response that is newer than itself.
const TIME_TO_IDLE: Duration = Duration::from_mins(10);

/// A cached value, and the lock under which at most one caller fetches it.
#[derive(Debug)]
pub(crate) struct SingleFlight<T>(tokio::sync::Mutex<Option<(FetchedAt, T)>>);

/// One [`SingleFlight`] for each key, up to a number of keys.
pub(crate) struct SingleFlights<K, T>(Cache<K, Arc<SingleFlight<T>>>);

/// The time at which a fetch began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchedAt {
    /// By the monotonic clock of this process.
    pub(crate) moment: Instant,
    /// In seconds since 1970, to compare with the times of events.
    pub(crate) second: u64,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::new(None))
    }
}

impl<K, T> Default for SingleFlights<K, T>
where
    K: Eq + Hash + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(CAPACITY)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(TIME_TO_IDLE);
        Self(cache.build())
    }
}

impl<K, T> fmt::Debug for SingleFlights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlights").finish_non_exhaustive()
    }
}

impl<T: Clone> SingleFlight<T> {
    /// Returns the cached value if it is fresh, and fetches it otherwise. Concurrent callers wait
    /// for the fetch in flight until their own `deadline`.
    ///
    /// `fetch` has to end at the same deadline.
    pub(crate) async fn get_or_fetch<E>(
        &self,
        deadline: Deadline,
        is_fresh: impl Fn(&FetchedAt) -> bool,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(mut cached) = deadline.bound(self.0.lock()).await else {
            // Past its deadline the fetch fails at once, with an error that names the request.
            return fetch.await;
        };
        if let Some((_, value)) = cached.as_ref().filter(|(at, _)| is_fresh(at)) {
            return Ok(value.clone());
        }
        let fetched_at = FetchedAt {
            moment: Instant::now(),
            second: u64::try_from(Timestamp::now().as_second()).unwrap_or_default(),
        };
        let value = fetch.await?;
        *cached = Some((fetched_at, value.clone()));
        Ok(value)
    }
}

impl<K, T> SingleFlights<K, T>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    /// Returns the single flight of a key.
    pub(crate) fn of(&self, key: &K) -> Arc<SingleFlight<T>> {
        self.0.get_with_by_ref(key, Arc::default)
    }

    /// Forgets the keys that are not selected.
    pub(crate) fn retain(&self, is_selected: impl Fn(&K) -> bool) {
        for (key, _) in &self.0 {
            if !is_selected(&key) {
                self.0.invalidate(&*key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_keys_is_bounded() {
        let flights = SingleFlights::<u64, ()>::default();
        for key in 0..CAPACITY + 5_000 {
            flights.of(&key);
        }
        flights.0.run_pending_tasks();
        assert!(flights.0.entry_count() <= CAPACITY);
    }

    #[test]
    fn a_key_that_is_not_selected_is_forgotten() {
        let flights = SingleFlights::<u64, ()>::default();
        let [kept, dropped] = [1, 2].map(|key| flights.of(&key));
        flights.retain(|key| *key == 1);
        assert!(Arc::ptr_eq(&kept, &flights.of(&1)));
        assert!(!Arc::ptr_eq(&dropped, &flights.of(&2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_does_not_wait_for_another_ones_fetch_past_its_deadline() {
        let flight = Arc::new(SingleFlight::<u32>::default());
        let slow = Arc::clone(&flight);
        let first = tokio::spawn(async move {
            let fetch = async {
                tokio::time::sleep(Duration::from_secs(60)).await;
                Ok::<_, &str>(1)
            };
            let deadline = Deadline::after(Duration::from_secs(100));
            slow.get_or_fetch(deadline, |_| true, fetch).await
        });
        tokio::task::yield_now().await;
        let deadline = Deadline::after(Duration::from_secs(4));
        let began = Instant::now();
        let second = flight
            .get_or_fetch(deadline, |_| true, async { Err("out of time") })
            .await;
        assert_eq!(second, Err("out of time"));
        assert_eq!(began.elapsed().as_secs(), 4);
        assert_eq!(first.await.unwrap(), Ok(1));
    }
}
