//! `keyrelay doctor`: read-only diagnostics of an installation.

mod apps;
mod authentication;
mod environment;
mod events;
mod files;
mod finding;
mod fix;
mod part;
mod report;
mod rights;
mod screen;
mod state;
mod vaults;
mod wrap;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Args;
use keyrelay_azure::{Call, Deadline};
use keyrelay_model::AppId;
use keyrelay_ui::{FindingLevel, InstallationFinding};

use crate::out;
use environment::Environment;
use finding::Level;
use part::Part;
use report::{Report, Shown};

/// Diagnose an installation: check everything that a rotation needs
///
/// The checks cover the files and policies, the identity, who can sign in to the pages, the vaults,
/// the identity's rights, the apps and their references, the event subscriptions, the store and the
/// last event. Nothing is changed.
///
/// The first line counts the findings: `1 failed, 0 warnings, 17 ok`. The findings follow, part by
/// part, worst first: `FAIL` and `warn` with the fix, and `ok`. Apps or vaults with the same problem
/// are one finding with one fix. The output fits on a screen of 80 columns: if it is full, what is
/// `ok` is only named or counted.
///
/// Exits with 1 if a check fails. A warning is no failure.
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
    /// Show only failures and warnings, without a limit of lines
    #[arg(long)]
    failed: bool,
    /// Print each finding as JSON on one line, with all apps and vaults that it concerns
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay doctor app --site /subscriptions/S/resourceGroups/G/providers/Microsoft.Web/sites/NAME
      an installation, with the account of `az login`: the role Reader is enough for most checks
  keyrelay doctor app --site ID --failed
      only what is not fine, without a limit for its length; with --json, for a script
  keyrelay doctor target/app
      with the environment that `keyrelay local` prints: everything on this machine";

impl Doctor {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let shown = Shown {
            json: self.json,
            failed: self.failed,
        };
        let mut report = Report::default();
        // An error ends the checks, but what they have found is worth showing.
        let checked = self.check(&mut report, progress).await;
        let count = report.count();
        if count > 0 {
            report.print(shown);
        }
        checked?;
        ensure!(count > 0, "nothing could be checked");
        match report.count_of(Level::Failed) {
            0 => Ok(()),
            failed => bail!("{failed} of {count} findings failed: each has its fix"),
        }
    }

    async fn check(self, report: &mut Report, progress: fn(&str)) -> anyhow::Result<()> {
        let call = Call::until(Deadline::after(Duration::from_secs(self.patience)));
        let environment = Environment::find(
            &self.app,
            self.site,
            self.principal,
            &call,
            report.of(Part::Environment),
        )
        .await?;
        let config = environment.as_ref().map(|it| &it.config);
        progress("policies");
        files::check(&self.app, config, report.of(Part::Files)).await;
        let Some(environment) = environment else {
            return Ok(());
        };
        progress("the store");
        state::check(&environment, report.of(Part::State)).await;
        if !environment
            .has_identities(report.of(Part::Environment))
            .await
        {
            return Ok(());
        }
        authentication::check(&environment, &call, report.of(Part::Environment)).await;
        progress("apps");
        let apps = apps::check(&environment, &call, report.of(Part::Apps)).await;
        progress("rights");
        rights::check(&environment, &apps, &call, report.of(Part::Rights)).await;
        progress("vaults and events");
        let vaults = vaults::check(&environment, &apps, &call, report.of(Part::Vaults)).await;
        let findings = report.of(Part::Events);
        events::check(&environment, &apps, &vaults, &call, findings).await;
        Ok(())
    }
}

/// Makes the same checks for the pages.
pub(crate) async fn findings(app: PathBuf, site: Option<AppId>) -> Vec<InstallationFinding> {
    let doctor = Doctor {
        app,
        site,
        principal: None,
        patience: 120,
        failed: false,
        json: false,
    };
    let mut report = Report::default();
    let checked = doctor.check(&mut report, |_| {}).await;
    let mut findings = report.findings();
    if let Err(error) = checked {
        let finding = InstallationFinding {
            level: FindingLevel::Failed,
            what: "doctor".to_owned(),
            message: format!("the checks ended early: {error:#}"),
            fix: None,
        };
        findings.insert(0, finding);
    }
    findings
}

/// Tells a person who waits what is checked now: many apps take a minute.
fn progress(what: &str) {
    if io::stderr().is_terminal() {
        out::note(&format!("checking {what}"));
    }
}
