//! The instruments. docs/telemetry.md has the same list, and a test compares the two.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::{Operation, RequestRecord};
use keyrelay_model::Verdict;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::record::Run;

/// The names of all metrics.
pub const NAMES: [&str; 9] = [
    "keyrelay.events",
    "keyrelay.rotations",
    "keyrelay.decision.duration",
    "keyrelay.event_to_verified.duration",
    "keyrelay.pending",
    "keyrelay.policies.loaded",
    "keyrelay.policies.quarantined",
    "keyrelay.requests",
    "keyrelay.requests.throttled",
];

/// The bounds of durations in seconds: decisions take microseconds, rotations up to minutes.
const BOUNDS: [f64; 15] =
    [0.000_1, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0];

/// What is counted and measured.
#[derive(Debug)]
pub struct Metrics {
    events: Counter<u64>,
    rotations: Counter<u64>,
    decision: Histogram<f64>,
    event_to_verified: Histogram<f64>,
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
            // Nobody has set a global one: its instruments do nothing.
            None => opentelemetry::global::meter("keyrelay"),
        };
        let [events, rotations, decision, event_to_verified, pending, loaded, quarantined, requests, throttled] = NAMES;
        let seconds = |name| meter.f64_histogram(name).with_unit("s").with_boundaries(BOUNDS.to_vec()).build();
        Self {
            events: meter.u64_counter(events).with_unit("{event}").build(),
            rotations: meter.u64_counter(rotations).with_unit("{rotation}").build(),
            decision: seconds(decision),
            event_to_verified: seconds(event_to_verified),
            pending: meter.u64_gauge(pending).with_unit("{rotation}").build(),
            loaded: meter.u64_gauge(loaded).with_unit("{policy}").build(),
            quarantined: meter.u64_gauge(quarantined).with_unit("{policy}").build(),
            requests: meter.u64_counter(requests).with_unit("{request}").build(),
            throttled: meter.u64_counter(throttled).with_unit("{answer}").build(),
        }
    }

    /// A run has come to its end.
    pub(crate) fn run(&self, run: &Run) {
        let kind = run.event.as_ref().map_or("none", |event| event.event_type.as_str());
        let verdict = run.ended.as_ref().map_or("handled", |outcome| outcome.verdict.as_str());
        let attributes = [KeyValue::new("event.type", kind.to_owned()), KeyValue::new("verdict", verdict)];
        self.events.add(1, &attributes);
        for rotation in &run.rotations {
            let verdict = rotation.outcome.verdict;
            let policy = run.policy.as_ref().map(|policy| policy.name.clone()).unwrap_or_default();
            let attributes = [KeyValue::new("verdict", verdict.as_str()), KeyValue::new("policy.name", policy)];
            self.rotations.add(1, &attributes);
            let since = run.event.as_ref().and_then(|event| event.event_time());
            if let (Verdict::Verified, Some(since)) = (verdict, since) {
                let seconds = Timestamp::now().duration_since(since).as_secs_f64();
                self.event_to_verified.record(seconds.max(0.0), &[]);
            }
        }
    }

    /// A policy has decided, or failed to.
    pub(crate) fn decision(&self, policy: &str, took: Duration) {
        self.decision.record(took.as_secs_f64(), &[KeyValue::new("policy.name", policy.to_owned())]);
    }

    /// The policies have been looked through.
    pub(crate) fn policies(&self, loaded: usize, quarantined: usize) {
        self.loaded.record(count(loaded), &[]);
        self.quarantined.record(count(quarantined), &[]);
    }

    /// The reconcile timer has seen how many rotations are open.
    pub(crate) fn pending(&self, open: usize) {
        self.pending.record(count(open), &[]);
    }

    pub(super) fn request(&self, record: &RequestRecord) {
        let service = match record.operation {
            Operation::ListVersions => "key-vault",
            _ => "resource-manager",
        };
        let status = record.status.map_or_else(|| "none".to_owned(), |status| format!("{}xx", status / 100));
        let attributes = [
            KeyValue::new("service", service),
            KeyValue::new("operation", record.operation.as_str()),
            KeyValue::new("status", status),
        ];
        self.requests.add(1, &attributes);
        // Also when there is none, so that an alert has something to look at.
        self.throttled.add(u64::from(record.throttled), &[KeyValue::new("service", service)]);
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
