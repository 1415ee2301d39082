//! One policy's file, and what was made of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use keyrelay_sandbox::{LoadError, Loaded, Policy};
use tokio::sync::OnceCell;

use super::Shelf;
use crate::outcome::chain;

/// A file with its policy, or the reason why there is none.
#[derive(Debug)]
pub(super) struct Place {
    file: PathBuf,
    /// What the file looked like when it was looked at last.
    seen: Mutex<Signature>,
    policy: OnceCell<Result<Arc<Policy>, String>>,
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
        let Ok(metadata) = fs::metadata(file) else { return Self { length: 0, modified: None, identity: None } };
        Self { length: metadata.len(), modified: metadata.modified().ok(), identity: identity(&metadata) }
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
        Self { file, seen: Mutex::new(seen), policy: OnceCell::new() }
    }

    /// The policy, compiled if it was not yet.
    pub(super) async fn policy(&self, shelf: &Shelf, name: &str) -> Result<Arc<Policy>, String> {
        self.policy.get_or_init(|| self.load(shelf, name)).await.clone()
    }

    /// Whether there is a policy, compiled.
    pub(super) fn is_good(&self) -> bool {
        self.policy.get().is_some_and(Result::is_ok)
    }

    pub(super) fn was_seen_as(&self, signature: &Signature) -> bool {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == *signature
    }

    /// Notes what the file looks like now, so that it is not tried again before it changes again.
    pub(super) fn see(&self, signature: Signature) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = signature;
    }

    async fn load(&self, shelf: &Shelf, name: &str) -> Result<Arc<Policy>, String> {
        match self.compile(shelf, name).await {
            Ok(policy) => {
                let about = policy.about();
                tracing::info!(
                    policy.name = name,
                    policy.digest = %policy.digest(),
                    policy.version = about.version,
                    policy.summary = about.summary,
                    "policy loaded"
                );
                Ok(Arc::new(policy))
            }
            Err(reason) => {
                tracing::error!(policy.name = name, policy.file = %self.file.display(), "policy quarantined: {reason}");
                Err(reason)
            }
        }
    }

    async fn compile(&self, shelf: &Shelf, name: &str) -> Result<Policy, String> {
        let words = |error: LoadError| chain(&error);
        let Some(lock) = &shelf.lock else { return shelf.sandbox.load_file(&self.file).await.map_err(words) };
        let locked = lock.get(name).ok_or(
            "`policies.lock` does not name it: if it is meant to run, write the lock again with `keyrelay lock`",
        )?;
        let Loaded { policy, not_used } = shelf.sandbox.load_locked(&self.file, *locked).await.map_err(words)?;
        if let Some(reason) = not_used {
            tracing::warn!(policy.name = name, "policy compiled again: {reason}");
        }
        Ok(policy)
    }
}
