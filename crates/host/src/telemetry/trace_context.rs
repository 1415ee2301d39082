//! The trace context of the W3C: continues the trace of a caller, and passes it on.

use std::collections::HashMap;

use axum::http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::spans::SPANS;

/// Makes the span of an invocation. It continues the trace of the caller, if there is one.
pub(crate) fn invocation_span(function: &'static str, id: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        target: SPANS,
        "invocation",
        otel.name = function,
        otel.kind = "server",
        invocation.id = id,
    );
    continue_trace(&span, headers);
    span
}

/// Continues the trace in the headers `traceparent` and `tracestate`.
fn continue_trace(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() || !headers.contains_key("traceparent") {
        return;
    }
    let texts = headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let carrier: HashMap<String, String> = texts.collect();
    let context = TraceContextPropagator::new().extract(&carrier);
    // This fails only for a span that is closed or disabled.
    let _ = span.set_parent(context);
}

/// The `traceparent` of the current span, if it is in a trace.
pub(crate) fn traceparent() -> Option<String> {
    let context = Span::current().context();
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove("traceparent")
}
