//! The sandbox: the engines and the ticker that all policies share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::binary;
use crate::bindings::PolicyPre;
use crate::compilation::{Compilation, blocking};
use crate::digest::Digest;
use crate::engine::Compilers;
use crate::error::{LoadError, SandboxError};
use crate::files::{LARGEST_FILE, read_policy};
use crate::lock::Locked;
use crate::policy::Policy;
use crate::precompile;
use crate::precompiled::{MachineCode, NotUsed, precompiled_file, wrap};
use crate::store_data::StoreData;
use crate::ticker::Ticker;

/// Loads policies and runs them. Clones share one state, and a process needs only one sandbox.
#[derive(Clone)]
pub struct Sandbox(Arc<SandboxState>);

struct SandboxState {
    ticker: Arc<Ticker>,
    compilers: Compilers,
    compilation: Compilation,
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

/// A policy's file, read.
#[derive(Clone)]
struct PolicyBytes {
    bytes: Bytes,
    digest: Digest,
}

/// A policy's file, with its machine code.
struct Compiled {
    file: PolicyBytes,
    linked: PolicyPre<StoreData>,
}

impl Sandbox {
    /// Sets up the engine.
    pub fn new(compilation: Compilation) -> Result<Self, SandboxError> {
        let compilers =
            Compilers::new().map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let ticker = Ticker::start(compilers.engines()).map_err(SandboxError::Ticker)?;
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self(Arc::new(SandboxState {
            ticker: Arc::new(ticker),
            compilers,
            compilation,
            permits: Semaphore::new(processors),
        })))
    }

    /// Compiles a policy and calls its `describe`. This takes about 20 ms for a policy in Rust, and
    /// seconds for one that contains an interpreter. It does not block the caller's thread.
    pub async fn load(&self, name: &str, bytes: Vec<u8>) -> Result<Policy, LoadError> {
        let file = blocking(move || PolicyBytes::new(bytes)).await?;
        self.load_read(name, file).await
    }

    /// Loads a policy from its file. Its name is the file's name without `.wasm`.
    pub async fn load_file(&self, path: &Path) -> Result<Policy, LoadError> {
        self.load_read(&policy_name(path), read(path).await?).await
    }

