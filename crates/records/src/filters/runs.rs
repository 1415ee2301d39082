//! A filter of runs.

use keyrelay_config::SecretPattern;
use keyrelay_model::{AppId, SecretName};

use super::{AppName, any, is_vault};
use crate::summary::{Summary, VerdictWord};

/// A filter of runs. A run has to match every list that is not empty, and any of its values.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// The words of verdicts, of any app or of the run itself.
    pub verdicts: Vec<String>,
    /// The secrets that the run is about.
    pub secrets: Vec<SecretPattern>,
    /// The names or hosts of vaults.
    pub vaults: Vec<String>,
    /// The apps that the run handled. The verdicts are then those of these apps.
    pub apps: Vec<AppName>,
    /// The words of causes.
    pub causes: Vec<String>,
}

impl RunFilter {
    /// Whether a run matches.
    pub fn matches(&self, run: &Summary) -> bool {
        let event = run.event.as_ref();
        any(&self.causes, |wanted| run.cause.as_str() == wanted)
            && any(&self.vaults, |wanted| {
                event.is_some_and(|event| is_vault(&event.vault_host, wanted))
            })
            && any(&self.secrets, |wanted| {
                let secret = event.and_then(|event| event.name.parse::<SecretName>().ok());
                secret.is_some_and(|secret| wanted.matches(&secret))
            })
            && self.matches_verdict(run)
    }

    fn matches_verdict(&self, run: &Summary) -> bool {
        let wanted = |verdict: VerdictWord| any(&self.verdicts, |it| verdict.as_str() == it);
        if self.apps.is_empty() {
            return run.verdicts().any(wanted);
        }
        let of_app = |app: &AppId| self.apps.iter().any(|wanted| wanted.is_of(app));
        let mut rotations = run.rotations.iter();
        rotations.any(|(app, verdict)| of_app(app) && wanted(*verdict))
    }
}
