//! The sandbox: the engines and the ticker that all policies share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;

use crate::binary;
use crate::bindings::PolicyPre;
use crate::digest::Digest;
use crate::engine::Compilers;
use crate::error::{LoadError, SandboxError};
use crate::files::{LARGEST_FILE, read_policy};
use crate::lock::Locked;
use crate::policy::Policy;
use crate::precompile;
use crate::precompiled::{LockedCode, NotUsed, precompiled_file};
use crate::store_data::StoreData;
use crate::ticker::Ticker;

/// Loads policies and runs them. Clones share one state, and a process needs only one sandbox.
#[derive(Clone)]
pub struct Sandbox(Arc<SandboxState>);

struct SandboxState {
    ticker: Arc<Ticker>,
    compilers: Compilers,
    /// One for each processor: compiling is bound by processor time, and takes much memory.
    permits: Semaphore,
}

/// A policy that was compared with its entry in the lock.
#[derive(Debug)]
pub struct Checked {
    /// The policy, compiled from its `.wasm`.
    pub policy: Policy,
    /// Whether there is a precompiled form, which is locked and is what the `.wasm` compiles to.
    pub is_precompiled: bool,
    /// The reason why the precompiled form is not used, if there is one.
    pub not_used: Option<NotUsed>,
}

/// A compiled and linked policy file.
struct Compiled {
    digest: Digest,
    linked: PolicyPre<StoreData>,
}

impl Sandbox {
    /// Sets up the engine.
    pub fn new() -> Result<Self, SandboxError> {
        let compilers =
            Compilers::new().map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let ticker = Ticker::start(compilers.engines()).map_err(SandboxError::Ticker)?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self(Arc::new(SandboxState {
            ticker: Arc::new(ticker),
            compilers,
            permits: Semaphore::new(processors),
        })))
    }

    /// Compiles a policy and calls its `describe`. This takes about 20 ms for a policy in Rust, and
    /// seconds for one that contains an interpreter. It does not block the caller's thread.
    pub async fn load(&self, name: &str, bytes: Vec<u8>) -> Result<Policy, LoadError> {
        self.load_from(name, move || Ok(bytes)).await
    }

    /// Loads a policy from its file. Its name is the file's name without `.wasm`.
    pub async fn load_file(&self, path: &Path) -> Result<Policy, LoadError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let path = path.to_owned();
        self.load_from(&name, move || read_policy(&path)).await
    }

    /// Compiles a policy from its file if the digest is the locked one, and compares the precompiled
    /// form beside it with what the file compiles to. No machine code of the folder is run.
    pub async fn check_locked(&self, path: &Path, locked: Locked) -> Result<Checked, LoadError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let file = path.to_owned();
        let checking = self.work(move |shared| shared.check_locked(&file, locked));
        let (compiled, not_used) = checking.await?;
        Ok(Checked {
            policy: self.describe(&name, compiled).await?,
            is_precompiled: locked.precompiled.is_some() && not_used.is_none(),
            not_used,
        })
    }

    /// Loads a policy from its file if the digest is the locked one, with the locked machine code
    /// beside it if that is in the folder `root`.
    pub(crate) async fn run_locked(
        &self,
        path: &Path,
        locked: Locked,
        root: PathBuf,
    ) -> Result<(Policy, Option<NotUsed>), LoadError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let file = path.to_owned();
        let (compiled, not_used) = self
            .work(move |shared| shared.compile_locked(file, locked, &root))
            .await?;
        Ok((self.describe(&name, compiled).await?, not_used))
    }

    /// Compiles a policy's file ahead of time. The caller writes the result to
    /// [`precompiled_file`], and its digest to the lock. Equal files give equal bytes on every
    /// machine of this architecture.
    pub async fn precompile(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        let path = path.to_owned();
        self.work(move |_| precompile::compile(&read_policy(&path)?))
            .await
    }

    /// The names of the interfaces that a policy's file imports.
    pub fn imports(&self, bytes: &[u8]) -> Result<Vec<String>, LoadError> {
        binary::imports(bytes)
    }

    async fn load_from(
        &self,
        name: &str,
        bytes: impl FnOnce() -> Result<Vec<u8>, LoadError> + Send + 'static,
    ) -> Result<Policy, LoadError> {
        let compiled = self.work(move |shared| shared.compile(&bytes()?)).await?;
        self.describe(name, compiled).await
    }

    async fn describe(&self, name: &str, compiled: Compiled) -> Result<Policy, LoadError> {
        let Compiled { digest, linked } = compiled;
        Policy::describe(Arc::clone(&self.0.ticker), name, digest, linked).await
    }

    /// Runs long work on a blocking thread.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SandboxState) -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        // The semaphore is never closed. An error here would only lift the limit.
        let _permit = self.0.permits.acquire().await;
        let shared = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.map_err(|error| LoadError::Compile(error.to_string()))?
    }
}

/// Reads a policy's file, if its digest is the locked one.
fn read_locked(path: &Path, locked: Locked) -> Result<(Vec<u8>, Digest), LoadError> {
    let bytes = read_policy(path)?;
    let digest = Digest::of(&bytes);
    match digest == locked.digest {
        true => Ok((bytes, digest)),
        false => Err(LoadError::NotLocked { found: digest }),
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

impl SandboxState {
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

    fn check_locked(
        &self,
        path: &Path,
        locked: Locked,
    ) -> Result<(Compiled, Option<NotUsed>), LoadError> {
        let (bytes, _) = read_locked(path, locked)?;
        let beside = precompiled_file(path);
        let not_used = match locked.precompiled {
            Some(digest) => precompile::check(&bytes, &beside, digest)?.err(),
            None => beside.exists().then_some(NotUsed::NotLocked),
        };
        Ok((self.compile(&bytes)?, not_used))
    }

    fn compile_locked(
        &self,
        path: PathBuf,
        locked: Locked,
        root: &Path,
    ) -> Result<(Compiled, Option<NotUsed>), LoadError> {
        let beside = precompiled_file(&path);
        let (bytes, digest) = read_locked(&path, locked)?;
        let not_used = match locked.precompiled.map(|digest_of_code| {
            let is_of_app = beside.canonicalize().is_ok_and(|it| it.starts_with(root));
            if beside.exists() && !is_of_app {
                return Err(NotUsed::OutsideApp);
            }
            self.load_precompiled(&bytes, digest, beside.clone(), digest_of_code)
        }) {
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
            None => beside.exists().then_some(NotUsed::NotLocked),
        };
        Ok((self.compile(&bytes)?, not_used))
    }

    fn load_precompiled(
        &self,
        bytes: &[u8],
        digest: Digest,
        file: PathBuf,
        locked: Digest,
    ) -> Result<Result<PolicyPre<StoreData>, LoadError>, NotUsed> {
        let file = read_policy(&file).map_err(|error| NotUsed::Unreadable(error.to_string()))?;
        self.compilers
            .deserialize(bytes, &LockedCode::check(digest, &file, locked)?)
    }
}
