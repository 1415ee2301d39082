//! The process of the stand-in for Azure.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context, bail};

use crate::{app, shell};

/// A running stand-in, with keyrelay-host in it. Dropping it ends both.
pub(super) struct StandIn {
    process: Child,
    /// The file with the certificate of its endpoints.
    pub(super) certificate: PathBuf,
    /// The HTTPS URL of Resource Manager.
    pub(super) resource_manager: String,
    /// The HTTPS URL of the vaults.
    pub(super) key_vault: String,
    /// The variables of App Service that lead to the identity endpoint.
    pub(super) identity: Vec<(String, String)>,
}

impl StandIn {
    /// Starts the stand-in with this world, and keyrelay-host as this site. All exchanges are
    /// appended to `record`.
    pub(super) fn start(
        world: &str,
        site: &str,
        folder: &Path,
        function_app: &Path,
        record: &Path,
    ) -> anyhow::Result<Self> {
        shell::step(&format!("starting the stand-in with {world}"));
        let certificate = folder.join("certificate.pem");
        let mut command = shell::command(app::binary("keyrelay"));
        command
            .args(["local", "--world", world, "--site", site])
            .args(["--profile", "ideal", "--page-size", "2", "--app"])
            .arg(function_app)
            .arg("--certificate")
            .arg(&certificate)
            .arg("--record")
            .arg(record)
            .stdout(Stdio::piped());
        let mut stand_in = Self {
            process: command.spawn().context("cannot start `keyrelay local`")?,
            certificate,
            resource_manager: String::new(),
            key_vault: String::new(),
            identity: Vec::new(),
        };
        let output = stand_in.process.stdout.take();
        let mut output = BufReader::new(output.context("`keyrelay local` has no output")?);
        stand_in.read_endpoints(&mut output)?;
        // The pipe has to be drained, or the stand-in would block.
        std::thread::spawn(move || io::copy(&mut output, &mut io::sink()));
        Ok(stand_in)
    }

    fn read_endpoints(&mut self, output: &mut impl BufRead) -> anyhow::Result<()> {
        for line in output.lines() {
            let line = line?;
            let url = |start: &str| {
                let url = line.strip_prefix(start)?.split_whitespace().next()?;
                let url = url.replacen("http://", "https://", 1);
                Some(url.trim_end_matches('/').to_owned())
            };
            if let Some(url) = url("Resource Manager") {
                self.resource_manager = url;
            } else if let Some(url) = url("Key Vault") {
                self.key_vault = url;
            } else if let Some((name, value)) = line
                .trim()
                .strip_prefix("export IDENTITY_")
                .and_then(|it| it.split_once('='))
            {
                let value = value.trim_matches('\'').to_owned();
                self.identity.push((format!("IDENTITY_{name}"), value));
            }
            if self.identity.len() == 2 {
                return Ok(());
            }
        }
        bail!("`keyrelay local` did not print its endpoints");
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // SIGTERM also ends keyrelay-host. Both fail if the process has ended already.
        let _ = shell::command("kill")
            .arg(self.process.id().to_string())
            .status();
        let _ = self.process.wait();
    }
}
