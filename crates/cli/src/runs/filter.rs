//! The filters of runs.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use keyrelay_config::SecretPattern;
use keyrelay_model::{AppId, SecretName};
use keyrelay_records::summary::{Summary, VerdictWord};

use super::lines::cause_word;
use crate::filters::{AppName, any, is_vault};

/// The options that filter runs. A run has to match every option that is given, and any of its
/// values.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Filters (each may be repeated, or take several values with commas between them)"
)]
pub(super) struct Filter {
    /// Runs with this verdict, of any app or of the run itself
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(VERDICTS).map(|word| word.replace('-', " ")))]
    verdict: Vec<String>,
    /// Runs about this secret: a name, or a pattern like `sql-*`
    #[arg(long, value_delimiter = ',', value_name = "NAME|PATTERN")]
    secret: Vec<SecretPattern>,
    /// Runs about objects of this vault: its name, or its host
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    vault: Vec<String>,
    /// Runs that handled this app: a site (with its slots), site/slot, or the app's id. `--verdict`
    /// then applies to it
    #[arg(long, value_delimiter = ',', value_name = "NAME|ID")]
    app: Vec<AppName>,
    /// Runs with this cause
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(CAUSES))]
    cause: Vec<String>,
}

const VERDICTS: [&str; 8] = [
    "verified",
    "refreshed",
    "pending",
    "rolled-back",
    "refused",
    "failed",
    "unchanged",
    "monitored",
];

const CAUSES: [&str; 5] = ["event", "pending", "drift", "reminder", "resubmit"];

impl Filter {
    pub(super) fn matches(&self, run: &Summary) -> bool {
        let event = run.event.as_ref();
        any(&self.cause, |wanted| cause_word(run.cause) == wanted)
            && any(&self.vault, |wanted| {
                event.is_some_and(|event| is_vault(&event.vault_host, wanted))
            })
            && any(&self.secret, |wanted| {
                let secret = event.and_then(|event| event.name.parse::<SecretName>().ok());
                secret.is_some_and(|secret| wanted.matches(&secret))
            })
            && self.matches_verdict(run)
    }

    fn matches_verdict(&self, run: &Summary) -> bool {
        let wanted = |verdict: VerdictWord| any(&self.verdict, |it| verdict.as_str() == it);
        if self.app.is_empty() {
            return run.verdicts().any(wanted);
        }
        let of_app = |app: &AppId| self.app.iter().any(|wanted| wanted.is_of(app));
        let mut rotations = run.rotations.iter();
        rotations.any(|(app, verdict)| of_app(app) && wanted(*verdict))
    }
}

#[cfg(test)]
mod tests {
    use keyrelay_model::Verdict;

    use super::*;

    #[test]
    fn every_word_for_a_verdict_is_one() {
        for word in VERDICTS {
            assert!(
                Verdict::from_word(&word.replace('-', " "), false).is_some(),
                "{word}"
            );
        }
    }
}
