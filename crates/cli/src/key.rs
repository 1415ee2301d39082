//! `keyrelay key`: the keys that sign policies.lock.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{out, signing};

/// Make and show the keys that sign policies.lock
///
/// With `trusted_keys` in keyrelay.toml, keyrelay-host runs only policies in a policies.lock that
/// one of these keys has signed with `keyrelay lock --sign KEY`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a private key, and show its public key
    ///
    /// The file is new, and only its owner can read it. Keep it where only the person or the
    /// pipeline that signs can read it, and never in the repository.
    New(KeyFile),
    /// Show the public key of a private key: the entry for `trusted_keys`
    Show(KeyFile),
}

#[derive(Debug, Args)]
struct KeyFile {
    /// The file of the private key: an Ed25519 key in PEM (PKCS #8), as `openssl genpkey -algorithm
    /// ed25519` writes it too; `-` is standard input, for `show`
    #[arg(value_name = "KEY")]
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay key new signing.pem
      make a key; put the line that it prints into `trusted_keys`
  keyrelay lock --sign signing.pem
      lock the policies, and sign the lock";

impl Key {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (key, file) = match self.command {
            KeyCommand::New(file) => (signing::create(&file.file)?, file),
            KeyCommand::Show(file) => (signing::read(&file.file)?, file),
        };
        let public = key.public_key().to_string();
        out::line(&match file.json {
            true => json!({ "file": file.file, "public_key": public }).to_string(),
            false => public,
        });
        Ok(())
    }
}
