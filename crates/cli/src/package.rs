//! `keyrelay package`: the deployment package.

mod check;
mod contents;
mod file;

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use keyrelay_package::{HOST, pack};
use keyrelay_sandbox::{Digest, LOCK_FILE, Lock, policy_files};
use serde_json::json;

use crate::run::configuration;
use crate::{compile, out, signing, usage_error};
use contents::Contents;

/// Create the deployment package for Azure
///
/// Takes a function app (a folder or an existing package), adds policies and configuration, checks
/// the result, compiles the policies ahead of time and locks them in policies.lock. The build is
/// reproducible: the same input gives the same bytes.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Package {
    /// The base: a folder with host.json and keyrelay-host, or a package such as that of a release
    #[arg(default_value = ".")]
    base: PathBuf,
    /// A folder of policies to add. Policies of the same name are replaced
    #[arg(long, value_name = "DIR")]
    policies: Vec<PathBuf>,
    /// The configuration that replaces keyrelay.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The custom handler: a statically linked keyrelay-host for Linux on x86-64
    #[arg(long, value_name = "FILE")]
    host: Option<PathBuf>,
    /// Sign the lock with a private key: a PEM file of `keyrelay key new`, or `-` for standard input.
    /// Without it, signatures of the folder's policies.lock stay if it has the same entries
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// The package to write
    #[arg(long, short, default_value = "keyrelay.zip")]
    output: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay package keyrelay-0.1.0.zip --policies policies --config keyrelay.toml -o mine.zip
      your policies and configuration in the released package
  az functionapp deployment source config-zip --resource-group GROUP --name APP --src mine.zip
      deploy it; terraform/deploy.sh does the same

If there is a policies.lock beside the folder of policies, each policy has to match it.";

impl Package {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        for path in [&self.base]
            .into_iter()
            .chain(&self.policies)
            .chain(&self.config)
            .chain(&self.host)
        {
            usage_error::require_exists(path)?;
        }
        let key = signing::given(self.sign.as_deref())?;
        let mut contents = Contents::read(&self.base)?;
        for folder in &self.policies {
            contents.put_policies(folder)?;
        }
        if let Some(file) = &self.config {
            contents.put("keyrelay.toml", file::read(file)?);
        }
        if let Some(file) = &self.host {
            contents.put(HOST, file::read(file)?);
        }
        check::all(&contents)?;

        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        contents.write(folder.path())?;
        let signed = self.base.join(LOCK_FILE);
        if signed.is_file() {
            fs::copy(&signed, folder.path().join(LOCK_FILE))
                .with_context(|| format!("cannot copy {}", signed.display()))?;
        }
        if check::IS_THIS_MACHINE {
            compile::policies(folder.path(), key.as_ref()).await?;
        } else {
            out::warning(
                "policies can be compiled ahead of time on Linux on x86-64 only: keyrelay-host will compile them when it starts",
            );
            crate::lock::write_lock(folder.path(), key.as_ref()).await?;
        }
        let config = configuration(folder.path())?;
        Lock::that_applies(folder.path(), config.locked, &config.trusted_keys)
            .context("keyrelay-host would not start: sign the lock with `--sign KEY`")?;
        let packed = pack(&file::read_all(folder.path())?)?;
        file::write(&self.output, &packed)?;
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
