//! `keyrelay build`: builds a policy with the tools of its language.

mod cargo;
mod javascript;
mod python;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;

use crate::out;
use crate::policy::PolicyFile;
use crate::sandbox;
use crate::usage_error::OrUsageError;

/// Build a policy with the tools of its language
///
/// Writes `policies/NAME.wasm`: beside the project if the project is in a folder `policies`, else
/// in the project. The language is determined by Cargo.toml, package.json or pyproject.toml. If a
/// tool is missing, the error has the command that installs it.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The folder of the project
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Print the result as JSON; the output of the tools goes to standard error
    #[arg(long)]
    json: bool,
}

impl Build {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let began = Instant::now();
        let policy_file = PolicyFile::of_project(&self.path).or_usage_error()?;
        let made = if self.path.join("Cargo.toml").is_file() {
            cargo::build(&self.path)?
        } else if self.path.join("package.json").is_file() {
            javascript::build(&self.path)?
        } else if self.path.join("pyproject.toml").is_file() {
            python::build(&self.path)?
        } else {
            let none = anyhow!(
                "{} is no project of a policy: it has neither Cargo.toml, nor package.json, nor pyproject.toml \
                 (`keyrelay new` makes one)",
                self.path.display()
            );
            return Err(none).or_usage_error();
        };
        out::note("checking that it is a policy");
        let policy = sandbox::new()?.load_file(&made).await;
        let policy =
            policy.with_context(|| format!("{} was built, and is no policy", made.display()))?;
        put(&made, &policy_file.wasm)?;
        let size = policy_file
            .wasm
            .metadata()
            .map_or(0, |metadata| metadata.len());
        let (took, summary) = (began.elapsed(), &policy.about().summary);
        if self.json {
            let made = json!({
                "policy": policy_file.name, "file": policy_file.wasm, "bytes": size, "digest": policy.digest().to_string(),
                "summary": summary, "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            });
            out::line(&made.to_string());
        } else {
            let seconds = took.as_secs_f32();
            out::note(&format!(
                "{}: {size} bytes, in {seconds:.1} s: {summary}",
                policy_file.wasm.display()
            ));
        }
        Ok(())
    }
}

/// Replaces the policy atomically, because a running keyrelay-host may reload it at any time.
fn put(made: &Path, wasm: &Path) -> anyhow::Result<()> {
    let put = || {
        let folder = wasm.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let beside = tempfile::Builder::new()
            .prefix(".")
            .suffix(".new")
            .tempfile_in(folder)?;
        fs::copy(made, beside.path())?;
        beside.persist(wasm).map_err(|error| error.error)?;
        Ok::<_, std::io::Error>(())
    };
    put().with_context(|| format!("cannot write {}", wasm.display()))
}
