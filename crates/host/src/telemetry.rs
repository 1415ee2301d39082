//! Traces, metrics and logs by OpenTelemetry, to a collector that speaks OTLP, or to Application Insights.
//!
//! - With `OTEL_EXPORTER_OTLP_ENDPOINT` (or that of one signal) all three go there, by HTTP and protobuf. The other variables of
//!   OpenTelemetry hold, too: the exporter and the SDK read them.
//! - Otherwise with `APPLICATIONINSIGHTS_CONNECTION_STRING` traces and metrics go to Application Insights. Logs do not: the
//!   Functions host takes them from standard output already, and they would be there twice.
//! - Otherwise, or with `telemetry = "off"`, there is nothing: no exporter, no thread, and the spans are not made.
//!
//! The Functions host stops us with SIGKILL, and Flex Consumption freezes an instance that has nothing to do. So what was
//! gathered is sent at the end of each invocation, before its answer; nobody waits for a receiver longer than [`FLUSH`].

mod client;
pub mod instruments;
mod metrics;
mod observer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::{Http, HttpError};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use client::Sender;
pub use metrics::Metrics;
pub use observer::Observer;

/// The target of all spans. Log lines have other targets, and no log shows spans.
pub const SPANS: &str = keyrelay_azure::SPANS;

/// How long an invocation waits for what it has gathered to be sent.
pub const FLUSH: Duration = Duration::from_millis(200);

/// The variables that say where an OTLP receiver is.
const OTLP: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
];

/// The variables that say how a receiver is spoken to.
const PROTOCOLS: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
];

/// How we speak to a receiver.
const PROTOCOL: &str = "http/protobuf";

/// The variable that switches OpenTelemetry off, wherever it is.
const DISABLED: &str = "OTEL_SDK_DISABLED";

/// The variable by which App Service says where an app's Application Insights is.
const APPLICATION_INSIGHTS: &str = "APPLICATIONINSIGHTS_CONNECTION_STRING";

/// What is sent, and where to. Off unless it was started.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    logs: Option<SdkLoggerProvider>,
    /// One at a time: with a receiver that hangs, threads would pile up.
    flushing: Arc<tokio::sync::Mutex<()>>,
}

/// Why there is no telemetry although somebody has asked for it.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// There is no HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// What was said about the receiver makes no sense.
    #[error("the OTLP receiver cannot be used, see the variables OTEL_EXPORTER_OTLP_*: {0}")]
    Otlp(#[from] opentelemetry_otlp::ExporterBuildError),
    /// We do not speak what was asked for.
    #[error(
        "{variable} is `{value}`: keyrelay speaks `{PROTOCOL}` only, to port 4318 of most receivers"
    )]
    Protocol {
        /// The variable.
        variable: &'static str,
        /// What it says.
        value: String,
    },
    /// The connection string makes no sense.
    #[error("{APPLICATION_INSIGHTS} cannot be used: {0}")]
    ApplicationInsights(String),
}

impl Telemetry {
    /// Sets up what the environment asks for.
    pub fn start(
        environment: &BTreeMap<String, String>,
        instance: &str,
    ) -> Result<Self, TelemetryError> {
        let value = |name: &str| {
            environment
                .get(name)
                .map(|value| value.trim())
                .filter(|value| !value.is_empty())
        };
        if value(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(Self::default());
        }
        if OTLP.iter().any(|name| value(name).is_some()) {
            let other = |variable| {
                Some((
                    variable,
                    value(variable)
                        .filter(|value| *value != PROTOCOL)?
                        .to_owned(),
                ))
            };
            if let Some((variable, value)) = PROTOCOLS.into_iter().find_map(other) {
                return Err(TelemetryError::Protocol { variable, value });
            }
            return Self::otlp(instance);
        }
        match value(APPLICATION_INSIGHTS) {
            Some(connection) => Self::application_insights(connection, instance),
            None => Ok(Self::default()),
        }
    }

