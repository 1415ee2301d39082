//! The target of spans.

/// The target of all spans. Log lines have other targets, and no log line shows a span.
pub const SPANS: &str = keyrelay_azure::SPANS;
