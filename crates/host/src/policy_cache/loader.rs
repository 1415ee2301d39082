//! Loads a policy from its file.

use std::path::Path;

use keyrelay_model::error_chain;
use keyrelay_sandbox::{AppSandbox, LoadError, Loaded, Lock, Policy};

/// The sandbox, and the files that may run in it.
#[derive(Debug)]
pub(super) struct Loader {
    pub(super) sandbox: AppSandbox,
    /// The files that may run. None: all.
    pub(super) lock: Option<Lock>,
}

/// The origin of a policy's machine code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This process compiled it.
    Compiled,
    /// A precompiled file that `policies.lock` vouches for.
    Precompiled,
}

impl Loader {
    /// Loads a policy. The error is the reason, with the fix.
    pub(super) async fn load(&self, name: &str, file: &Path) -> Result<(Policy, Origin), String> {
        let reason = |error: LoadError| error_chain(&error);
        let Some(lock) = &self.lock else {
            let policy = self.sandbox.load_file(file).await.map_err(reason)?;
            return Ok((policy, Origin::Compiled));
        };
        let locked = lock.get(name).ok_or(
            "`policies.lock` does not name it: if it is meant to run, write the lock again with \
             `keyrelay lock`",
        )?;
        let loaded = self.sandbox.load_locked(file, *locked).await;
        let Loaded {
            policy,
            was_precompiled,
            not_used,
        } = loaded.map_err(reason)?;
        if let Some(reason) = not_used {
            tracing::warn!(policy.name = name, "policy compiled again: {reason}");
        }
        let origin = match was_precompiled {
            true => Origin::Precompiled,
            false => Origin::Compiled,
        };
        Ok((policy, origin))
    }
}