    fn otlp(instance: &str) -> Result<Self, TelemetryError> {
        let sender = Sender::new(Http::new()?.client().clone());
        let spans = SpanExporter::builder()
            .with_http()
            .with_http_client(sender.clone())
            .build()?;
        let metrics = MetricExporter::builder()
            .with_http()
            .with_http_client(sender.clone())
            .build()?;
        let logs = LogExporter::builder()
            .with_http()
            .with_http_client(sender)
            .build()?;
        let resource = resource(instance);
        Ok(Self {
            traces: Some(
                SdkTracerProvider::builder()
                    .with_resource(resource.clone())
                    .with_batch_exporter(spans)
                    .build(),
            ),
            metrics: Some(
                SdkMeterProvider::builder()
                    .with_resource(resource.clone())
                    .with_periodic_exporter(metrics)
                    .build(),
            ),
            logs: Some(
                SdkLoggerProvider::builder()
                    .with_resource(resource)
                    .with_batch_exporter(logs)
                    .build(),
            ),
            flushing: Arc::default(),
        })
    }

    fn application_insights(connection: &str, instance: &str) -> Result<Self, TelemetryError> {
        let sender = Sender::new(Http::new()?.client().clone());
        let exporter = || {
            opentelemetry_application_insights::Exporter::new_from_connection_string(
                connection,
                sender.clone(),
            )
            .map_err(|error| TelemetryError::ApplicationInsights(error.to_string()))
        };
        let resource = resource(instance);
        Ok(Self {
            traces: Some(
                SdkTracerProvider::builder()
                    .with_resource(resource.clone())
                    .with_batch_exporter(exporter()?)
                    .build(),
            ),
            metrics: Some(
                SdkMeterProvider::builder()
                    .with_resource(resource)
                    .with_periodic_exporter(exporter()?)
                    .build(),
            ),
            logs: None,
            flushing: Arc::default(),
        })
    }

    /// Whether anything is sent.
    pub fn is_on(&self) -> bool {
        self.traces.is_some()
    }

    /// What makes spans of OpenTelemetry out of those of `tracing`.
    pub(crate) fn tracer(&self) -> Option<SdkTracer> {
        self.traces
            .as_ref()
            .map(|provider| provider.tracer("keyrelay"))
    }

    /// What sends log lines, besides printing them.
    pub(crate) fn bridge(
        &self,
    ) -> Option<OpenTelemetryTracingBridge<SdkLoggerProvider, opentelemetry_sdk::logs::SdkLogger>>
    {
        self.logs.as_ref().map(OpenTelemetryTracingBridge::new)
    }

    /// The instruments. Those of a telemetry that is off do nothing.
    pub fn instruments(&self) -> Metrics {
        Metrics::new(self.metrics.as_ref())
    }

    /// Sends what was gathered, for as long as an invocation can wait.
    pub async fn flush(&self) {
        if !self.is_on() {
            return;
        }
        let all = self.clone();
        let sent = async {
            let turn = Arc::clone(&all.flushing).lock_owned().await;
            let sending = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                // That it fails is said by the sender.
                let _ = all.traces.map(|provider| provider.force_flush());
                let _ = all.logs.map(|provider| provider.force_flush());
                let _ = all.metrics.map(|provider| provider.force_flush());
            });
            sending.await
        };
        let _ = tokio::time::timeout(FLUSH, sent).await;
    }
}

/// Who we are. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win.
fn resource(instance: &str) -> Resource {
    use opentelemetry::KeyValue;
    use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector as _};
    let own = [
        KeyValue::new("service.name", "keyrelay"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance.to_owned()),
    ];
    let of_environment = EnvResourceDetector::new().detect();
    let named = of_environment
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let named: Vec<KeyValue> = named.collect();
    Resource::builder_empty()
        .with_attributes(own)
        .with_attributes(named)
        .build()
}

/// Has a span go on with the trace that the caller has begun, by the headers `traceparent` and `tracestate`.
pub fn go_on(span: &Span, headers: &axum::http::HeaderMap) {
    if span.is_disabled() || !headers.contains_key("traceparent") {
        return;
    }
    let texts = headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let carrier: std::collections::HashMap<String, String> = texts.collect();
    let context = TraceContextPropagator::new().extract(&carrier);
    // Only fails for a span that is over, or none.
    let _ = span.set_parent(context);
}

/// The `traceparent` of the span that is entered, if it is in a trace.
pub(crate) fn traceparent() -> Option<String> {
    let context = Span::current().context();
    let mut carrier = std::collections::HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove("traceparent")
}

/// The observer of what Azure is asked, for [`Http::observed_by`].
pub(crate) fn observer(metrics: &Arc<Metrics>) -> Arc<Observer> {
    Arc::new(Observer::new(Arc::clone(metrics)))
}