    /// Compiles a policy from its file if the digest is the locked one, and compares the precompiled
    /// form beside it with what the file compiles to. No machine code of the folder is run.
    pub async fn check_locked(&self, path: &Path, locked: Locked) -> Result<Checked, LoadError> {
        let file = read_locked(path, locked).await?;
        let code = self.compile(&file).await?;
        let (policy, beside) = (file.digest, precompiled_file(path));
        let check = move || {
            let not_used = match locked.precompiled {
                Some(digest) => precompile::check(policy, &code, &beside, digest).err(),
                None => beside.exists().then_some(NotUsed::NotLocked),
            };
            Ok((code, not_used))
        };
        let (code, not_used) = blocking(check).await?;
        let compiled = self.link(file, code).await?;
        Ok(Checked {
            policy: self.describe(&policy_name(path), compiled).await?,
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
        let file = read_locked(path, locked).await?;
        let (state, of_app, beside) = (Arc::clone(&self.0), file.clone(), precompiled_file(path));
        let precompiled =
            blocking(move || state.link_precompiled(of_app, locked, &beside, &root)).await?;
        let (compiled, not_used) = match precompiled {
            Ok(compiled) => (compiled, None),
            Err(not_used) => {
                let code = self.compile(&file).await?;
                (self.link(file, code).await?, not_used)
            }
        };
        Ok((self.describe(&policy_name(path), compiled).await?, not_used))
    }

    /// Loads a policy from its file. Returns it with the content of its precompiled file, as
    /// [`precompile`](Self::precompile) does.
    pub async fn load_and_precompile(&self, path: &Path) -> Result<(Policy, Vec<u8>), LoadError> {
        let file = read(path).await?;
        let code = self.compile(&file).await?;
        let content = wrap(file.digest, &code);
        let compiled = self.link(file, code).await?;
        Ok((self.describe(&policy_name(path), compiled).await?, content))
    }

    /// Compiles a policy's file ahead of time. The caller writes the result to
    /// [`precompiled_file`], and its digest to the lock. Equal files give equal bytes on every
    /// machine of this architecture.
    pub async fn precompile(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        let file = read(path).await?;
        let code = self.compile(&file).await?;
        Ok(wrap(file.digest, &code))
    }

    /// The names of the interfaces that a policy's file imports.
    pub fn imports(&self, bytes: &[u8]) -> Result<Vec<String>, LoadError> {
        Ok(binary::imports(bytes)?)
    }

    async fn load_read(&self, name: &str, file: PolicyBytes) -> Result<Policy, LoadError> {
        let code = self.compile(&file).await?;
        let compiled = self.link(file, code).await?;
        self.describe(name, compiled).await
    }

    async fn compile(&self, file: &PolicyBytes) -> Result<Vec<u8>, LoadError> {
        // The semaphore is never closed. An error here would only lift the limit.
        let _permit = self.0.permits.acquire().await;
        self.0.compilation.compile(file.bytes.clone()).await
    }

    /// Links machine code that was just compiled.
    async fn link(&self, file: PolicyBytes, code: Vec<u8>) -> Result<Compiled, LoadError> {
        let state = Arc::clone(&self.0);
        let link = move || match state.link(file, &MachineCode::compiled(&code)) {
            Ok(linked) => linked,
            Err(not_used) => Err(LoadError::Compile(not_used.to_string())),
        };
        blocking(link).await
    }

    async fn describe(&self, name: &str, compiled: Compiled) -> Result<Policy, LoadError> {
        let Compiled { file, linked } = compiled;
        Policy::describe(Arc::clone(&self.0.ticker), name, file.digest, linked).await
    }
}

impl PolicyBytes {
    fn new(bytes: Vec<u8>) -> Result<Self, LoadError> {
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(LoadError::TooLarge {
                limit: LARGEST_FILE,
            });
        }
        Ok(Self {
            digest: Digest::of(&bytes),
            bytes: bytes.into(),
        })
    }
}

/// Reads a policy's file.
async fn read(path: &Path) -> Result<PolicyBytes, LoadError> {
    let path = path.to_owned();
    blocking(move || PolicyBytes::new(read_policy(&path)?)).await
}

/// Reads a policy's file, if its digest is the locked one.
async fn read_locked(path: &Path, locked: Locked) -> Result<PolicyBytes, LoadError> {
    let file = read(path).await?;
    match file.digest == locked.digest {
        true => Ok(file),
        false => Err(LoadError::NotLocked { found: file.digest }),
    }
}

fn policy_name(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

impl SandboxState {
    /// Links machine code. The outer error says that it was made for another engine; the inner one
    /// that it is not a policy.
    fn link(
        &self,
        file: PolicyBytes,
        code: &MachineCode<'_>,
    ) -> Result<Result<Compiled, LoadError>, NotUsed> {
        let linked = self.compilers.deserialize(&file.bytes, code)?;
        Ok(linked.map(|linked| Compiled { file, linked }))
    }

    /// Links the precompiled form of a policy. The inner error is the reason why it is not used, if
    /// there is one.
    fn link_precompiled(
        &self,
        file: PolicyBytes,
        locked: Locked,
        beside: &Path,
        root: &Path,
    ) -> Result<Result<Compiled, Option<NotUsed>>, LoadError> {
        let Some(digest) = locked.precompiled else {
            return Ok(Err(beside.exists().then_some(NotUsed::NotLocked)));
        };
        let is_of_app = beside.canonicalize().is_ok_and(|it| it.starts_with(root));
        if beside.exists() && !is_of_app {
            return Ok(Err(Some(NotUsed::OutsideApp)));
        }
        let found = match read_policy(beside) {
            Ok(found) => found,
            Err(error) => return Ok(Err(Some(NotUsed::Unreadable(error.to_string())))),
        };
        let linked = MachineCode::locked(file.digest, &found, digest)
            .and_then(|code| self.link(file, &code));
        match linked {
            Ok(linked) => linked.map(Ok),
            Err(not_used) => Ok(Err(Some(not_used))),
        }
    }
}
