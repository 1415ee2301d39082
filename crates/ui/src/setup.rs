//! The folder of the function app: its configuration, its lock and its policies.

mod installed_policy;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyrelay_config::{Config, Route, route_of};
use keyrelay_model::{SecretName, VaultHost, error_chain};
use keyrelay_sandbox::{
    Digest, LOCK_FILE, Lock, Policy, Sandbox, policy_digest, policy_files, read_policy,
};

use crate::cases::{CheckedCase, PolicyCases};
pub(crate) use installed_policy::{CompiledPolicy, InstalledPolicy, LockState};

/// The time that a page waits for a policy to be compiled, or for its cases. One with an interpreter
/// takes seconds.
const COMPILATION: Duration = Duration::from_millis(500);

/// The folder of the function app.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The folder with `keyrelay.toml` and `policies.lock`.
    pub folder: PathBuf,
    /// The folder with the policies.
    pub policies: PathBuf,
    /// The app settings that override `keyrelay.toml`, as far as they are known.
    pub environment: BTreeMap<String, String>,
    /// The sandbox that compiles and evaluates the policies.
    pub sandbox: Sandbox,
    /// The test cases of the policies. None: they are not evaluated.
    pub cases: Option<Arc<dyn PolicyCases>>,
}

/// The configuration and the policies, as read.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The error has all problems.
    pub(crate) config: Result<Config, Vec<String>>,
    /// The lock that applies. The error is the reason why keyrelay-host would not start.
    pub(crate) lock: Result<Option<Lock>, String>,
    /// The policies, by name. The error is the reason why the folder cannot be read.
    pub(crate) policies: Result<Vec<InstalledPolicy>, String>,
    /// The folder of the policies, in words.
    pub(crate) folder: String,
}

/// Reads the setup. It keeps the compiled policies, as long as their files stay the same.
#[derive(Debug, Clone)]
pub(crate) struct SetupReader {
    installation: Arc<Installation>,
    compiled: Arc<Mutex<HashMap<(String, Digest), CompiledPolicy>>>,
}

impl Setup {
    /// The route of a secret: its rule, its policy and its mode.
    pub(crate) fn route(&self, vault: &VaultHost, secret: &SecretName) -> Option<Route<'_>> {
        let config = self.config.as_ref().ok()?;
        let names: Vec<String> = self.files().iter().map(|file| file.name.clone()).collect();
        Some(route_of(config, &names, vault.vault(), secret))
    }

    /// The policies.
    pub(crate) fn files(&self) -> &[InstalledPolicy] {
        self.policies.as_deref().unwrap_or_default()
    }

    /// The policy with this name.
    pub(crate) fn policy(&self, name: &str) -> Option<&InstalledPolicy> {
        self.files().iter().find(|file| file.name == name)
    }

    /// Whether a policy is still being compiled.
    pub(crate) fn is_compiling(&self) -> bool {
        let mut files = self.files().iter();
        files.any(|file| matches!(file.compiled, CompiledPolicy::Soon))
    }
}

impl SetupReader {
    pub(crate) fn new(installation: Installation) -> Self {
        Self {
            installation: Arc::new(installation),
            compiled: Arc::default(),
        }
    }

    /// Evaluates the test cases of a policy. None: they take longer than a page waits, the policy is
    /// not compiled, or nothing evaluates them.
    pub(crate) async fn evaluate_cases(&self, file: &InstalledPolicy) -> Option<Vec<CheckedCase>> {
        let CompiledPolicy::Policy(policy) = &file.compiled else {
            return None;
        };
        let cases = self.installation.cases.as_ref()?;
        let evaluated = cases.evaluate(policy, &file.path);
        tokio::time::timeout(COMPILATION, evaluated).await.ok()
    }

    /// Reads the configuration, the lock and the policies.
    pub(crate) async fn read(&self) -> Setup {
        let installation = Arc::clone(&self.installation);
        let files = tokio::task::spawn_blocking(move || read_files(&installation));
        let folder = self.installation.policies.display().to_string();
        let (config, lock, digests) = match files.await {
            Ok(files) => files,
            Err(error) => {
                let reason = error.to_string();
                return Setup {
                    config: Err(vec![reason.clone()]),
                    lock: Err(reason.clone()),
                    policies: Err(reason),
                    folder,
                };
            }
        };
        let policies = match digests {
            Ok(digests) => Ok(self.policy_files(digests, &lock).await),
            Err(reason) => Err(reason),
        };
        Setup {
            config,
            lock,
            policies,
            folder,
        }
    }

