//! The policies of this process: every `policies/*.wasm`, loaded when it is first needed or when there is time.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyrelay_sandbox::{Policy, Sandbox, policy_files};
use tokio::sync::OnceCell;

use crate::outcome::chain;

/// The policies by name. Which files there are is known at once; a file is compiled the first time it is asked for.
#[derive(Debug)]
pub struct Shelf {
    sandbox: Sandbox,
    places: BTreeMap<String, Place>,
}

#[derive(Debug)]
struct Place {
    file: PathBuf,
    policy: OnceCell<Result<Arc<Policy>, String>>,
}

/// Why there is no policy to ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPolicy {
    /// There is no such file.
    #[error("there is no policy `{name}`: put `{name}.wasm` into `policies/`{}", among(known))]
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
    if known.is_empty() { String::new() } else { format!(" (there are {})", known.join(", ")) }
}

impl Shelf {
    /// Looks which policies there are. Compiles nothing. A folder that is not there has none in it: events then fail
    /// with that reason and are kept, which is better than a handler that does not start.
    pub fn open(folder: &Path, sandbox: Sandbox) -> io::Result<Self> {
        let files = match policy_files(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::error!("there are no policies: {} does not exist", folder.display());
                Vec::new()
            }
            files => files?,
        };
        let place = |(name, file)| (name, Place { file, policy: OnceCell::new() });
        Ok(Self { sandbox, places: files.into_iter().map(place).collect() })
    }

    /// The names of all policies, loaded or not.
    pub fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    /// A policy, compiled if it was not yet.
    pub async fn policy(&self, name: &str) -> Result<Arc<Policy>, NoPolicy> {
        let missing = || NoPolicy::Missing { name: name.to_owned(), known: self.names() };
        let place = self.places.get(name).ok_or_else(missing)?;
        let loaded = place.policy.get_or_init(|| self.load(name, &place.file)).await;
        loaded.clone().map_err(|reason| NoPolicy::Quarantined { name: name.to_owned(), reason })
    }

    /// Compiles what has not been asked for yet, one after the other, so that no event has to wait for it later.
    pub async fn load_all(&self) {
        for name in self.places.keys() {
            // A quarantined one was logged when it was loaded; its secret's events will say it again.
            let _ = self.policy(name).await;
        }
        tracing::info!(policies = self.places.len(), "all policies are loaded");
    }

    async fn load(&self, name: &str, file: &Path) -> Result<Arc<Policy>, String> {
        match self.sandbox.load_file(file).await {
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
            Err(error) => {
                let reason = chain(&error);
                tracing::error!(policy.name = name, policy.file = %file.display(), "policy quarantined: {reason}");
                Err(reason)
            }
        }
    }
}
