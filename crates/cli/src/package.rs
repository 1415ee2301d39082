//! `keyrelay package`: the zip file that is deployed.

mod archive;
mod check;
mod contents;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use keyrelay_sandbox::{Digest, policy_files};
use serde_json::json;

use crate::{compile, misuse, out};
use contents::Contents;

/// Make the package that is deployed to Azure
///
/// Takes a function app (a folder, or a package that exists), puts policies and configuration into it, checks all of it,
/// compiles the policies ahead and vouches for them in policies.lock. The same input gives the same bytes.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Package {
    /// What to begin with: a folder with host.json and keyrelay-host in it, or a package such as a release has
    #[arg(default_value = ".")]
    base: PathBuf,
    /// A folder of policies to put in. One of the same name is replaced
    #[arg(long, value_name = "DIR")]
    policies: Vec<PathBuf>,
    /// The configuration to put in, in the place of the keyrelay.toml that is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The custom handler to put in: a static keyrelay-host for Linux on x86-64
    #[arg(long, value_name = "FILE")]
    host: Option<PathBuf>,
    /// The package to write
    #[arg(long, short, default_value = "keyrelay.zip")]
    output: PathBuf,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay package keyrelay-0.1.0.zip --policies policies --config keyrelay.toml -o mine.zip
      your policies and configuration in the released package
  az functionapp deployment source config-zip --resource-group GROUP --name APP --src mine.zip
      deploy it; terraform/deploy.sh does that, too

If there is a policies.lock beside the folder of policies, it has to vouch for each of them.";

impl Package {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        for path in [&self.base]
            .into_iter()
            .chain(&self.policies)
            .chain(&self.config)
            .chain(&self.host)
        {
            misuse::is_there(path)?;
        }
        let mut contents = Contents::read(&self.base)?;
        for folder in &self.policies {
            contents.put_policies(folder)?;
        }
        if let Some(file) = &self.config {
            contents.put("keyrelay.toml", read(file)?);
        }
        if let Some(file) = &self.host {
            contents.put(contents::HOST, read(file)?);
        }
        check::all(&contents)?;

        let folder = tempfile::tempdir().context("cannot make a folder to work in")?;
        contents.write(folder.path())?;
        if check::IS_THIS_MACHINE {
            compile::policies(folder.path()).await?;
        } else {
            out::warning(
                "policies can only be compiled ahead on Linux on x86-64: keyrelay-host will do it itself",
            );
            crate::lock::vouch(folder.path()).await?;
        }
        let packed = archive::pack(folder.path())?;
        write(&self.output, &packed)?;
        let policies = policy_files(&folder.path().join("policies"))?;
        self.say(
            &policies
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>(),
            &packed,
        );
        Ok(())
    }

    fn say(&self, policies: &[String], packed: &[u8]) {
        let (file, digest) = (self.output.display().to_string(), Digest::of(packed));
        if self.json {
            let made = json!({
                "file": file, "bytes": packed.len(), "digest": digest.to_string(), "policies": policies,
            });
            out::line(&made.to_string());
        } else {
            out::line(&format!(
                "{file}: {} KiB, sha256 {digest}",
                packed.len() >> 10
            ));
            out::line(&format!("with the policies {}", policies.join(", ")));
        }
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Writes beside and renames: what is there is whole.
fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = file
        .file_name()
        .with_context(|| format!("{} is no file", file.display()))?;
    ensure!(
        !file.is_dir(),
        "{} is a folder: name a file",
        file.display()
    );
    let beside = file.with_file_name(format!(".{}.new", name.to_string_lossy()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, file));
    written.with_context(|| format!("cannot write {}", file.display()))
}
