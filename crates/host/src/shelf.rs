//! The policies of this process: every `policies/*.wasm`, loaded when it is first needed or when there is time, and taken
//! up anew when its file changes. Of those that were compiled ahead, only the ones that were used last stay in memory.

mod place;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use keyrelay_sandbox::{Lock, Policy, Sandbox, policy_files};

use place::{Place, Signature};

/// The policies by name. Which files there are is known at once; a file is compiled the first time it is asked for.
///
/// Whoever has a policy keeps it: a decision under way ends with the one that it began with.
#[derive(Debug)]
pub struct Shelf {
    sandbox: Sandbox,
    folder: PathBuf,
    /// The files that may run. None: all.
    lock: Option<Lock>,
    places: RwLock<BTreeMap<String, Arc<Place>>>,
    /// The precompiled policies that were used last, the last one first.
    used: Mutex<VecDeque<Arc<Policy>>>,
    /// Held while the folder is looked through.
    looking: tokio::sync::Mutex<()>,
}

/// How many precompiled policies stay in memory. One takes a hundred kilobytes, or 40 MB if it brings Python along, and is
/// loaded in well under a millisecond, or in some 50.
const IN_MEMORY: usize = 32;

/// Why there is no policy to ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPolicy {
    /// There is no such file.
    #[error(
        "there is no policy `{name}`: put `{name}.wasm` into `policies/`{}",
        among(known)
    )]
    Missing {
        /// The policy's name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The file does not load.
    #[error("policy `{name}` is quarantined: {reason}")]
    Quarantined {
        /// The policy's name.
        name: String,
        /// Why, and what to do.
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

impl Shelf {
    /// Looks which policies there are. Compiles nothing. A folder that is not there has none in it: events then fail
    /// with that reason and are kept, which is better than a handler that does not start.
    pub fn open(folder: &Path, sandbox: Sandbox, lock: Option<Lock>) -> io::Result<Self> {
        let files = match policy_files(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::error!("there are no policies: {} does not exist", folder.display());
                Vec::new()
            }
            files => files?,
        };
        let place = |(name, file): (String, PathBuf)| {
            (name, Arc::new(Place::new(Signature::of(&file), file)))
        };
        Ok(Self {
            sandbox,
            folder: folder.to_owned(),
            lock,
            places: RwLock::new(files.into_iter().map(place).collect()),
            used: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        })
    }

    /// The names of all policies, loaded or not.
    pub fn names(&self) -> Vec<String> {
        self.places
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect()
    }

    /// A policy, compiled if it was not yet.
    pub async fn policy(&self, name: &str) -> Result<Arc<Policy>, NoPolicy> {
        let missing = || NoPolicy::Missing {
            name: name.to_owned(),
            known: self.names(),
        };
        let place = self.place(name).ok_or_else(missing)?;
        let loaded = place.policy(self, name).await;
        let policy = loaded.map_err(|reason| NoPolicy::Quarantined {
            name: name.to_owned(),
            reason,
        })?;
        if place.is_precompiled() {
            self.note_use(&policy);
        }
        Ok(policy)
    }

    /// Loads what has not been asked for yet, one after the other: what is wrong with one is said now, and no event has
    /// to wait until it is compiled.
    pub async fn load_all(&self) {
        let mut quarantined = 0;
        let names = self.names();
        for name in &names {
            let Some(place) = self.place(name) else {
                continue;
            };
            // A quarantined one was logged when it was loaded; its secret's events will say it again.
            quarantined += usize::from(place.policy(self, name).await.is_err());
        }
        tracing::info!(
            policies = names.len(),
            quarantined,
            "all policies are loaded"
        );
    }

    /// How many policies can be used, and how many are quarantined, of those that were loaded.
    pub fn counts(&self) -> (usize, usize) {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let count =
            |wanted: fn(&Place) -> bool| places.values().filter(|place| wanted(place)).count();
        (count(Place::is_good), count(Place::is_quarantined))
    }

    fn note_use(&self, policy: &Arc<Policy>) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|other| !Arc::ptr_eq(other, policy));
        used.push_front(Arc::clone(policy));
        used.truncate(IN_MEMORY);
    }

    /// Takes up what has changed in the folder. A file that cannot be used never replaces one that can.
    /// Returns whether anything was taken up.
    pub async fn take_up_changes(&self) -> bool {
        let _looking = self.looking.lock().await;
        let files = match policy_files(&self.folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::error!(
                    "{} cannot be read, the policies stay as they are: {error}",
                    self.folder.display()
                );
                return false;
            }
        };
        let mut changed = false;
        for gone in self
            .names()
            .into_iter()
            .filter(|name| files.iter().all(|(it, _)| it != name))
        {
            self.places
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&gone);
            tracing::info!(policy.name = gone, "policy removed");
            changed = true;
        }
        for (name, file) in files {
            changed |= self.take_up(name, file).await;
        }
        changed
    }

    async fn take_up(&self, name: String, file: PathBuf) -> bool {
        let signature = Signature::of(&file);
        let known = self.place(&name);
        if known
            .as_ref()
            .is_some_and(|known| known.was_seen_as(&signature))
        {
            return false;
        }
        let place = Place::new(signature.clone(), file);
        let loaded = place.policy(self, &name).await;
        if let (Some(known), Err(_)) = (&known, &loaded)
            && known.is_good()
        {
            tracing::warn!(
                policy.name = name,
                "the former policy stays until its file can be used"
            );
            known.see(signature);
            return false;
        }
        self.places
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Arc::new(place));
        true
    }

    fn place(&self, name: &str) -> Option<Arc<Place>> {
        self.places
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }
}
