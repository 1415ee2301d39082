//! One policy's file, and what was made of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use keyrelay_sandbox::{LoadError, Loaded, Policy};

use super::Shelf;
use crate::outcome::chain;

/// A file with its policy, or the reason why there is none.
#[derive(Debug)]
pub(super) struct Place {
    file: PathBuf,
    /// What the file looked like when it was looked at last.
    seen: Mutex<Signature>,
    /// What came of loading it, once that was tried.
    held: Mutex<Option<Result<Held, String>>>,
    /// Held while it is loaded: others wait for what comes of it.
    loading: tokio::sync::Mutex<()>,
}

/// How a policy is kept.
#[derive(Debug)]
enum Held {
    /// Compiling it again would take long.
    Kept(Arc<Policy>),
    /// It was precompiled. It is there while somebody uses it, and loaded again when somebody wants to.
    Precompiled(Weak<Policy>),
}

/// Whether a policy is loaded for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    First,
    Again,
}

/// What tells one content of a file from another without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    length: u64,
    modified: Option<SystemTime>,
    /// The file itself and when it was changed last, which a copy that keeps times does not preserve.
    identity: Option<(u64, i64, i64)>,
}

impl Signature {
    /// A file that is not there, or cannot be looked at, has none of it.
    pub(super) fn of(file: &Path) -> Self {
        let Ok(metadata) = fs::metadata(file) else {
            return Self {
                length: 0,
                modified: None,
                identity: None,
            };
        };
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            identity: identity(&metadata),
        }
    }
}

#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> Option<(u64, i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn identity(_: &fs::Metadata) -> Option<(u64, i64, i64)> {
    None
}

impl Place {
    pub(super) fn new(seen: Signature, file: PathBuf) -> Self {
        Self {
            file,
            seen: Mutex::new(seen),
            held: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        }
    }

    /// The policy, compiled if it was not yet.
    pub(super) async fn policy(&self, shelf: &Shelf, name: &str) -> Result<Arc<Policy>, String> {
        if let Some(ended) = self.at_hand() {
            return ended;
        }
        let _loading = self.loading.lock().await;
        if let Some(ended) = self.at_hand() {
            return ended;
        }
        let time = if self.held().is_none() {
            Time::First
        } else {
            Time::Again
        };
        let loaded = self.load(shelf, name, time).await;
        let (policy, held) = match loaded {
            Ok((policy, true)) => (
                Ok(Arc::clone(&policy)),
                Ok(Held::Precompiled(Arc::downgrade(&policy))),
            ),
            Ok((policy, false)) => (Ok(Arc::clone(&policy)), Ok(Held::Kept(policy))),
            // It was there before, and may be again.
            Err(reason) if time == Time::Again => return Err(reason),
            Err(reason) => (Err(reason.clone()), Err(reason)),
        };
        *self.held() = Some(held);
        policy
    }

    /// The policy, or the reason why there is none, if nothing has to be done for it.
    fn at_hand(&self) -> Option<Result<Arc<Policy>, String>> {
        match self.held().as_ref()? {
            Ok(Held::Kept(policy)) => Some(Ok(Arc::clone(policy))),
            Ok(Held::Precompiled(policy)) => policy.upgrade().map(Ok),
            Err(reason) => Some(Err(reason.clone())),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Result<Held, String>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a policy, compiled.
    pub(super) fn is_good(&self) -> bool {
        matches!(*self.held(), Some(Ok(_)))
    }

    /// Whether it was loaded, and is none.
    pub(super) fn is_quarantined(&self) -> bool {
        matches!(*self.held(), Some(Err(_)))
    }

    /// Whether there is a policy that is only there while somebody has it.
    pub(super) fn is_precompiled(&self) -> bool {
        matches!(*self.held(), Some(Ok(Held::Precompiled(_))))
    }

    pub(super) fn was_seen_as(&self, signature: &Signature) -> bool {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == *signature
    }

    /// Notes what the file looks like now, so that it is not tried again before it changes again.
    pub(super) fn see(&self, signature: Signature) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = signature;
    }

    /// Loads the policy; true if it was precompiled.
    async fn load(
        &self,
        shelf: &Shelf,
        name: &str,
        time: Time,
    ) -> Result<(Arc<Policy>, bool), String> {
        match self.compile(shelf, name).await {
            Ok((policy, was_precompiled)) => {
                if time == Time::First {
                    let about = policy.about();
                    tracing::info!(
                        policy.name = name,
                        policy.digest = %policy.digest(),
                        policy.version = about.version,
                        policy.summary = about.summary,
                        "policy loaded"
                    );
                    warn_of_namesakes(shelf, name);
                }
                Ok((Arc::new(policy), was_precompiled))
            }
            Err(reason) => {
                tracing::error!(policy.name = name, policy.file = %self.file.display(), "policy quarantined: {reason}");
                Err(reason)
            }
        }
    }

    async fn compile(&self, shelf: &Shelf, name: &str) -> Result<(Policy, bool), String> {
        let words = |error: LoadError| chain(&error);
        let Some(lock) = &shelf.lock else {
            return Ok((
                shelf.sandbox.load_file(&self.file).await.map_err(words)?,
                false,
            ));
        };
        let locked = lock.get(name).ok_or(
            "`policies.lock` does not name it: if it is meant to run, write the lock again with `keyrelay lock`",
        )?;
        let loaded = shelf
            .sandbox
            .load_locked(&self.file, *locked)
            .await
            .map_err(words)?;
        let Loaded {
            policy,
            was_precompiled,
            not_used,
        } = loaded;
        if let Some(reason) = not_used {
            tracing::warn!(policy.name = name, "policy compiled again: {reason}");
        }
        Ok((policy, was_precompiled))
    }
}

/// Secrets do not tell capital letters from small ones; files do.
fn warn_of_namesakes(shelf: &Shelf, name: &str) {
    for other in shelf
        .names()
        .iter()
        .filter(|other| *other != name && other.eq_ignore_ascii_case(name))
    {
        tracing::warn!(
            policy.name = name,
            "`{name}.wasm` and `{other}.wasm` are for the same secrets, and only one of them is asked: remove the other"
        );
    }
}
