//! The keys of Entra, remembered.
//!
//! They are fetched with the first token, again when a token names a key that is not among them, and every day. An unknown
//! key makes keyrelay ask at most once a minute, for anybody can name one. In that minute another unknown key is answered
//! with "cannot be told now" and not with "no": a 401 is final for Event Grid, and it might be Event Grid's new key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use keyrelay_azure::{Deadline, SigningKeys};
use tokio::time::Instant;

use crate::outcome::chain;

/// After what time the keys are fetched again although nobody asked for others.
const FRESH: Duration = Duration::from_hours(24);

/// How long keys are believed that could not be fetched again.
const BELIEVED: Duration = Duration::from_hours(72);

/// How long nothing is fetched after an unknown key was asked for.
const UNKNOWN_PAUSE: Duration = Duration::from_mins(1);

/// How long nothing is fetched after that has failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);

/// How long it may take. A delivery waits for it.
const FETCH_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Keys {
    source: SigningKeys,
    /// Held by the one that fetches.
    renewal: tokio::sync::Mutex<()>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    keys: HashMap<String, Arc<DecodingKey>>,
    fetched: Option<Instant>,
    /// When somebody asked for a key that was not there, and the keys were fetched for it.
    missed: Option<Instant>,
    /// When fetching failed last, and why.
    failed: Option<(Instant, String)>,
}

/// Why there is no key of this name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// Entra has none.
    Unknown,
    /// It is not known whether Entra has one.
    NotNow(String),
}

impl Keys {
    pub(super) fn new(source: SigningKeys) -> Self {
        Self {
            source,
            renewal: tokio::sync::Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// The key of this name.
    pub(super) async fn key(&self, id: &str) -> Result<Arc<DecodingKey>, NoKey> {
        let asked = Instant::now();
        if let Some(key) = self.held().key(id, FRESH) {
            return Ok(key);
        }
        let deadline = Deadline::after(FETCH_WITHIN);
        let Some(_renewal) = deadline.bound(self.renewal.lock()).await else {
            return self.held().answer(id, asked);
        };
        let is_due = self.held().is_due(id, asked);
        if is_due {
            self.fetch(deadline).await;
        }
        self.held().answer(id, asked)
    }

    async fn fetch(&self, deadline: Deadline) {
        let fetched = self.source.fetch(deadline).await;
        let now = Instant::now();
        let mut held = self.held();
        match fetched {
            Ok(keys) => {
                // One that cannot be read is as good as one that is not there.
                let read = keys.into_iter().filter_map(|key| {
                    let read =
                        DecodingKey::from_rsa_components(&key.modulus, &key.exponent).ok()?;
                    Some((key.id, Arc::new(read)))
                });
                held.keys = read.collect();
                (held.fetched, held.failed) = (Some(now), None);
            }
            Err(error) => {
                let message = chain(&error);
                tracing::warn!("{message}");
                held.failed = Some((now, message));
                // Entra was not really asked for it.
                held.missed = None;
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn key(&self, id: &str, not_older_than: Duration) -> Option<Arc<DecodingKey>> {
        self.fetched
            .filter(|fetched| fetched.elapsed() < not_older_than)?;
        self.keys.get(id).cloned()
    }

    /// Whether the keys are to be fetched for this one. Somebody else may have done so since it was asked for.
    fn is_due(&mut self, id: &str, asked: Instant) -> bool {
        if self.key(id, FRESH).is_some() || self.fetched.is_some_and(|fetched| fetched > asked) {
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
            .is_none_or(|fetched| fetched.elapsed() >= FRESH)
        {
            return true;
        }
        if self
            .missed
            .is_some_and(|missed| missed.elapsed() < UNKNOWN_PAUSE)
        {
            return false;
        }
        self.missed = Some(Instant::now());
        true
    }

    fn answer(&self, id: &str, asked: Instant) -> Result<Arc<DecodingKey>, NoKey> {
        match (self.key(id, BELIEVED), self.fetched, &self.failed) {
            (Some(key), ..) => Ok(key),
            (None, _, Some((_, reason))) => Err(NoKey::NotNow(reason.clone())),
            (None, Some(fetched), None) if fetched > asked => Err(NoKey::Unknown),
            (None, ..) => Err(NoKey::NotNow(
                "its key is not known, and Entra was asked for new keys just now".into(),
            )),
        }
    }
}
