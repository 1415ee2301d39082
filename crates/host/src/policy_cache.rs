//! The policies of this process: every `policies/*.wasm`, loaded when it is first needed or when
//! there is time, and reloaded when its file changes.

mod entry;
mod loader;
mod recent;
pub mod watch;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use keyrelay_sandbox::{AppSandbox, Lock, Policy, policy_files};

use entry::{Entry, Signature};
use loader::Loader;
use recent::Recent;

/// The policies by name. The files are known from the start; a file is compiled when its policy is
/// first requested.
///
/// A decision in progress keeps the policy that it began with.
#[derive(Debug)]
pub struct PolicyCache {
    folder: PathBuf,
    loader: Loader,
    entries: RwLock<BTreeMap<String, Arc<Entry>>>,
    /// The precompiled policies that were used last. Others are loaded again when they are needed: a
    /// small one in well under a millisecond, and one with Python in it, of 40 MB, in some 50 ms.
    recent: Recent<Arc<Policy>>,
    /// Held while the folder is scanned.
    scan: tokio::sync::Mutex<()>,
}

/// The reason why a policy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// There is no such file.
    #[error(
        "there is no policy `{name}`: put `{name}.wasm` into `policies/`{}",
        among(known)
    )]
    Missing {
        /// The policy's name.
        name: String,
        /// The names of the policies that exist.
        known: Vec<String>,
    },
    /// The file does not load.
    #[error("policy `{name}` is quarantined: {reason}")]
    Quarantined {
        /// The policy's name.
        name: String,
        /// The reason, and the fix.
        reason: String,
    },
}

fn among(known: &[String]) -> String {
    if known.is_empty() {
        String::new()
    } else {
        format!(" (there are {})", known.join(", "))
    }
}

impl PolicyCache {
    /// Scans the folder. Nothing is compiled. A folder that does not exist is taken for an empty
    /// one: events then fail with that reason and are kept, and the handler starts.
    pub fn open(folder: &Path, sandbox: AppSandbox, lock: Option<Lock>) -> io::Result<Self> {
        let files = match policy_files(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::error!("there are no policies: {} does not exist", folder.display());
                Vec::new()
            }
            files => files?,
        };
        let entry = |(name, file): (String, PathBuf)| {
            let entry = Entry::new(Signature::of(&file), file);
            (name, Arc::new(entry))
        };
        Ok(Self {
            folder: folder.to_owned(),
            loader: Loader { sandbox, lock },
            entries: RwLock::new(files.into_iter().map(entry).collect()),
            recent: Recent::new(),
            scan: tokio::sync::Mutex::default(),
        })
    }

    /// The names of all policies, loaded or not.
    pub fn names(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    /// The folder of the policies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether `policies.lock` fixes the files.
    pub fn is_locked(&self) -> bool {
        self.loader.lock.is_some()
    }

    /// Returns a policy. It is compiled if it is not in the cache.
    pub async fn get(&self, name: &str) -> Result<Arc<Policy>, PolicyError> {
        let missing = || PolicyError::Missing {
            name: name.to_owned(),
            known: self.names(),
        };
        let entry = self.entry(name).ok_or_else(missing)?;
        let loaded = self.load(&entry, name).await;
        let policy = loaded.map_err(|reason| PolicyError::Quarantined {
            name: name.to_owned(),
            reason,
        })?;
        if entry.is_precompiled() {
            let memory = policy.memory();
            self.recent.keep(name, Arc::clone(&policy), memory);
        }
        Ok(policy)
    }

    /// Loads all policies that are not loaded yet, one after the other, so that a broken one is
    /// reported now, and no event waits for a compilation.
    pub async fn load_all(&self) {
        let mut quarantined = 0;
        let names = self.names();
        for name in &names {
            let Some(entry) = self.entry(name) else {
                continue;
            };
            // The reason is in the log, and will be in the records of the secret's events.
            quarantined += usize::from(self.load(&entry, name).await.is_err());
        }
        tracing::info!(
            policies = names.len(),
            quarantined,
            "all policies are loaded"
        );
    }

    /// The number of policies that can be used, and of those that are quarantined. Policies that
    /// are not loaded yet are not counted.
    pub fn counts(&self) -> (usize, usize) {
        let entries = self.read();
        let count =
            |wanted: fn(&Entry) -> bool| entries.values().filter(|entry| wanted(entry)).count();
        (count(Entry::is_usable), count(Entry::is_quarantined))
    }

    /// Reloads the files of the folder that have changed. A file that does not load never replaces
    /// a policy that works. Returns whether any policy has changed.
    pub async fn reload(&self) -> bool {
        let _scan = self.scan.lock().await;
        let files = match policy_files(&self.folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let folder = self.folder.display();
                tracing::error!("{folder} cannot be read, the policies stay as they are: {error}");
                return false;
            }
        };
        let is_gone = |name: &String| files.iter().all(|(it, _)| it != name);
        let mut has_changed = false;
        for name in self.names().into_iter().filter(is_gone) {
            self.write().remove(&name);
            self.recent.forget(&name);
            tracing::info!(policy.name = name, "policy removed");
            has_changed = true;
        }
        for (name, file) in files {
            has_changed |= self.reload_file(name, file).await;
        }
        has_changed
    }

    async fn reload_file(&self, name: String, file: PathBuf) -> bool {
        let signature = Signature::of(&file);
        let known = self.entry(&name);
        if known
            .as_ref()
            .is_some_and(|it| it.has_signature(&signature))
        {
            return false;
        }
        let entry = Entry::new(signature.clone(), file);
        let loaded = self.load(&entry, &name).await;
        if let (Some(known), Err(_)) = (&known, &loaded)
            && known.is_usable()
        {
            tracing::warn!(
                policy.name = name,
                "the former policy stays in use until its file can be loaded"
            );
            known.set_signature(signature);
            return false;
        }
        self.recent.forget(&name);
        self.write().insert(name, Arc::new(entry));
        true
    }

    async fn load(&self, entry: &Entry, name: &str) -> Result<Arc<Policy>, String> {
        let namesakes = || {
            let names = self.names().into_iter();
            names
                .filter(|other| other != name && other.eq_ignore_ascii_case(name))
                .collect()
        };
        entry.policy(&self.loader, name, namesakes).await
    }

    fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        self.read().get(name).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Entry>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Entry>>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}
