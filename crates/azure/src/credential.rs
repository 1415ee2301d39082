//! The cache of access tokens.

mod source;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use tokio::time::Instant;

use crate::call::Deadline;
use crate::http::Http;
use crate::identity::Identity;
use crate::retry::TOKEN_LIMIT;
use crate::token::{Token, TokenError};
use source::TokenSource;

/// Fetches tokens and caches one per audience.
///
/// A token is renewed before it expires. Concurrent callers share one request (single flight).
/// While the old token is valid, the other callers use it, and all of them do if the renewal fails.
pub struct Credential {
    source: TokenSource,
    entries: Mutex<HashMap<String, Arc<TokenEntry>>>,
}

/// The cache entry of one audience.
#[derive(Default)]
struct TokenEntry {
    /// Locked by the caller that makes the request.
    renewal: tokio::sync::Mutex<()>,
    cached: Mutex<CachedToken>,
}

#[derive(Default)]
struct CachedToken {
    token: Option<Token>,
    /// The failure of the last request with its time, for the callers that waited for that request.
    failure: Option<(Instant, TokenError)>,
}

/// The time limit of a renewal while the old token is valid, because the caller waiting for it
/// could use that token.
const RENEWAL_LIMIT: Duration = Duration::from_secs(3);

/// The pause after a failed renewal while the old token is valid.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

impl Credential {
    /// Creates the credential of an identity without fetching a token. Requests to the identity
    /// endpoint use `http`.
    pub fn new(identity: Identity, http: &Http) -> Self {
        Self::of(TokenSource::of(identity, http))
    }

    /// Creates a credential from any other credential of `azure_identity`.
    pub fn from_source(source: Arc<dyn TokenCredential>) -> Self {
        Self::of(TokenSource::Custom(source))
    }

    fn of(source: TokenSource) -> Self {
        Self {
            source,
            entries: Mutex::default(),
        }
    }

    /// Returns a token for an audience (`https://vault.azure.net`), from the cache while it is
    /// valid.
    pub async fn token(&self, audience: &str, deadline: Deadline) -> Result<Token, TokenError> {
        let entry = self.entry(audience);
        let now = Instant::now();
        match entry.valid_token(now) {
            Some(token) if token.due > now => Ok(token),
            Some(token) => {
                let Ok(_renewal) = entry.renewal.try_lock() else {
                    return Ok(token);
                };
                // Another caller may have renewed it before the lock was taken.
                if let Some(newer) = entry.valid_token(now).filter(|newer| newer.due > now) {
                    return Ok(newer);
                }
                Ok(self
                    .renew(audience, &entry, deadline, RENEWAL_LIMIT)
                    .await
                    .unwrap_or(token))
            }
            None => {
                let Some(_renewal) = deadline.bound(entry.renewal.lock()).await else {
                    return Err(TokenError::late(audience));
                };
                match entry.outcome_since(now) {
                    Some(outcome) => outcome,
                    None => self.renew(audience, &entry, deadline, TOKEN_LIMIT).await,
                }
            }
        }
    }

    /// Drops a token that a service rejected, so that the next call fetches another. A newer token
    /// stays cached.
    pub fn rejected(&self, audience: &str, token: &Token) {
        let entry = self.entry(audience);
        let mut cached = entry.cached();
        if cached.token.as_ref().is_some_and(|own| own.is_same(token)) {
            cached.token = None;
        }
    }

    /// Fetches a token and caches it. The caller holds the lock of `renewal`.
    async fn renew(
        &self,
        audience: &str,
        entry: &TokenEntry,
        deadline: Deadline,
        limit: Duration,
    ) -> Result<Token, TokenError> {
        let limit = deadline.min(Deadline::after(limit));
        let fetched = match limit.bound(self.source.fetch(audience)).await {
            Some(fetched) => fetched,
            None => Err(TokenError::late(audience)),
        };
        let now = Instant::now();
        let mut cached = entry.cached();
        match fetched {
            Ok(fetched) => {
                let token = Token::new(fetched, now);
                *cached = CachedToken {
                    token: Some(token.clone()),
                    failure: None,
                };
                Ok(token)
            }
            Err(error) => {
                if let Some(token) = &mut cached.token {
                    token.due = now + RENEWAL_PAUSE;
                }
                cached.failure = Some((now, error.clone()));
                Err(error)
            }
        }
    }

    fn entry(&self, audience: &str) -> Arc<TokenEntry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(audience.to_owned()).or_default().clone()
    }
}

impl TokenEntry {
    fn cached(&self) -> MutexGuard<'_, CachedToken> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn valid_token(&self, now: Instant) -> Option<Token> {
        self.cached()
            .token
            .clone()
            .filter(|token| token.expires > now)
    }

    /// The outcome of a request that was in flight at `since` or began later.
    fn outcome_since(&self, since: Instant) -> Option<Result<Token, TokenError>> {
        if let Some(token) = self.valid_token(Instant::now()) {
            return Some(Ok(token));
        }
        let failure = self.cached().failure.clone();
        failure
            .filter(|(known, _)| *known > since)
            .map(|(_, error)| Err(error))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
