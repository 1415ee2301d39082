//! Logging to standard output.

use keyrelay_config::LogLevel;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::telemetry::{SPANS, Telemetry};

/// The crates whose log lines are shown at the configured level.
const OWN_TARGETS: [&str; 4] = [
    "keyrelay_host",
    "keyrelay_azure",
    "keyrelay_records",
    "keyrelay_sandbox",
];

/// Starts logging to standard output, one JSON object a line. The Functions host takes standard
/// error for errors.
///
/// `telemetry` sends the same lines, and spans, which no line shows.
pub fn logging(level: LogLevel, telemetry: &Telemetry) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Lines of libraries below a warning are not for operators, and were not reviewed for secrets.
    let targets = Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_targets(OWN_TARGETS.map(|target| (target, level)));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false);
    let spans = telemetry.tracer().map(|tracer| {
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false);
        layer.with_filter(Targets::new().with_target(SPANS, LevelFilter::INFO))
    });
    let bridge = telemetry
        .bridge()
        .map(|bridge| bridge.with_filter(targets.clone()));
    // This fails only if there is a subscriber already, as in a test.
    let _ = tracing_subscriber::registry()
        .with(spans)
        .with(bridge)
        .with(lines.with_filter(targets))
        .try_init();
}
