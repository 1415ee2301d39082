//! `keyrelay lock`: which policies may run.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser as _};
use keyrelay_sandbox::{
    Digest, LOCK_FILE, Lock, Locked, Sandbox, policy_files, precompiled_file, read_policy,
};
use serde_json::json;

use crate::misuse::OrMisuse;
use crate::out;
use crate::place;

/// Write or check policies.lock: the digests of the policies that may run
///
/// Where there is such a file, keyrelay-host runs the policies in it and quarantines all others, unless `locked` in
/// keyrelay.toml is false. A file that is no policy is not locked, and nothing is written.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LockCommand {
    /// The folder of the function app, with `policies/` in it, or that `policies/`
    #[arg(default_value = ".", value_parser = PathBufValueParser::new().map(app_of))]
    app: PathBuf,
    /// Change nothing; end with 1 if the files are not those of the lock
    #[arg(long)]
    check: bool,
    /// Print the result as JSON: a line for each policy, or with `--check` the differences
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay lock
      vouch for what is in policies/ now
  keyrelay lock --check
      in CI: is the lock up to date?";

impl LockCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.check {
            return self.check();
        }
        let lock = vouch(&self.app).await?;
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

    fn check(&self) -> anyhow::Result<()> {
        let (lock, files) = (
            Lock::read(&self.app)?.unwrap_or_default(),
            files(&self.app)?,
        );
        let (differences, file) = (differences(&lock, &files)?, self.app.join(LOCK_FILE));
        if self.json {
            out::line(&json!({ "lock": file, "differences": differences }).to_string());
        }
        ensure!(
            differences.is_empty(),
            "{} is not up to date: {}; write it with `keyrelay lock`",
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

/// The function app that an argument means. Other commands are given its `policies/`, so that is understood here, too.
pub(crate) fn app_of(folder: PathBuf) -> PathBuf {
    let around = if folder.join("policies").is_dir() {
        None
    } else {
        place::app_around(&folder)
    };
    around.unwrap_or(folder)
}

fn policies(count: usize) -> String {
    out::counted(count, "policy", "policies")
}

/// Prints what may run as JSON.
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

/// Writes the lock of a function app, for the policies that are in it.
pub(crate) async fn vouch(app: &Path) -> anyhow::Result<Lock> {
    let files = files(app)?;
    let known = Lock::read(app)?.unwrap_or_default();
    let sandbox = Sandbox::new()?;
    let mut lock = Lock::default();
    for ((name, _), digest) in files.iter().zip(digests(&sandbox, &files).await?) {
        // What was made of the same file stays good.
        let precompiled = known
            .get(name)
            .filter(|known| known.digest == digest)
            .and_then(|known| known.precompiled);
        lock.insert(
            name,
            Locked {
                digest,
                precompiled,
            },
        );
    }
    lock.write(app)?;
    Ok(lock)
}

/// The digests of policies. Nobody shall vouch for what is none: all such are named, by their places in the function
/// app, because the folder may be one that is gone in a moment.
pub(crate) async fn digests(
    sandbox: &Sandbox,
    files: &[(String, PathBuf)],
) -> anyhow::Result<Vec<Digest>> {
    let (mut digests, mut broken) = (Vec::new(), Vec::new());
    for (name, file) in files {
        match sandbox.load_file(file).await {
            Ok(policy) => digests.push(policy.digest()),
            Err(error) => broken.push(format!(
                "policies/{name}.wasm is no policy: {}",
                out::chain(&error)
            )),
        }
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(digests)
}

/// The policies of a function app, by name.
pub(crate) fn files(app: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    find(app).or_misuse()
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

/// In what the files are others than those of the lock.
fn differences(lock: &Lock, files: &[(String, PathBuf)]) -> anyhow::Result<Vec<String>> {
    let mut differences = Vec::new();
    for (name, file) in files {
        let digest_of = |file: &Path| -> anyhow::Result<Digest> {
            let bytes =
                read_policy(file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Digest::of(&bytes))
        };
        match lock.get(name) {
            None => differences.push(format!("{name} is not in it")),
            Some(locked) if locked.digest != digest_of(file)? => {
                differences.push(format!("{name} is another file"))
            }
            Some(Locked {
                precompiled: Some(vouched),
                ..
            }) => {
                let compiled = precompiled_file(file);
                if !compiled.exists() || digest_of(&compiled)? != *vouched {
                    differences.push(format!(
                        "the precompiled form of {name} is another file, or gone"
                    ));
                }
            }
            Some(_) => {}
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
