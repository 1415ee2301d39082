//! A policy of the function app.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyrelay_sandbox::{Digest, Lock, Policy, precompiled_file};

/// A policy of the function app, with its entry in the lock.
#[derive(Debug)]
pub(crate) struct InstalledPolicy {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) digest: Option<Digest>,
    /// The size of the file.
    pub(crate) bytes: Option<u64>,
    pub(crate) compiled: CompiledPolicy,
    pub(crate) locked: LockState,
    /// Whether there is a precompiled file beside it.
    pub(crate) is_precompiled: bool,
}

/// A policy, compiled or not.
#[derive(Debug, Clone)]
pub(crate) enum CompiledPolicy {
    Policy(Arc<Policy>),
    /// It is being compiled.
    Soon,
    /// The file is no policy, for this reason.
    Invalid(String),
}

/// The entry of a policy in the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockState {
    /// There is no lock, or it does not apply.
    NoLock,
    /// Its digest is the locked one.
    Locked,
    /// The lock does not name it.
    NotNamed,
    /// Its digest is not the locked one.
    Changed,
}

impl InstalledPolicy {
    pub(super) fn new(
        name: String,
        path: &Path,
        digest: Option<Digest>,
        compiled: CompiledPolicy,
        lock: Option<&Lock>,
    ) -> Self {
        let entry = lock.map(|lock| lock.get(&name).map(|entry| entry.digest));
        let locked = match entry {
            None => LockState::NoLock,
            Some(None) => LockState::NotNamed,
            Some(entry) if entry == digest => LockState::Locked,
            Some(_) => LockState::Changed,
        };
        Self {
            name,
            path: path.to_owned(),
            digest,
            bytes: path.metadata().map(|metadata| metadata.len()).ok(),
            compiled,
            locked,
            is_precompiled: precompiled_file(path).is_file(),
        }
    }

    /// The reason why keyrelay-host would not run it. None: it would.
    pub(crate) fn quarantined(&self) -> Option<String> {
        match (&self.compiled, self.locked) {
            (CompiledPolicy::Invalid(reason), _) => Some(reason.clone()),
            (_, LockState::NotNamed) => Some("policies.lock does not name it".to_owned()),
            (_, LockState::Changed) => {
                Some("its digest is not the one in policies.lock".to_owned())
            }
            (
                CompiledPolicy::Policy(_) | CompiledPolicy::Soon,
                LockState::NoLock | LockState::Locked,
            ) => None,
        }
    }
}
