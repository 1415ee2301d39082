//! An entry of the policy cache: a file, and the policy or the error that it loaded as.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use keyrelay_sandbox::Policy;

use super::loader::{Loader, Origin};

/// A file, and the policy or the error that it loaded as.
#[derive(Debug)]
pub(super) struct Entry {
    file: PathBuf,
    /// The signature of the file when it was last scanned.
    signature: Mutex<Signature>,
    /// The result of the last load.
    state: Mutex<Option<Result<Cached, String>>>,
    /// Held while the policy is loaded: concurrent callers wait for the result.
    loading: tokio::sync::Mutex<()>,
}

/// A loaded policy.
#[derive(Debug)]
enum Cached {
    /// Kept, because it would take long to compile it again.
    Compiled(Arc<Policy>),
    /// Kept by its users, and loaded again when it is needed.
    Precompiled(Weak<Policy>),
}

/// A signature of a file's content that needs no read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    length: u64,
    modified: Option<SystemTime>,
    /// The inode and its change time, which a copy with preserved times does not preserve.
    identity: Option<(u64, i64, i64)>,
}

impl Signature {
    /// The signature of a file. Files that are missing or unreadable have the same one.
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

impl Entry {
    pub(super) fn new(signature: Signature, file: PathBuf) -> Self {
        Self {
            file,
            signature: Mutex::new(signature),
            state: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the policy, and loads it if it is not cached. The error is the reason of the
    /// quarantine.
    ///
    /// `namesakes` are the other policies whose names differ in case only.
    pub(super) async fn policy(
        &self,
        loader: &Loader,
        name: &str,
        namesakes: impl Fn() -> Vec<String>,
    ) -> Result<Arc<Policy>, String> {
        if let Some(cached) = self.cached() {
            return cached;
        }
        let _loading = self.loading.lock().await;
        if let Some(cached) = self.cached() {
            return cached;
        }
        let is_first = self.state().is_none();
        let (policy, origin) = match loader.load(name, &self.file).await {
            Ok((policy, origin)) => (Arc::new(policy), origin),
            Err(reason) => {
                let file = self.file.display();
                tracing::error!(policy.name = name, policy.file = %file, "policy quarantined: {reason}");
                // A policy that was loaded before is tried again the next time.
                if is_first {
                    *self.state() = Some(Err(reason.clone()));
                }
                return Err(reason);
            }
        };
        if is_first {
            log_loaded(&policy, name, namesakes());
        }
        let cached = match origin {
            Origin::Compiled => Cached::Compiled(Arc::clone(&policy)),
            Origin::Precompiled => Cached::Precompiled(Arc::downgrade(&policy)),
        };
        *self.state() = Some(Ok(cached));
        Ok(policy)
    }

    /// The policy or the error, if nothing has to be loaded.
    fn cached(&self) -> Option<Result<Arc<Policy>, String>> {
        match self.state().as_ref()? {
            Ok(Cached::Compiled(policy)) => Some(Ok(Arc::clone(policy))),
            Ok(Cached::Precompiled(policy)) => policy.upgrade().map(Ok),
            Err(reason) => Some(Err(reason.clone())),
        }
    }

    fn state(&self) -> MutexGuard<'_, Option<Result<Cached, String>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the policy was loaded.
    pub(super) fn is_usable(&self) -> bool {
        matches!(*self.state(), Some(Ok(_)))
    }

    /// Whether the file did not load.
    pub(super) fn is_quarantined(&self) -> bool {
        matches!(*self.state(), Some(Err(_)))
    }

    /// Whether the policy was loaded from a precompiled file.
    pub(super) fn is_precompiled(&self) -> bool {
        matches!(*self.state(), Some(Ok(Cached::Precompiled(_))))
    }

    pub(super) fn has_signature(&self, signature: &Signature) -> bool {
        *self.signature() == *signature
    }

    /// Notes a new signature without loading the file: it is not tried again until it changes.
    pub(super) fn set_signature(&self, signature: Signature) {
        *self.signature() = signature;
    }

    fn signature(&self) -> MutexGuard<'_, Signature> {
        self.signature
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs a policy, and warns of files for the same secrets: secrets ignore case, file names do not.
fn log_loaded(policy: &Policy, name: &str, namesakes: Vec<String>) {
    let about = policy.about();
    tracing::info!(
        policy.name = name,
        policy.digest = %policy.digest(),
        policy.version = about.version,
        policy.summary = about.summary,
        "policy loaded"
    );
    for other in namesakes {
        tracing::warn!(
            policy.name = name,
            "`{name}.wasm` and `{other}.wasm` are for the same secrets, and only one of them is \
             used: remove the other"
        );
    }
}
