//! The sandbox itself: what all policies share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;

use crate::binary;
use crate::bindings::PolicyPre;
use crate::cell::Cell;
use crate::digest::Digest;
use crate::engine::Compilers;
use crate::error::{LoadError, SandboxError};
use crate::files::{LARGEST_FILE, read_policy};
use crate::lock::Locked;
use crate::policy::Policy;
use crate::precompiled::{self, NotUsed, Vouched, precompiled_file};
use crate::ticker::Ticker;

/// Loads policies and runs them. Clones share everything; a process needs one.
#[derive(Clone)]
pub struct Sandbox(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) ticker: Ticker,
    compilers: Compilers,
    /// Compiling takes all processors and much memory: as many at once as there are processors, whoever asks.
    permits: Semaphore,
}

/// A policy that was loaded by its lock.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// Whether its precompiled form was taken: then it is loaded again in no time.
    pub was_precompiled: bool,
    /// Why it was compiled again, if it was although there is a precompiled form.
    pub not_used: Option<NotUsed>,
}

/// A policy's file, compiled.
pub(crate) struct Compiled {
    pub(crate) digest: Digest,
    pub(crate) linked: PolicyPre<Cell>,
}

impl Sandbox {
    /// Sets up the engine.
    pub fn new() -> Result<Self, SandboxError> {
        let compilers =
            Compilers::new().map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let ticker = Ticker::start(compilers.engines()).map_err(SandboxError::Ticker)?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self(Arc::new(Shared {
            ticker,
            compilers,
            permits: Semaphore::new(processors),
        })))
    }

    /// Compiles a policy and asks what it is. Takes some 20 ms for a policy in Rust, seconds for one in a language that
    /// brings its interpreter along; meanwhile the caller's thread is free.
    pub async fn load(&self, name: &str, bytes: Vec<u8>) -> Result<Policy, LoadError> {
        self.load_from(name, move || Ok(bytes)).await
    }

    /// Loads a policy from its file; its name is the file's, without `.wasm`.
    pub async fn load_file(&self, path: &Path) -> Result<Policy, LoadError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let path = path.to_owned();
        self.load_from(&name, move || read_policy(&path)).await
    }

    /// Loads a policy from its file if the lock vouches for it, and takes the precompiled form beside it if the lock
    /// vouches for that, too.
    pub async fn load_locked(&self, path: &Path, locked: Locked) -> Result<Loaded, LoadError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let file = path.to_owned();
        let (compiled, not_used) = self
            .work(move |shared| shared.compile_locked(file, locked))
            .await?;
        let policy = Policy::describe(Arc::clone(&self.0), &name, compiled).await?;
        Ok(Loaded {
            policy,
            was_precompiled: locked.precompiled.is_some() && not_used.is_none(),
            not_used,
        })
    }

    /// Compiles a policy's file ahead. What is returned belongs into [`precompiled_file`], and its digest into the lock.
    /// The same file gives the same bytes on every machine with this kind of processor.
    pub async fn precompile(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        let path = path.to_owned();
        self.work(move |_| {
            let bytes = read_policy(&path)?;
            Ok(precompiled::wrap(
                Digest::of(&bytes),
                &Compilers::precompile(&bytes)?,
            ))
        })
        .await
    }

    /// What a policy's file imports, by the names of the interfaces.
    pub fn imports(&self, bytes: &[u8]) -> Result<Vec<String>, LoadError> {
        binary::imports(bytes)
    }

    async fn load_from(
        &self,
        name: &str,
        bytes: impl FnOnce() -> Result<Vec<u8>, LoadError> + Send + 'static,
    ) -> Result<Policy, LoadError> {
        let compiled = self.work(move |shared| shared.compile(&bytes()?)).await?;
        Policy::describe(Arc::clone(&self.0), name, compiled).await
    }

    /// Does what takes long on a thread of its own.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        // The semaphore is never closed; without a permit it would only be slower.
        let _permit = self.0.permits.acquire().await;
        let shared = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.map_err(|error| LoadError::Compile(error.to_string()))?
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

impl Shared {
    fn compile(&self, bytes: &[u8]) -> Result<Compiled, LoadError> {
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(LoadError::TooLarge {
                limit: LARGEST_FILE,
            });
        }
        let linked = self.compilers.compile(bytes)?;
        Ok(Compiled {
            digest: Digest::of(bytes),
            linked,
        })
    }

    fn compile_locked(
        &self,
        path: PathBuf,
        locked: Locked,
    ) -> Result<(Compiled, Option<NotUsed>), LoadError> {
        let beside = precompiled_file(&path);
        let bytes = read_policy(&path)?;
        let digest = Digest::of(&bytes);
        if digest != locked.digest {
            return Err(LoadError::NotLocked { found: digest });
        }
        let not_used = match locked
            .precompiled
            .map(|vouched| self.revive(&bytes, digest, beside.clone(), vouched))
        {
            Some(Ok(linked)) => {
                return Ok((
                    Compiled {
                        digest,
                        linked: linked?,
                    },
                    None,
                ));
            }
            Some(Err(not_used)) => Some(not_used),
            None => beside.exists().then_some(NotUsed::NotVouched),
        };
        Ok((self.compile(&bytes)?, not_used))
    }

    fn revive(
        &self,
        bytes: &[u8],
        digest: Digest,
        file: PathBuf,
        vouched: Digest,
    ) -> Result<Result<PolicyPre<Cell>, LoadError>, NotUsed> {
        let file = read_policy(&file).map_err(|error| NotUsed::Unreadable(error.to_string()))?;
        self.compilers
            .revive(bytes, &Vouched::check(digest, &file, vouched)?)
    }
}
