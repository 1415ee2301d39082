//! `keyrelay lock`: the policies that may run.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser as _};
use keyrelay_model::PublicKey;
use keyrelay_sandbox::{
    Digest, LOCK_FILE, Lock, Locked, Sandbox, SigningKey, policy_digest, policy_files,
    precompiled_file,
};
use serde_json::json;

use crate::out;
use crate::policy;
use crate::run::configuration;
use crate::sandbox;
use crate::signing;
use crate::usage_error::OrUsageError;

/// Write or check policies.lock: the digests of the policies that may run
///
/// If the file exists, keyrelay-host runs the policies in it and quarantines all others, unless
/// `locked` in keyrelay.toml is false. If a file is not a policy, the command fails and writes
/// nothing.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LockCommand {
    /// The folder of the function app, with `policies/` in it, or that `policies/`
    #[arg(default_value = ".", value_parser = PathBufValueParser::new().map(app_of))]
    app: PathBuf,
    /// Write nothing; exit with 1 if the files differ from the lock, or if no trusted key has signed
    /// it
    #[arg(long)]
    check: bool,
    /// Sign the lock with a private key: a PEM file of `keyrelay key new`, or `-` for standard input
    #[arg(long, value_name = "KEY", conflicts_with = "check")]
    sign: Option<PathBuf>,
    /// With --check: a public key that may have signed the lock [default: `trusted_keys` of
    /// keyrelay.toml]
    #[arg(long, value_name = "PUBLIC KEY", requires = "check")]
    trusted_key: Vec<PublicKey>,
    /// Print the result as JSON: one line per policy, or the differences with `--check`
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay lock
      lock the current files in policies/
  keyrelay lock --sign signing.pem
      lock them, and sign the lock; `keyrelay key new` makes the key
  keyrelay lock --check
      check in CI that the lock is up to date, and signed if keyrelay.toml has `trusted_keys`";

impl LockCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.check {
            return self.check().await;
        }
        let key = signing::given(self.sign.as_deref())?;
        let lock = write_lock(&self.app, key.as_ref()).await?;
        if self.json {
            print(&lock);
        }
        out::note(&format!(
            "{}: {} may run",
            self.app.join(LOCK_FILE).display(),
            policies(lock.iter().count())
        ));
        Ok(())
    }

    async fn check(&self) -> anyhow::Result<()> {
        let (lock, files) = (
            Lock::read(&self.app)?.unwrap_or_default(),
            files(&self.app)?,
        );
        let mut differences = differences(&sandbox::new()?, &lock, &files).await?;
        let trusted_keys = match self.trusted_key.as_slice() {
            [] => configuration(&self.app).or_usage_error()?.trusted_keys,
            keys => keys.to_vec(),
        };
        if !trusted_keys.is_empty()
            && let Err(reason) = lock.signer(&trusted_keys)
        {
            differences.push(format!("no trusted key has signed it: {reason}"));
        }
        let file = self.app.join(LOCK_FILE);
        if self.json {
            out::line(&json!({ "lock": file, "differences": differences }).to_string());
        }
        ensure!(
            differences.is_empty(),
            "{} is not up to date: {}; write it with `keyrelay lock`, and `--sign KEY` if it is signed",
            file.display(),
            differences.join(", ")
        );
        out::note(&format!(
            "{} is up to date: {}",
            file.display(),
            policies(files.len())
        ));
        Ok(())
    }
}

/// The function app that an argument names. Its `policies/` is accepted as well, because other
/// commands take that.
pub(crate) fn app_of(folder: PathBuf) -> PathBuf {
    let around = if folder.join("policies").is_dir() {
        None
    } else {
        policy::app_around(&folder)
    };
    around.unwrap_or(folder)
}

fn policies(count: usize) -> String {
    out::counted(count, "policy", "policies")
}

/// Prints the locked policies as JSON.
pub(crate) fn print(lock: &Lock) {
    for (
        policy,
        Locked {
            digest,
            precompiled,
        },
    ) in lock.iter()
    {
        let precompiled = precompiled.map(|digest| digest.to_string());
        out::line(
            &json!({ "policy": policy, "digest": digest.to_string(), "precompiled": precompiled })
                .to_string(),
        );
    }
}

