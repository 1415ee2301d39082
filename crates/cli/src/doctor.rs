//! `keyrelay doctor`: looks at everything that a rotation needs, and says what is missing. Changes nothing.

mod apps;
mod events;
mod files;
mod finding;
mod rights;
mod state;
mod surroundings;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Args;
use keyrelay_azure::{Call, Deadline};
use keyrelay_model::AppId;

use crate::out;
use finding::Findings;
use surroundings::Surroundings;

/// Look at everything that a rotation needs, and say what is missing
///
/// One line for each thing, `ok` or `FAIL` with the fix behind it: configuration, time limits, policies and their lock, the
/// identity and its rights, the vaults and their event subscriptions, the apps and their references, the store, the last
/// event. Nothing is changed. Ends with 1 if anything fails.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// The folder of the function app: host.json, keyrelay.toml, policies/
    #[arg(default_value = ".")]
    app: PathBuf,
    /// keyrelay's function app in Azure, by its id: its app settings and its identity are looked at, too
    #[arg(long, value_name = "ID")]
    site: Option<AppId>,
    /// Whose rights are looked at, by the object id. Default: those of the site, else those of whoever runs this
    #[arg(long, value_name = "OBJECT ID")]
    principal: Option<String>,
    /// How long Azure is asked, in seconds
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    patience: u64,
    /// Print each finding as JSON on one line
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay doctor app --site /subscriptions/S/resourceGroups/G/providers/Microsoft.Web/sites/NAME
      an installation, as whoever is logged in with `az login`: the role Reader is enough for most of it
  keyrelay doctor target/app
      with the environment that `keyrelay local` prints: everything on this machine";

impl Doctor {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut findings = Findings::new(self.json);
        let call = Call::until(Deadline::after(Duration::from_secs(self.patience)));
        let surroundings =
            Surroundings::find(&self.app, self.site, self.principal, &call, &mut findings).await?;
        files::look(
            &self.app,
            surroundings.as_ref().map(|it| &it.config),
            &mut findings,
        )
        .await;
        if let Some(surroundings) = &surroundings {
            state::look(surroundings, &mut findings).await;
            if surroundings.has_identity(&mut findings).await {
                let apps = apps::look(surroundings, &call, &mut findings).await;
                rights::look(surroundings, &apps, &call, &mut findings).await;
                events::look(surroundings, &apps, &call, &mut findings).await;
            }
        }
        ensure!(findings.count() > 0, "nothing could be looked at");
        match findings.failed() {
            0 => {
                out::note(&format!("{} findings, all well", findings.count()));
                Ok(())
            }
            failed => bail!(
                "{failed} of {} findings need somebody: the fix is behind each",
                findings.count()
            ),
        }
    }
}
