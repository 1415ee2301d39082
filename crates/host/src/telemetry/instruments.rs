//! The metrics as data: the instruments and docs/reference/metrics.md are made from it.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instrument {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: InstrumentKind,
    /// Its unit, in UCUM.
    pub unit: &'static str,
    /// Its attributes.
    pub attributes: &'static [&'static str],
    /// Its meaning, for the reference.
    pub meaning: &'static str,
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstrumentKind {
    /// A count that only grows.
    Counter,
    /// The last value.
    Gauge,
    /// Durations, counted by their bounds.
    Histogram,
}

const fn instrument(
    name: &'static str,
    kind: InstrumentKind,
    unit: &'static str,
    attributes: &'static [&'static str],
    meaning: &'static str,
) -> Instrument {
    Instrument {
        name,
        kind,
        unit,
        attributes,
        meaning,
    }
}

pub(super) const EVENTS: Instrument = instrument(
    "keyrelay.events",
    InstrumentKind::Counter,
    "{event}",
    &["event.type", "verdict"],
    "events that were handled; the verdict is `handled`, or that of an event that came to no rotation",
);
pub(super) const ROTATIONS: Instrument = instrument(
    "keyrelay.rotations",
    InstrumentKind::Counter,
    "{rotation}",
    &["verdict", "policy.name"],
    "rotations with a verdict, pending ones included",
);
pub(super) const DECISION: Instrument = instrument(
    "keyrelay.decision.duration",
    InstrumentKind::Histogram,
    "s",
    &["policy.name"],
    "time of a decision, the sandbox included",
);
pub(super) const EVENT_TO_EVIDENCE: Instrument = instrument(
    "keyrelay.event_to_evidence.duration",
    InstrumentKind::Histogram,
    "s",
    &["evidence"],
    "time from the event, by the vault's clock, to the verdict `verified` or `refreshed`, by its evidence",
);
pub(super) const PENDING: Instrument = instrument(
    "keyrelay.pending",
    InstrumentKind::Gauge,
    "{rotation}",
    &[],
    "pending rotations at the last run of the timer",
);
pub(super) const LOADED: Instrument = instrument(
    "keyrelay.policies.loaded",
    InstrumentKind::Gauge,
    "{policy}",
    &[],
    "policies that can be used",
);
pub(super) const QUARANTINED: Instrument = instrument(
    "keyrelay.policies.quarantined",
    InstrumentKind::Gauge,
    "{policy}",
    &[],
    "policies that cannot be used",
);
pub(super) const REQUESTS: Instrument = instrument(
    "keyrelay.requests",
    InstrumentKind::Counter,
    "{request}",
    &["service", "operation", "status"],
    "requests to Resource Manager and Key Vault; the status is `2xx`, `4xx`, `5xx`, or `none`",
);
pub(super) const THROTTLED: Instrument = instrument(
    "keyrelay.requests.throttled",
    InstrumentKind::Counter,
    "{response}",
    &["service"],
    "responses with the status 429",
);

/// All metrics.
pub const INSTRUMENTS: [Instrument; 9] = [
    EVENTS,
    ROTATIONS,
    DECISION,
    EVENT_TO_EVIDENCE,
    PENDING,
    LOADED,
    QUARANTINED,
    REQUESTS,
    THROTTLED,
];

/// The bounds of durations in seconds: decisions take microseconds, rotations up to minutes.
const BOUNDS: [f64; 15] = [
    0.000_1, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0,
];

impl Instrument {
    pub(super) fn counter(self, meter: &Meter) -> Counter<u64> {
        meter
            .u64_counter(self.name)
            .with_unit(self.unit)
            .with_description(self.meaning)
            .build()
    }

    pub(super) fn gauge(self, meter: &Meter) -> Gauge<u64> {
        meter
            .u64_gauge(self.name)
            .with_unit(self.unit)
            .with_description(self.meaning)
            .build()
    }

    pub(super) fn histogram(self, meter: &Meter) -> Histogram<f64> {
        let histogram = meter
            .f64_histogram(self.name)
            .with_unit(self.unit)
            .with_description(self.meaning);
        histogram.with_boundaries(BOUNDS.to_vec()).build()
    }
}
