//! Caches the signing keys of Microsoft Entra.
//!
//! They are fetched for the first token, when a token names an unknown key, and every day. An
//! unknown key causes at most one fetch a minute, because every sender can name one. Within that
//! minute, another unknown key gets "unavailable" and not "unknown": a 401 is final for Event Grid,
//! and the key might be a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use keyrelay_azure::{Deadline, SigningKeys};
use tokio::time::Instant;

use keyrelay_model::error_chain;

/// Age at which the keys are fetched again.
const MAX_AGE: Duration = Duration::from_hours(24);

/// Age up to which keys are used if they cannot be fetched again.
const MAX_STALE_AGE: Duration = Duration::from_hours(72);

/// Pause after a fetch for an unknown key.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_mins(1);

/// Pause after a failed fetch.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);

/// Longest time for a fetch. A delivery waits for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The signing keys of Entra, by their ids.
pub(super) struct SigningKeyCache {
    source: SigningKeys,
    /// Held during a fetch: concurrent callers wait for its result.
    fetching: tokio::sync::Mutex<()>,
    cached: Mutex<CachedKeys>,
}

#[derive(Default)]
struct CachedKeys {
    keys: HashMap<String, Arc<DecodingKey>>,
    fetched: Option<Instant>,
    /// The time of the last fetch for an unknown key.
    missed: Option<Instant>,
    /// The time of the last failed fetch, and the reason.
    failed: Option<(Instant, String)>,
}

/// The reason why there is no key with an id.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyError {
    /// Entra has no such key.
    Unknown,
    /// It is not known whether Entra has such a key.
    Unavailable(String),
}

impl SigningKeyCache {
    pub(super) fn new(source: SigningKeys) -> Self {
        Self {
            source,
            fetching: tokio::sync::Mutex::default(),
            cached: Mutex::default(),
        }
    }

    /// Returns the key with this id.
    pub(super) async fn key(&self, id: &str) -> Result<Arc<DecodingKey>, KeyError> {
        let requested = Instant::now();
        if let Some(key) = self.cached().key(id, MAX_AGE) {
            return Ok(key);
        }
        let deadline = Deadline::after(FETCH_TIMEOUT);
        let Some(_fetching) = deadline.bound(self.fetching.lock()).await else {
            return self.cached().lookup(id, requested);
        };
        let is_due = self.cached().is_due(id, requested);
        if is_due {
            self.fetch(deadline).await;
        }
        self.cached().lookup(id, requested)
    }

    async fn fetch(&self, deadline: Deadline) {
        let fetched = self.source.fetch(deadline).await;
        let now = Instant::now();
        let mut cached = self.cached();
        match fetched {
            Ok(keys) => {
                // A key that cannot be decoded is treated as missing.
                let read = keys.into_iter().filter_map(|key| {
                    let read =
                        DecodingKey::from_rsa_components(&key.modulus, &key.exponent).ok()?;
                    Some((key.id, Arc::new(read)))
                });
                cached.keys = read.collect();
                (cached.fetched, cached.failed) = (Some(now), None);
            }
            Err(error) => {
                let message = error_chain(&error);
                tracing::warn!("{message}");
                cached.failed = Some((now, message));
                // The fetch for the unknown key did not succeed.
                cached.missed = None;
            }
        }
    }

    fn cached(&self) -> MutexGuard<'_, CachedKeys> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedKeys {
    fn key(&self, id: &str, not_older_than: Duration) -> Option<Arc<DecodingKey>> {
        self.fetched
            .filter(|fetched| fetched.elapsed() < not_older_than)?;
        self.keys.get(id).cloned()
    }

    /// Whether the keys are to be fetched for this one. A concurrent caller may have fetched them.
    fn is_due(&mut self, id: &str, requested: Instant) -> bool {
        if self.key(id, MAX_AGE).is_some()
            || self.fetched.is_some_and(|fetched| fetched > requested)
        {
            return false;
        }
        if self
            .failed
            .as_ref()
            .is_some_and(|(failed, _)| failed.elapsed() < FAILURE_PAUSE)
        {
            return false;
        }
        if self
            .fetched
            .is_none_or(|fetched| fetched.elapsed() >= MAX_AGE)
        {
            return true;
        }
        if self
            .missed
            .is_some_and(|missed| missed.elapsed() < UNKNOWN_KEY_PAUSE)
        {
            return false;
        }
        self.missed = Some(Instant::now());
        true
    }

    fn lookup(&self, id: &str, requested: Instant) -> Result<Arc<DecodingKey>, KeyError> {
        match (self.key(id, MAX_STALE_AGE), self.fetched, &self.failed) {
            (Some(key), ..) => Ok(key),
            (None, _, Some((_, reason))) => Err(KeyError::Unavailable(reason.clone())),
            (None, Some(fetched), None) if fetched > requested => Err(KeyError::Unknown),
            (None, ..) => Err(KeyError::Unavailable(
                "its key is unknown, and the keys of Entra were fetched less than a minute ago"
                    .into(),
            )),
        }
    }
}
