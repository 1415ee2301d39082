//! The evaluation of a policy for one event and one app, as in keyrelay-host: in the real sandbox,
//! with the real check.

use std::collections::BTreeMap;
use std::time::Duration;

use keyrelay_model::{AppId, Decision, Event, Grant, Plan, Reference, Settings, plan};

use crate::about::View;
use crate::error::Undecided;
use crate::limits::PolicyLimits;
use crate::policy::Policy;
use crate::view::{AppView, VisibleSetting, visible_references, visible_settings};

/// The inputs of an evaluation.
#[derive(Debug, Clone)]
pub struct EvaluationInputs {
    /// The event.
    pub event: Event,
    /// The app.
    pub app: AppId,
    /// All settings of the app.
    pub settings: Settings,
    /// The rotation's parameters.
    pub parameters: BTreeMap<String, String>,
    /// The rotation's grant.
    pub grant: Grant,
    /// The limits of the policy.
    pub limits: PolicyLimits,
    /// The suffix of the vaults of our cloud: `vault.azure.net`.
    pub vault_suffix: String,
}

/// The result of an evaluation.
#[derive(Debug)]
pub struct Evaluation {
    /// The decision, with the verdict of the check.
    pub outcome: EvaluationOutcome,
    /// The output of the policy.
    pub log: Vec<String>,
    /// The time of all calls together.
    pub elapsed: Duration,
    /// The peak memory of a call, in bytes.
    pub memory: usize,
}

/// A decision, with the verdict of the check on a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvaluationOutcome {
    /// The policy patches, and the check allows this plan.
    Patch(Plan),
    /// The check refuses the patch, for these reasons.
    Refused(String),
    /// The policy refreshes the references.
    Refresh,
    /// The policy reports this text.
    Notice(String),
    /// The policy changes nothing, for this reason.
    Skip(String),
    /// The policy failed, or returned an error.
    Error(String),
}

impl EvaluationInputs {
    /// Evaluates the policy. A policy with the view `references` gets those first, and all settings
    /// in a second call if it decides to patch.
    pub async fn evaluate(&self, policy: &Policy) -> Evaluation {
        let mut evaluation = Evaluation {
            outcome: EvaluationOutcome::Refresh,
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
            return Evaluation {
                outcome: EvaluationOutcome::Skip(message),
                ..evaluation
            };
        }
        if let Err(error) = policy
            .check_parameters(&self.parameters, &self.limits)
            .await
        {
            return Evaluation {
                outcome: EvaluationOutcome::Error(error.to_string()),
                ..evaluation
            };
        }
        if policy.about().view == View::References {
            let references = self.settings.iter().filter_map(|(name, value)| {
                let reference: Reference = value.reference(&self.vault_suffix).ok()?;
                Some((name.clone(), reference.target().clone()))
            });
            let decided = self
                .decide(policy, &visible_references(references), &mut evaluation)
                .await;
            match decided {
                Ok(Decision::Patch(_)) => {}
                other => {
                    return Evaluation {
                        outcome: self.outcome(other),
                        ..evaluation
                    };
                }
            }
        }
        let visible = visible_settings(&self.settings, &self.grant, &self.vault_suffix);
        let decided = self.decide(policy, &visible, &mut evaluation).await;
        Evaluation {
            outcome: self.outcome(decided),
            ..evaluation
        }
    }

    async fn decide(
        &self,
        policy: &Policy,
        settings: &[VisibleSetting],
        evaluation: &mut Evaluation,
    ) -> Result<Decision, Undecided> {
        let view = AppView {
            id: &self.app,
            settings,
            parameters: &self.parameters,
            grant: &self.grant,
        };
        let evaluated = policy.decide(&self.event, &view, &self.limits).await;
        match evaluated {
            Ok(output) => {
                evaluation.log = output.log;
                evaluation.elapsed += output.elapsed;
                evaluation.memory = evaluation.memory.max(output.memory);
                Ok(output.decision)
            }
            Err(undecided) => {
                evaluation.log.clone_from(&undecided.log);
                Err(undecided)
            }
        }
    }

    fn outcome(&self, decided: Result<Decision, Undecided>) -> EvaluationOutcome {
        match decided {
            Ok(Decision::Patch(patch)) => {
                match plan(
                    &patch,
                    &self.event,
                    &self.settings,
                    &self.grant,
                    &self.vault_suffix,
                ) {
                    Ok(plan) => EvaluationOutcome::Patch(plan),
                    Err(refusal) => EvaluationOutcome::Refused(refusal.to_string()),
                }
            }
            Ok(Decision::Refresh) => EvaluationOutcome::Refresh,
            Ok(Decision::Notice(text)) => EvaluationOutcome::Notice(text),
            Ok(Decision::Skip(reason)) => EvaluationOutcome::Skip(reason),
            Err(Undecided { error, .. }) => EvaluationOutcome::Error(error.to_string()),
        }
    }
}
