//! `keyrelay build`: a policy's `.wasm`, made with the language's own tools.

mod cargo;
mod javascript;
mod python;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow};
use clap::Args;
use keyrelay_sandbox::Sandbox;
use serde_json::json;

use crate::misuse::OrMisuse;
use crate::out;
use crate::place::Place;

/// Build a policy with the language's own tools
///
/// Makes `policies/NAME.wasm`: beside the project if that lies in a folder `policies`, else in the project. The language is
/// known by the project's file: Cargo.toml, package.json or pyproject.toml. What is missing is named, with the command that
/// installs it.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The folder of the project
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Print what was made as JSON; what the tools say goes to standard error
    #[arg(long)]
    json: bool,
}

impl Build {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let began = Instant::now();
        let place = Place::of_project(&self.path).or_misuse()?;
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
            return Err(none).or_misuse();
        };
        out::note("checking that it is a policy");
        let policy = Sandbox::new()?.load_file(&made).await;
        let policy =
            policy.with_context(|| format!("{} was built, and is no policy", made.display()))?;
        put(&made, &place.wasm)?;
        let size = place.wasm.metadata().map_or(0, |metadata| metadata.len());
        let (took, summary) = (began.elapsed(), &policy.about().summary);
        if self.json {
            let made = json!({
                "policy": place.name, "file": place.wasm, "bytes": size, "digest": policy.digest().to_string(),
                "summary": summary, "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            });
            out::line(&made.to_string());
        } else {
            let seconds = took.as_secs_f32();
            out::note(&format!(
                "{}: {size} bytes, in {seconds:.1} s: {summary}",
                place.wasm.display()
            ));
        }
        Ok(())
    }
}

/// Puts the policy into its place in one step: a keyrelay that is running takes it up whole.
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