    async fn policy_files(
        &self,
        digests: Vec<FileDigest>,
        lock: &Result<Option<Lock>, String>,
    ) -> Vec<InstalledPolicy> {
        let lock = lock.as_ref().ok().and_then(Option::as_ref);
        let wanted: Vec<(String, Digest)> = digests
            .iter()
            .filter_map(|(name, _, digest)| Some((name.clone(), *digest.as_ref().ok()?)))
            .collect();
        self.forget_others(&wanted);
        let mut files = Vec::new();
        for (name, path, digest) in digests {
            let compiled = match &digest {
                Ok(digest) => self.compile(&name, &path, *digest).await,
                Err(reason) => CompiledPolicy::Invalid(reason.clone()),
            };
            files.push(InstalledPolicy::new(
                name,
                &path,
                digest.ok(),
                compiled,
                lock,
            ));
        }
        files
    }

    fn forget_others(&self, wanted: &[(String, Digest)]) {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.retain(|key, _| wanted.contains(key));
    }

    /// The compiled policy. It is compiled in the background, unless that takes no time.
    async fn compile(&self, name: &str, path: &std::path::Path, digest: Digest) -> CompiledPolicy {
        let key = (name.to_owned(), digest);
        {
            let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = compiled.get(&key) {
                return known.clone();
            }
            compiled.insert(key.clone(), CompiledPolicy::Soon);
        }
        let (reader, path) = (self.clone(), path.to_owned());
        let compilation = tokio::spawn(async move {
            let (name, sandbox) = (key.0.clone(), reader.installation.sandbox.clone());
            // A task of its own, so that a panic is the end of that policy alone.
            let loading = tokio::spawn(async move { load(&sandbox, &name, &path).await });
            let result = match loading.await {
                Ok(Ok(policy)) => CompiledPolicy::Policy(Arc::new(policy)),
                Ok(Err(reason)) => CompiledPolicy::Invalid(reason),
                Err(error) => CompiledPolicy::Invalid(error.to_string()),
            };
            let mut compiled = reader
                .compiled
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            compiled.insert(key, result.clone());
            result
        });
        match tokio::time::timeout(COMPILATION, compilation).await {
            Ok(Ok(compiled)) => compiled,
            Ok(Err(error)) => CompiledPolicy::Invalid(error.to_string()),
            Err(_) => CompiledPolicy::Soon,
        }
    }
}

/// A policy's name, its file, and the digest of that.
type FileDigest = (String, PathBuf, Result<Digest, String>);

type Files = (
    Result<Config, Vec<String>>,
    Result<Option<Lock>, String>,
    Result<Vec<FileDigest>, String>,
);

fn read_files(installation: &Installation) -> Files {
    let Installation {
        folder,
        policies,
        environment,
        ..
    } = installation;
    let config = Config::load(folder, environment)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>());
    let lock = match &config {
        Ok(config) => Lock::that_applies(folder, config.locked, &config.trusted_keys)
            .map_err(|error| error_chain(&error)),
        Err(_) => Err(format!(
            "whether {LOCK_FILE} applies is unknown, because the configuration cannot be read"
        )),
    };
    let digests = policy_files(policies)
        .map_err(|error| format!("{} cannot be read: {error}", policies.display()))
        .map(|files| {
            let digest = |(name, path): (String, PathBuf)| {
                let digest = policy_digest(&path).map_err(|error| error_chain(&error));
                (name, path, digest)
            };
            files.into_iter().map(digest).collect()
        });
    (config, lock, digests)
}

async fn load(sandbox: &Sandbox, name: &str, path: &std::path::Path) -> Result<Policy, String> {
    let path = path.to_owned();
    let bytes = tokio::task::spawn_blocking(move || read_policy(&path));
    let bytes = bytes.await.map_err(|error| error.to_string())?;
    let bytes = bytes.map_err(|error| error_chain(&error))?;
    let loaded = sandbox.load(name, bytes).await;
    loaded.map_err(|error| error_chain(&error))
}
