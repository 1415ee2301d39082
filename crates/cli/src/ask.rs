//! Asks a policy about one event and one app, as keyrelay-host does: through the real sandbox, and the real check.

use std::collections::BTreeMap;
use std::time::Duration;

use keyrelay_model::{AppId, Decision, Event, Grant, Plan, Reference, Settings, plan};
use keyrelay_sandbox::{
    AppView, Limits, Policy, Undecided, View, VisibleSetting, visible_references, visible_settings,
};

/// What a policy is asked about, and what it may do.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) event: Event,
    pub(crate) app: AppId,
    pub(crate) settings: Settings,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) grant: Grant,
    pub(crate) limits: Limits,
    pub(crate) vault_suffix: String,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) outcome: Outcome,
    /// What the policy printed.
    pub(crate) log: Vec<String>,
    /// How long it took, of all questions together.
    pub(crate) elapsed: Duration,
    /// How large its memories were, in bytes.
    pub(crate) memory: usize,
}

/// A decision, and what the check makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Patch(Plan),
    Refused(String),
    Refresh,
    Notice(String),
    Skip(String),
    /// The policy gave no answer, or an error for one.
    Error(String),
}

impl Question {
    /// Asks. A policy that looks at references only is asked with those first, and once more with all settings if it
    /// wants to patch.
    pub(crate) async fn ask(&self, policy: &Policy) -> Came {
        let mut came = Came {
            outcome: Outcome::Refresh,
            log: Vec::new(),
            elapsed: Duration::ZERO,
            memory: 0,
        };
        if !policy.about().wants(self.event.occurrence) {
            let message = format!(
                "policy `{}` does not decide about {}",
                policy.name(),
                self.event.occurrence
            );
            return Came {
                outcome: Outcome::Skip(message),
                ..came
            };
        }
        if let Err(error) = policy
            .check_parameters(&self.parameters, &self.limits)
            .await
        {
            return Came {
                outcome: Outcome::Error(error.to_string()),
                ..came
            };
        }
        if policy.about().view == View::References {
            let references = self.settings.iter().filter_map(|(name, value)| {
                let reference: Reference = value.reference(&self.vault_suffix).ok()?;
                Some((name.clone(), reference.target().clone()))
            });
            let decided = self
                .decide(policy, &visible_references(references), &mut came)
                .await;
            match decided {
                Ok(Decision::Patch(_)) => {}
                other => {
                    return Came {
                        outcome: self.outcome(other),
                        ..came
                    };
                }
            }
        }
        let visible = visible_settings(&self.settings, &self.grant, &self.vault_suffix);
        let decided = self.decide(policy, &visible, &mut came).await;
        Came {
            outcome: self.outcome(decided),
            ..came
        }
    }

    async fn decide(
        &self,
        policy: &Policy,
        settings: &[VisibleSetting],
        came: &mut Came,
    ) -> Result<Decision, Undecided> {
        let view = AppView {
            id: &self.app,
            settings,
            parameters: &self.parameters,
        };
        let answer = policy.decide(&self.event, &view, &self.limits).await;
        match answer {
            Ok(answer) => {
                came.log = answer.log;
                came.elapsed += answer.elapsed;
                came.memory = came.memory.max(answer.memory);
                Ok(answer.decision)
            }
            Err(undecided) => {
                came.log.clone_from(&undecided.log);
                Err(undecided)
            }
        }
    }

    fn outcome(&self, decided: Result<Decision, Undecided>) -> Outcome {
        match decided {
            Ok(Decision::Patch(patch)) => {
                match plan(
                    &patch,
                    &self.event,
                    &self.settings,
                    &self.grant,
                    &self.vault_suffix,
                ) {
                    Ok(plan) => Outcome::Patch(plan),
                    Err(refusal) => Outcome::Refused(refusal.to_string()),
                }
            }
            Ok(Decision::Refresh) => Outcome::Refresh,
            Ok(Decision::Notice(text)) => Outcome::Notice(text),
            Ok(Decision::Skip(reason)) => Outcome::Skip(reason),
            Err(Undecided { error, .. }) => Outcome::Error(error.to_string()),
        }
    }
}
