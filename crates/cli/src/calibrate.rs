//! `keyrelay calibrate`: the behaviour of a live Azure, recorded with a throw-away app.

mod calibration;
mod consent;
mod environment;
mod file;
mod findings;
mod journal;
mod measurement;
mod operation;
mod placeholders;
mod redact;
mod rows;
mod session;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use keyrelay_model::{AppId, SecretName};
use tokio::sync::watch;

use crate::interruption::interruption;
use crate::out;
use crate::usage_error::OrUsageError;
use calibration::Calibration;
use environment::Target;
use file::File;
use findings::{EXPECTED, Findings};
use measurement::Pace;
use session::Interrupted;

/// Record how your Azure treats references to Key Vault, with a throw-away app
///
/// Documentation and reports differ about references: whether Azure names the version that an app
/// uses, how long a refresh takes, and whether the first one after a new version takes. This
/// command makes about ten documented calls on an app that you name, and writes a file without
/// secrets, names and ids. `keyrelay local --profile FILE` behaves like that Azure, and a file that
/// is attached to an issue of the project settles these questions for all.
///
/// It changes two things, and asks before: references are refreshed, which may restart the app, and
/// with `--vault` and `--secret` the secret gets new versions with random values. The first of them
/// is disabled, so that the reference breaks; the last one is enabled, also after an error or
/// Ctrl-C. Without a secret, nothing breaks, and only a change of an active version shows the
/// effect of a refresh.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Calibrate {
    /// The resource id of a throw-away app. A setting of it, and if possible a connection string
    /// and a setting of a slot, should reference the secret without a version
    #[arg(long, value_name = "ID")]
    site: AppId,
    /// The name of the vault
    #[arg(long, value_name = "NAME", requires = "secret")]
    vault: Option<String>,
    /// The name of a throw-away secret. It gets new versions with random values
    #[arg(long, value_name = "NAME", requires = "vault")]
    secret: Option<SecretName>,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "calibration.json")]
    out: PathBuf,
    /// The folder with keyrelay.toml, for another cloud than the public one
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    app: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// The pause between two reads of the statuses
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    every: Duration,
    /// The time to wait for the effect of a refresh
    #[arg(long = "for", value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    limit: Duration,
}

const EXAMPLES: &str = "\
Example, with the account of `az login` and a setting of the app such as
SQL=@Microsoft.KeyVault(VaultName=throw-away-kv;SecretName=throw-away):
  keyrelay calibrate --vault throw-away-kv --secret throw-away \\
      --site /subscriptions/S/resourceGroups/G/providers/Microsoft.Web/sites/NAME
  keyrelay local --profile calibration.json

keyrelay must not serve the app meanwhile: it refreshes references, too, and the times would be
wrong.
The account needs the role `Website Contributor` on the app and `Key Vault Secrets Officer` on the
vault. A right that is missing is part of the findings: the other calls are made.";

/// The reason that a calibration ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Finished,
    Interrupted,
}

impl Calibrate {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.site.slot().is_some() {
            return Err(anyhow!("`--site` is a slot: name the site")).or_usage_error();
        }
        let target = Target::find(&self)?;
        consent::ask(&self)?;
        let file = File::open(&self.out)?;

        let (interrupt, interrupted) = watch::channel(false);
        let interruption = interruption().context("cannot wait for signals")?;
        let signals = tokio::spawn(async move {
            interruption.await;
            interrupt.send_replace(true);
        });
        let pace = Pace {
            every: self.every,
            limit: self.limit,
        };
        let mut calibration = Calibration::new(target.session(&self, interrupted), pace);
        let end = match calibration.run().await {
            Ok(()) => End::Finished,
            Err(Interrupted) => End::Interrupted,
        };
        let is_disabled = !self.leave_enabled(&mut calibration).await;
        signals.abort();
        self.report(&file, calibration, end, is_disabled)
    }

    /// Sets an enabled version if the newest one may be disabled. Returns false if that fails.
    async fn leave_enabled(&self, calibration: &mut Calibration) -> bool {
        let session = &mut calibration.session;
        if !session.may_be_disabled {
            return true;
        }
        out::note("leave the secret enabled");
        session.enable().await.is_some()
    }

    /// Writes the file and the summary.
    fn report(
        &self,
        file: &File,
        calibration: Calibration,
        end: End,
        is_disabled: bool,
    ) -> anyhow::Result<()> {
        let Calibration {
            session,
            pace,
            mut seen,
            ..
        } = calibration;
        if end == End::Interrupted {
            seen.notes
                .push("The calibration was interrupted.".to_owned());
        }
        if is_disabled {
            seen.notes
                .push("The newest version of the secret may be disabled.".to_owned());
        }
        let findings = Findings::new(&seen, session.journal.missing_rights());
        let mut summary = findings.sentences(pace);
        summary.extend(seen.notes.iter().cloned());
        file.write(&session, pace, &seen, &findings, &summary)?;
        for sentence in &summary {
            out::line(sentence);
        }
        let anything = session.journal.any_succeeded();
        if anything {
            self.advise(&findings);
        }
        let file = self.out.display();
        if is_disabled {
            let (vault, secret) = (self.vault.as_deref(), self.secret.as_ref());
            let (vault, secret) = (vault.unwrap_or_default(), secret.map(SecretName::as_str));
            bail!(
                "the secret could not be set to an enabled version: run `az keyvault secret set --vault-name {vault} --name {} --value x`",
                secret.unwrap_or_default()
            );
        }
        ensure!(
            anything,
            "nothing could be learned: no call succeeded, see {file}"
        );
        if end == End::Interrupted {
            bail!("interrupted: {file} has the calls so far");
        }
        Ok(())
    }

    /// Prints what to do with the findings.
    fn advise(&self, findings: &Findings) {
        let file = self.out.display();
        out::line("");
        if let Some(refresh) = findings.refresh.filter(|refresh| *refresh > EXPECTED) {
            let milliseconds = refresh.as_secs_f64().ceil() * 1000.0;
            out::line(&format!(
                "A refresh takes longer than keyrelay expects. Write into keyrelay.toml:\n  azure_refresh_ms = {milliseconds}"
            ));
        }
        out::line(&format!(
            "{file} has all calls without secrets, names and ids. Read it, then attach it to an issue of the project."
        ));
        out::line(&format!(
            "`keyrelay local --profile {file}` behaves like this Azure."
        ));
    }
}

/// Parses a number of seconds, which may have a fraction.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    match Duration::try_from_secs_f64(number) {
        Ok(duration) if (0.01..=3600.0).contains(&number) => Ok(duration),
        _ => Err("expected 0.01 to 3600".to_owned()),
    }
}
