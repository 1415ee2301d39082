//! `keyrelay doctor`: read-only diagnostics of an installation.

mod apps;
mod environment;
mod events;
mod files;
mod finding;
mod rights;
mod state;
mod vaults;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Args;
use keyrelay_azure::{Call, Deadline};
use keyrelay_model::AppId;

use crate::out;
use environment::Environment;
use finding::Findings;

/// Diagnose an installation: check everything that a rotation needs
///
/// Prints one line per check: `ok`, or `FAIL` followed by the fix. The checks cover configuration,
/// time limits, policies and their lock, the identity and its rights, vaults and their event
/// subscriptions, apps and their references, the store, and the last event. Nothing is changed.
/// Exits with 1 if a check fails.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// The folder of the function app: host.json, keyrelay.toml, policies/
    #[arg(default_value = ".")]
    app: PathBuf,
    /// The resource id of keyrelay's function app in Azure: its app settings and its identity are
    /// checked, too
    #[arg(long, value_name = "ID")]
    site: Option<AppId>,
    /// The object id of the identity whose rights are checked. Default: the identities of the site,
    /// else the account that runs this command
    #[arg(long, value_name = "OBJECT ID")]
    principal: Option<String>,
    /// Time limit for all requests to Azure, in seconds
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    patience: u64,
    /// Print each finding as JSON on one line
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay doctor app --site /subscriptions/S/resourceGroups/G/providers/Microsoft.Web/sites/NAME
      an installation, with the account of `az login`: the role Reader is enough for most checks
  keyrelay doctor target/app
      with the environment that `keyrelay local` prints: everything on this machine";

impl Doctor {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut findings = Findings::new(self.json);
        let call = Call::until(Deadline::after(Duration::from_secs(self.patience)));
        let environment =
            Environment::find(&self.app, self.site, self.principal, &call, &mut findings).await?;
        files::check(
            &self.app,
            environment.as_ref().map(|it| &it.config),
            &mut findings,
        )
        .await;
        if let Some(environment) = &environment {
            state::check(environment, &mut findings).await;
            if environment.has_identities(&mut findings).await {
                let apps = apps::check(environment, &call, &mut findings).await;
                rights::check(environment, &apps, &call, &mut findings).await;
                let vaults = vaults::check(environment, &apps, &call, &mut findings).await;
                events::check(environment, &apps, &vaults, &call, &mut findings).await;
            }
        }
        ensure!(findings.count() > 0, "nothing could be checked");
        match findings.failed() {
            0 => {
                out::note(&format!("{} findings, all ok", findings.count()));
                Ok(())
            }
            failed => bail!(
                "{failed} of {} findings failed: the fix is at the end of each line",
                findings.count()
            ),
        }
    }
}
