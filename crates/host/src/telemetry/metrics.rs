//! The instruments, and the values that they record.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::{Operation, RequestRecord};
use keyrelay_model::Verdict;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::instruments;
use keyrelay_records::Run;

/// The instruments.
#[derive(Debug)]
pub struct Metrics {
    events: Counter<u64>,
    rotations: Counter<u64>,
    decision: Histogram<f64>,
    event_to_evidence: Histogram<f64>,
    pending: Gauge<u64>,
    loaded: Gauge<u64>,
    quarantined: Gauge<u64>,
    requests: Counter<u64>,
    throttled: Counter<u64>,
}

impl Metrics {
    pub(super) fn new(provider: Option<&SdkMeterProvider>) -> Self {
        let meter: Meter = match provider {
            Some(provider) => provider.meter("keyrelay"),
            // No global provider is set: its instruments do nothing.
            None => opentelemetry::global::meter("keyrelay"),
        };
        Self {
            events: instruments::EVENTS.counter(&meter),
            rotations: instruments::ROTATIONS.counter(&meter),
            decision: instruments::DECISION.histogram(&meter),
            event_to_evidence: instruments::EVENT_TO_EVIDENCE.histogram(&meter),
            pending: instruments::PENDING.gauge(&meter),
            loaded: instruments::LOADED.gauge(&meter),
            quarantined: instruments::QUARANTINED.gauge(&meter),
            requests: instruments::REQUESTS.counter(&meter),
            throttled: instruments::THROTTLED.counter(&meter),
        }
    }

    /// Counts a run and its rotations.
    pub(crate) fn run(&self, run: &Run) {
        let kind = run
            .event
            .as_ref()
            .map_or("none", |event| event.event_type.as_str());
        let verdict = run
            .ended
            .as_ref()
            .map_or("handled", |outcome| outcome.verdict.as_str());
        let attributes = [
            KeyValue::new("event.type", kind.to_owned()),
            KeyValue::new("verdict", verdict),
        ];
        self.events.add(1, &attributes);
        for rotation in &run.rotations {
            let verdict = rotation.outcome.verdict;
            let evidence = rotation.outcome.evidence;
            let policy = run
                .policy
                .as_ref()
                .map(|policy| policy.name.clone())
                .unwrap_or_default();
            let attributes = [
                KeyValue::new("verdict", verdict.as_str()),
                KeyValue::new("policy.name", policy),
            ];
            self.rotations.add(1, &attributes);
            let since = run.event.as_ref().and_then(|event| event.event_time());
            if let (Some(evidence), Some(since), false) =
                (evidence, since, verdict == Verdict::Unchanged)
            {
                let seconds = Timestamp::now().duration_since(since).as_secs_f64();
                let attributes = [KeyValue::new("evidence", evidence.as_str())];
                self.event_to_evidence.record(seconds.max(0.0), &attributes);
            }
        }
    }

    /// Records the duration of a decision, successful or not.
    pub(crate) fn decision(&self, policy: &str, took: Duration) {
        self.decision.record(
            took.as_secs_f64(),
            &[KeyValue::new("policy.name", policy.to_owned())],
        );
    }

    /// Records the numbers of loaded and quarantined policies.
    pub(crate) fn policies(&self, loaded: usize, quarantined: usize) {
        self.loaded.record(count(loaded), &[]);
        self.quarantined.record(count(quarantined), &[]);
    }

    /// Records the number of pending rotations.
    pub(crate) fn pending(&self, open: usize) {
        self.pending.record(count(open), &[]);
    }

    pub(super) fn request(&self, record: &RequestRecord) {
        let service = match record.operation {
            Operation::ListVersions => "key-vault",
            Operation::QueryAuditLog => "log-analytics",
            _ => "resource-manager",
        };
        let status = record
            .status
            .map_or_else(|| "none".to_owned(), |status| format!("{}xx", status / 100));
        let attributes = [
            KeyValue::new("service", service),
            KeyValue::new("operation", record.operation.as_str()),
            KeyValue::new("status", status),
        ];
        self.requests.add(1, &attributes);
        // Zero is recorded too, so that an alert rule finds the metric.
        self.throttled.add(
            u64::from(record.throttled),
            &[KeyValue::new("service", service)],
        );
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
