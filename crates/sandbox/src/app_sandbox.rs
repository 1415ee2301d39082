//! The sandbox of a running function app, which may run the machine code of that app.

use std::path::{Path, PathBuf};

use crate::compilation::Compilation;
use crate::error::{LoadError, SandboxError};
use crate::lock::Locked;
use crate::policy::Policy;
use crate::precompiled::NotUsed;
use crate::sandbox::Sandbox;

/// A sandbox that runs precompiled policies of one function app. They are machine code, so only the
/// program that serves this app makes one; a tool that looks at a folder has a [`Sandbox`].
#[derive(Debug, Clone)]
pub struct AppSandbox {
    sandbox: Sandbox,
    root: PathBuf,
}

/// A policy that was loaded under its entry in the lock.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// Whether its precompiled form was used. Loading such a policy again takes next to no time.
    pub was_precompiled: bool,
    /// The reason why its precompiled form was not used, if there is one.
    pub not_used: Option<NotUsed>,
}

impl AppSandbox {
    /// Sets up the engine for the function app in the folder `root`.
    pub fn new(root: &Path, compilation: Compilation) -> Result<Self, SandboxError> {
        let root = root.canonicalize().map_err(|source| SandboxError::Root {
            root: root.to_owned(),
            source,
        })?;
        Ok(Self {
            sandbox: Sandbox::new(compilation)?,
            root,
        })
    }

    /// Loads a policy from its file, and compiles it.
    pub async fn load_file(&self, path: &Path) -> Result<Policy, LoadError> {
        self.sandbox.load_file(path).await
    }

    /// Loads a policy from its file if the digest is the locked one. Uses the precompiled form
    /// beside the file if its digest is locked too, and if it is in the function app.
    pub async fn load_locked(&self, path: &Path, locked: Locked) -> Result<Loaded, LoadError> {
        let (policy, not_used) = self
            .sandbox
            .run_locked(path, locked, self.root.clone())
            .await?;
        Ok(Loaded {
            policy,
            was_precompiled: locked.precompiled.is_some() && not_used.is_none(),
            not_used,
        })
    }
}