/// Writes the lock of a function app, for the policies that are in it, and signs it if there is a
/// key.
pub(crate) async fn write_lock(app: &Path, key: Option<&SigningKey>) -> anyhow::Result<Lock> {
    let files = files(app)?;
    let mut lock = Lock::default();
    compile_each(&sandbox::new()?, &files, |name, file, digest, content| {
        let precompiled = Precompiled::compare(file, content)?;
        ensure!(
            precompiled != Precompiled::Foreign,
            "policies/{name}.cwasm is not what policies/{name}.wasm compiles to on this machine, and \
             keyrelay-host would run it: delete it, or make it again with `keyrelay compile`"
        );
        let precompiled = precompiled.digest();
        lock.insert(
            name,
            Locked {
                digest,
                precompiled,
            },
        );
        Ok(())
    })
    .await?;
    signing::sign(&mut lock, app, key);
    lock.write(app)?;
    Ok(lock)
}

/// The precompiled form beside a policy's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precompiled {
    Absent,
    /// It is what the policy's file compiles to.
    Same(Digest),
    /// It is something else: the code of another policy, or of another platform.
    Foreign,
}

impl Precompiled {
    /// Compares the file beside a policy with what the policy compiles to: compilation is
    /// deterministic, and a digest in a lock that travels with the file proves nothing.
    fn compare(policy: &Path, content: &[u8]) -> anyhow::Result<Self> {
        let beside = precompiled_file(policy);
        if !beside.exists() {
            return Ok(Self::Absent);
        }
        let found = digest_of(&beside)?;
        Ok(match found == Digest::of(content) {
            true => Self::Same(found),
            false => Self::Foreign,
        })
    }

    fn digest(self) -> Option<Digest> {
        match self {
            Self::Same(digest) => Some(digest),
            Self::Absent | Self::Foreign => None,
        }
    }
}

fn digest_of(file: &Path) -> anyhow::Result<Digest> {
    policy_digest(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Compiles policies, and calls `each` for each with its name, its file, its digest, and the content
/// of its precompiled file. The error names every file that is not a policy, by its path in the
/// function app, because the folder may be temporary.
pub(crate) async fn compile_each(
    sandbox: &Sandbox,
    files: &[(String, PathBuf)],
    mut each: impl FnMut(&str, &Path, Digest, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut broken = Vec::new();
    for (name, file) in files {
        match sandbox.load_and_precompile(file).await {
            Ok((policy, content)) => each(name, file, policy.digest(), &content)?,
            Err(error) => broken.push(format!(
                "policies/{name}.wasm is no policy: {}",
                out::chain(&error)
            )),
        }
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

/// The policies of a function app, by name.
pub(crate) fn files(app: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    find(app).or_usage_error()
}

fn find(app: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let folder = app.join("policies");
    ensure!(
        folder.is_dir(),
        "there is no folder {}: name the function app, which has it",
        folder.display()
    );
    let files =
        policy_files(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    ensure!(
        !files.is_empty(),
        "there is no policy in {}: build them first",
        folder.display()
    );
    Ok(files)
}

/// The differences between the files and the lock.
async fn differences(
    sandbox: &Sandbox,
    lock: &Lock,
    files: &[(String, PathBuf)],
) -> anyhow::Result<Vec<String>> {
    let mut differences = Vec::new();
    for (name, file) in files {
        let Some(locked) = lock.get(name) else {
            differences.push(format!("{name} is not in it"));
            continue;
        };
        if locked.digest != digest_of(file)? {
            differences.push(format!("{name} is another file"));
            continue;
        }
        let precompiled = match precompiled_file(file).exists() {
            true => Precompiled::compare(file, &sandbox.precompile(file).await?)?,
            false => Precompiled::Absent,
        };
        match precompiled {
            Precompiled::Foreign => differences.push(format!(
                "{name}.cwasm is not what {name}.wasm compiles to on this machine"
            )),
            found if locked.precompiled.is_some() && found.digest() != locked.precompiled => {
                differences.push(format!(
                    "the precompiled form of {name} is another file, or gone"
                ));
            }
            _ => {}
        }
    }
    let is_gone = |name: &str| files.iter().all(|(file, _)| file != name);
    differences.extend(
        lock.iter()
            .filter(|(name, _)| is_gone(name))
            .map(|(name, _)| format!("{name} is gone")),
    );
    Ok(differences)
}
