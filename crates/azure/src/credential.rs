//! Tokens: where they come from, and how long they are kept.

mod source;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use azure_core::credentials::{AccessToken, Secret, TokenCredential};
use azure_core::time::OffsetDateTime;
use keyrelay_model::Retryability;
use tokio::time::Instant;

use crate::call::Deadline;
use crate::http::Http;
use source::Source;

/// Whose rights keyrelay uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The managed identity of the app that keyrelay runs in.
    Managed {
        /// The client id of a user-assigned identity. None: the system-assigned one.
        client_id: Option<String>,
    },
    /// The workload identity of a pod in Kubernetes, whose token stands for an identity of Entra.
    Workload {
        /// The client id of that identity. None: what the pod's environment says.
        client_id: Option<String>,
        /// The file in which Kubernetes keeps the pod's token fresh.
        token_file: PathBuf,
    },
    /// Whoever is logged in to the Azure CLI, or to the Azure Developer CLI.
    Developer,
}

/// Gets tokens, and keeps one for each audience.
///
/// A token is renewed before it expires. Of many callers one makes the request; while the old token is good the others
/// go on with it, and so do all if the renewal fails.
pub struct Credential {
    source: Source,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
}

/// Why there is no token for an audience.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no token for {audience}: {reason}")]
pub struct TokenError {
    audience: String,
    reason: String,
    retryability: Retryability,
}

/// A token, as it is sent.
#[derive(Clone)]
pub struct Token {
    bearer: Secret,
    /// When it is renewed.
    due: Instant,
    expires: Instant,
}

/// What is held for one audience.
#[derive(Default)]
struct Entry {
    /// Held by the one that makes the request.
    renewal: tokio::sync::Mutex<()>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    /// The last request's failure and when it was known: the answer for all who were waiting for that request.
    failure: Option<(Instant, TokenError)>,
}

/// How long a request for a token may take. The Azure CLI needs a second or two.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// How long a renewal may take while the old token is good: somebody waits for it who need not.
const RENEWAL_LIMIT: Duration = Duration::from_secs(3);

/// How long before its end a token is renewed: what Microsoft's own libraries take. App Service hands out the same
/// token until then, so earlier would be in vain.
const RENEWED_BEFORE: Duration = Duration::from_secs(300);

/// How long a failed renewal is left alone while the old token is good.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

impl Credential {
    /// The credential of an identity. Nothing is asked yet. A managed identity is reached through `http`.
    pub fn new(identity: Identity, http: &Http) -> Self {
        Self::of(Source::of(identity, http))
    }

    /// Tokens from elsewhere: any other credential of `azure_identity`.
    pub fn from_source(source: Arc<dyn TokenCredential>) -> Self {
        Self::of(Source::Given(source))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            entries: Mutex::default(),
        }
    }

    /// A token for an audience (`https://vault.azure.net`): the one that is held while it is good.
    pub async fn token(&self, audience: &str, deadline: Deadline) -> Result<Token, TokenError> {
        let entry = self.entry(audience);
        let asked = Instant::now();
        match entry.good_token(asked) {
            Some(token) if token.due > asked => Ok(token),
            Some(token) => {
                let Ok(_renewal) = entry.renewal.try_lock() else {
                    return Ok(token);
                };
                // Somebody may have renewed it between the look and the lock.
                if let Some(newer) = entry.good_token(asked).filter(|newer| newer.due > asked) {
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
                match entry.outcome_since(asked) {
                    Some(outcome) => outcome,
                    None => self.renew(audience, &entry, deadline, REQUEST_LIMIT).await,
                }
            }
        }
    }

    /// Drops a token that a service refused, so that the next call fetches another. Somebody else may have done so, and
    /// the next token may be there already: that one stays.
    pub fn refused(&self, audience: &str, token: &Token) {
        let entry = self.entry(audience);
        let mut held = entry.held();
        if held
            .token
            .as_ref()
            .is_some_and(|own| own.bearer == token.bearer)
        {
            held.token = None;
        }
    }

    /// Fetches a token and holds it. The caller has the entry's `renewal`.
    async fn renew(
        &self,
        audience: &str,
        entry: &Entry,
        deadline: Deadline,
        limit: Duration,
    ) -> Result<Token, TokenError> {
        let limit = deadline.min(Deadline::after(limit));
        let fetched = match limit.bound(self.source.fetch(audience)).await {
            Some(fetched) => fetched,
            None => Err(TokenError::late(audience)),
        };
        let now = Instant::now();
        let mut held = entry.held();
        match fetched {
            Ok(fetched) => {
                let token = Token::new(fetched, now);
                *held = Held {
                    token: Some(token.clone()),
                    failure: None,
                };
                Ok(token)
            }
            Err(error) => {
                if let Some(token) = &mut held.token {
                    token.due = now + RENEWAL_PAUSE;
                }
                held.failure = Some((now, error.clone()));
                Err(error)
            }
        }
    }

    fn entry(&self, audience: &str) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(audience.to_owned()).or_default().clone()
    }
}

impl Entry {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn good_token(&self, now: Instant) -> Option<Token> {
        self.held()
            .token
            .clone()
            .filter(|token| token.expires > now)
    }

    /// What came of a request that was under way at `asked`, or began later.
    fn outcome_since(&self, asked: Instant) -> Option<Result<Token, TokenError>> {
        if let Some(token) = self.good_token(Instant::now()) {
            return Some(Ok(token));
        }
        let failure = self.held().failure.clone();
        failure
            .filter(|(known, _)| *known > asked)
            .map(|(_, error)| Err(error))
    }
}

impl Token {
    /// Takes the end of a token from the wall clock to the one that is never set: from here on it decides.
    fn new(token: AccessToken, now: Instant) -> Self {
        let left =
            Duration::try_from(token.expires_on - OffsetDateTime::now_utc()).unwrap_or_default();
        // A token that lives for minutes only is renewed half-way.
        let renewed_before = RENEWED_BEFORE.min(left / 2);
        Self {
            bearer: token.token,
            due: now + (left - renewed_before),
            expires: now + left,
        }
    }

    /// The token itself, for the one header it belongs in.
    pub fn expose(&self) -> &str {
        self.bearer.secret()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([hidden])")
    }
}

impl TokenError {
    /// Whether it may be gone later.
    pub fn retryability(&self) -> Retryability {
        self.retryability
    }

    fn late(audience: &str) -> Self {
        let reason = "it did not come in time".to_owned();
        Self {
            audience: audience.to_owned(),
            reason,
            retryability: Retryability::Transient,
        }
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
