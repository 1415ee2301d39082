//! The log lines of a run, and the lines of the response.

use keyrelay_model::{PlannedChange, Verdict};

use super::{AzureRequest, RotationRecord, Run};
use crate::outcome::Outcome;

impl Run {
    /// Returns the lines of the response to the Functions host, which logs them within the
    /// invocation.
    pub fn lines(&self) -> Vec<String> {
        let subject = match &self.event {
            Some(event) => {
                let vault = event.vault_host.split('.').next().unwrap_or_default();
                format!("{} {vault}/{}", event.event_type, event.name)
            }
            None => "event".to_owned(),
        };
        let line = |app: &str, outcome: &Outcome| {
            format!("{subject} {app}{}: {}", outcome.headline(), outcome.message)
        };
        let ended = self.ended.iter().map(|outcome| line("", outcome));
        let rotations = self
            .rotations
            .iter()
            .map(|it| line(&format!("{} ", it.app), &it.outcome));
        ended.chain(rotations).collect()
    }

    /// Logs one line for each rotation, and one for a run that ended before its rotations: an error if it
    /// failed, and a warning with the field `notice` for what a policy wants to be known.
    pub fn log(&self, event_id: Option<&str>) {
        for rotation in &self.rotations {
            self.log_line(event_id, Some(rotation), &rotation.outcome);
        }
        if let Some(outcome) = &self.ended {
            self.log_line(event_id, None, outcome);
        }
    }

    fn log_line(
        &self,
        event_id: Option<&str>,
        rotation: Option<&RotationRecord>,
        outcome: &Outcome,
    ) {
        let event = self.event.as_ref();
        let policy = self.policy.as_ref();
        let is_notice = outcome.verdict == Verdict::Notice;
        let list = |lines: &[String]| (!lines.is_empty()).then(|| lines.join("; "));
        // `tracing` needs a constant level, and the name of each field in the call.
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    run.id = self.id.as_str(),
                    invocation.id = self.invocation,
                    event.id = event_id,
                    event.type = event.map(|event| event.event_type.as_str()),
                    vault.host = event.map(|event| event.vault_host.as_str()),
                    secret.name = event.map(|event| event.name.as_str()),
                    secret.version = event.and_then(|event| event.version.as_deref()),
                    app.id = rotation.map(|rotation| rotation.app.to_string()),
                    policy.name = policy.map(|policy| policy.name.as_str()),
                    policy.digest = policy.map(|policy| policy.digest.as_str()),
                    policy.log = rotation.and_then(|rotation| list(&rotation.policy_log)),
                    decision = rotation.and_then(|rotation| rotation.decision.as_deref()),
                    plan = rotation.and_then(|rotation| list(&lines(&rotation.plan))),
                    notes = rotation.and_then(|rotation| list(&rotation.notes)),
                    requests = rotation.map(|rotation| in_short(&rotation.requests)),
                    notice = is_notice.then_some(true),
                    verdict = outcome.verdict.as_str(),
                    evidence = outcome.evidence.map(|evidence| evidence.as_str()),
                    redelivery = outcome.verdict.asks_for_redelivery(),
                    duration_ms = rotation.map_or(self.duration_ms, |rotation| rotation.duration_ms),
                    "{}",
                    outcome.message
                )
            };
        }
        if outcome.verdict.is_error() {
            line!(tracing::Level::ERROR);
        } else if is_notice {
            line!(tracing::Level::WARN);
        } else {
            line!(tracing::Level::INFO);
        }
    }
}

/// The changes of a plan, a line for each.
fn lines(plan: &[PlannedChange]) -> Vec<String> {
    plan.iter().map(ToString::to_string).collect()
}

/// Summarises requests, with the ids that Azure's support asks for.
fn in_short(requests: &[AzureRequest]) -> String {
    let one = |request: &AzureRequest| {
        let status = request
            .status
            .map_or_else(|| "no response".to_owned(), |status| status.to_string());
        let id = request.request_id.as_deref().unwrap_or("-");
        format!(
            "{}: {status} in {} ms, {id}",
            request.operation, request.duration_ms
        )
    };
    requests.iter().map(one).collect::<Vec<_>>().join("; ")
}
