//! What is written down about a run: one log line for each rotation, and the lines of the answer.

use std::time::Duration;

use keyrelay_azure::RequestRecord;
use keyrelay_model::{AppId, Event, EventError};

use crate::outcome::Outcome;

/// One rotation: one event, handled for one app.
#[derive(Debug)]
pub struct RotationRecord {
    /// The app.
    pub app: AppId,
    /// What the policy answered, in short.
    pub decision: Option<String>,
    /// The plan: names and references, never plain text.
    pub plan: Vec<String>,
    /// What the policy wrote to its output.
    pub policy_log: Vec<String>,
    /// The requests made to Azure.
    pub requests: Vec<RequestRecord>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub elapsed: Duration,
}

/// One event with all its rotations.
#[derive(Debug)]
pub struct Run {
    /// The invocation that brought the event.
    pub invocation: String,
    /// The event, or why the value that came is none.
    pub event: Result<Event, EventError>,
    /// The policy that decided, with the digest of its file.
    pub policy: Option<(String, String)>,
    /// The rotations.
    pub rotations: Vec<RotationRecord>,
    /// How the run ended before it came to rotations, if it did.
    pub ended: Option<Outcome>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Run {
    /// Whether Event Grid should deliver the event again.
    pub fn asks_for_redelivery(&self) -> bool {
        self.outcomes().any(|outcome| outcome.verdict.asks_for_redelivery())
    }

    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.ended.iter().chain(self.rotations.iter().map(|rotation| &rotation.outcome))
    }

    /// The lines for the answer to the Functions host, which logs them within the invocation.
    pub fn lines(&self) -> Vec<String> {
        let subject = match &self.event {
            Ok(event) => format!("{} {}/{}", event.event_type(), event.vault_host.vault(), event.name),
            Err(_) => "event".to_owned(),
        };
        let line = |app: &str, Outcome { verdict, message }: &Outcome| format!("{subject} {app}{verdict}: {message}");
        let ended = self.ended.iter().map(|outcome| line("", outcome));
        let rotations = self.rotations.iter().map(|it| line(&format!("{} ", it.app), &it.outcome));
        ended.chain(rotations).collect()
    }

    /// Writes the log lines: one for each rotation, or one for the run if it came to none.
    pub fn log(&self) {
        for rotation in &self.rotations {
            self.log_line(Some(rotation), &rotation.outcome);
        }
        if let Some(outcome) = &self.ended {
            self.log_line(None, outcome);
        }
    }

    fn log_line(&self, rotation: Option<&RotationRecord>, outcome: &Outcome) {
        let event = self.event.as_ref().ok();
        let id = self.event.as_ref().map_or_else(|error| error.id.clone(), |event| Some(event.id.clone()));
        let (policy, digest) = self.policy.as_ref().map(|(name, digest)| (name.as_str(), digest.as_str())).unzip();
        let list = |lines: &[String]| (!lines.is_empty()).then(|| lines.join("; "));
        let elapsed = rotation.map_or(self.elapsed, |rotation| rotation.elapsed);
        // `tracing` wants the level to be a constant, and each field to be named where it is logged.
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    invocation.id = self.invocation,
                    event.id = id,
                    event.type = event.map(Event::event_type),
                    vault.host = event.map(|event| event.vault_host.as_str()),
                    secret.name = event.map(|event| event.name.as_str()),
                    secret.version = event.and_then(|event| Some(event.version.as_ref()?.as_str())),
                    app.id = rotation.map(|rotation| rotation.app.to_string()),
                    policy.name = policy,
                    policy.digest = digest,
                    policy.log = rotation.and_then(|rotation| list(&rotation.policy_log)),
                    decision = rotation.and_then(|rotation| rotation.decision.as_deref()),
                    plan = rotation.and_then(|rotation| list(&rotation.plan)),
                    requests = rotation.map(|rotation| in_short(&rotation.requests)),
                    verdict = outcome.verdict.as_str(),
                    redelivery = outcome.verdict.asks_for_redelivery(),
                    duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
                    "{}",
                    outcome.message
                )
            };
        }
        if outcome.verdict.is_error() {
            line!(tracing::Level::ERROR);
        } else {
            line!(tracing::Level::INFO);
        }
    }
}

/// The requests in short, with the ids that Azure's support asks for.
fn in_short(requests: &[RequestRecord]) -> String {
    let one = |request: &RequestRecord| {
        let status = request.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        let id = request.ids.request.as_deref().unwrap_or("-");
        format!("{}: {status} in {} ms, {id}", request.operation, request.elapsed.as_millis())
    };
    requests.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use keyrelay_model::{EventErrorReason, Verdict};

    use super::*;

    fn run(outcomes: Vec<Outcome>, ended: Option<Outcome>) -> Run {
        let rotation = |outcome| RotationRecord {
            app: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders".parse().unwrap(),
            decision: None,
            plan: Vec::new(),
            policy_log: Vec::new(),
            requests: Vec::new(),
            outcome,
            elapsed: Duration::ZERO,
        };
        Run {
            invocation: "i".to_owned(),
            event: Err(EventError { id: None, reason: EventErrorReason::Missing("id") }),
            policy: None,
            rotations: outcomes.into_iter().map(rotation).collect(),
            ended,
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn one_transient_rotation_asks_for_the_event_again() {
        let fine = || Outcome::new(Verdict::Verified, "fine");
        assert!(!run(vec![fine(), Outcome::permanent("broken")], None).asks_for_redelivery());
        assert!(run(vec![fine(), Outcome::transient("busy")], None).asks_for_redelivery());
        assert!(run(vec![], Some(Outcome::transient("busy"))).asks_for_redelivery());
    }

    #[test]
    fn every_outcome_is_a_line_of_the_answer() {
        let lines = run(vec![Outcome::permanent("broken")], Some(Outcome::transient("busy"))).lines();
        assert_eq!(
            lines,
            [
                "event failed: busy",
                "event /subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders failed: broken"
            ]
        );
    }
}
