//! Answers of Azure that are asked for once by all who want to know the same.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

/// One answer of Azure, while it serves.
#[derive(Debug)]
pub(crate) struct Memory<T>(tokio::sync::Mutex<Option<(Asked, T)>>);

/// One memory for each key.
#[derive(Debug)]
pub(crate) struct Memories<K, T>(Mutex<HashMap<K, Arc<Memory<T>>>>);

/// When an answer was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// By our own clock, for what came in since.
    pub(crate) moment: Instant,
    /// In seconds since 1970.
    pub(crate) second: u64,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::new(None))
    }
}

impl<K, T> Default for Memories<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Memory<T> {
    /// Returns what is known, if it serves, or asks. Others who want to know wait meanwhile.
    pub(crate) async fn recall<E>(
        &self,
        serves: impl Fn(&Asked) -> bool,
        ask: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut known = self.0.lock().await;
        if let Some((_, answer)) = known.as_ref().filter(|(asked, _)| serves(asked)) {
            return Ok(answer.clone());
        }
        let second = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
        let asked = Asked {
            moment: Instant::now(),
            second,
        };
        let answer = ask.await?;
        *known = Some((asked, answer.clone()));
        Ok(answer)
    }
}

impl<K: Eq + Hash + Clone, T> Memories<K, T> {
    /// The memory for a key.
    pub(crate) fn of(&self, key: &K) -> Arc<Memory<T>> {
        let mut memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(memories.entry(key.clone()).or_default())
    }
}
