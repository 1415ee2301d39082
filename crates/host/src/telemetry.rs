//! Traces, metrics and logs by OpenTelemetry, for an OTLP collector or for Application Insights.
//!
//! - With `OTEL_EXPORTER_OTLP_ENDPOINT`, or the variable of one signal, all three go there by HTTP
//!   and protobuf. The exporter and the SDK read the other variables of OpenTelemetry.
//! - Otherwise, with `APPLICATIONINSIGHTS_CONNECTION_STRING`, traces and metrics go to Application
//!   Insights. Logs do not: the Functions host forwards standard output already, and they would be
//!   there twice.
//! - Otherwise, or with `telemetry = "off"`, there is no exporter, no thread and no span.
//!
//! The Functions host stops the handler with SIGKILL, and Flex Consumption freezes an idle
//! instance. So telemetry is flushed at the end of each invocation, before its response. An
//! invocation waits for a receiver no longer than [`FLUSH`].

mod client;
pub mod instruments;
mod metrics;
mod observer;
mod spans;
mod trace_context;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::{Http, HttpError};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use client::Sender;
pub use metrics::Metrics;
pub use observer::Observer;
pub use spans::SPANS;
pub(crate) use trace_context::invocation_span;

/// Longest time that an invocation waits for its telemetry to be sent.
pub const FLUSH: Duration = Duration::from_millis(200);

/// The variables that hold the URL of an OTLP receiver.
const OTLP: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
];

/// The variables that hold the protocol of a receiver.
const PROTOCOLS: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
];

/// The protocol that keyrelay speaks.
const PROTOCOL: &str = "http/protobuf";

/// The variable that switches OpenTelemetry off.
const DISABLED: &str = "OTEL_SDK_DISABLED";

/// The variable in which App Service passes the connection string of Application Insights.
const APPLICATION_INSIGHTS: &str = "APPLICATIONINSIGHTS_CONNECTION_STRING";

/// The exporters of all signals. They are off unless they were started.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    logs: Option<SdkLoggerProvider>,
    /// Held during a flush: with a receiver that hangs, threads would pile up.
    flushing: Arc<tokio::sync::Mutex<()>>,
}

/// The reason why telemetry that was configured is off.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// No HTTP client could be made.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The variables of the receiver are not valid.
    #[error("the OTLP receiver cannot be used, see the variables OTEL_EXPORTER_OTLP_*: {0}")]
    Otlp(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The protocol is not supported.
    #[error(
        "{variable} is `{value}`: keyrelay speaks `{PROTOCOL}` only, to port 4318 of most receivers"
    )]
    Protocol {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// The connection string is not valid.
    #[error("{APPLICATION_INSIGHTS} cannot be used: {0}")]
    ApplicationInsights(String),
}

impl Telemetry {
    /// Starts the exporters that the environment configures.
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

    /// Whether telemetry is sent.
    pub fn is_on(&self) -> bool {
        self.traces.is_some()
    }

    /// The tracer that turns spans of `tracing` into spans of OpenTelemetry.
    pub(crate) fn tracer(&self) -> Option<SdkTracer> {
        self.traces
            .as_ref()
            .map(|provider| provider.tracer("keyrelay"))
    }

    /// The bridge that sends log lines in addition to printing them.
    pub(crate) fn bridge(
        &self,
    ) -> Option<OpenTelemetryTracingBridge<SdkLoggerProvider, opentelemetry_sdk::logs::SdkLogger>>
    {
        self.logs.as_ref().map(OpenTelemetryTracingBridge::new)
    }

    /// The instruments. They do nothing while telemetry is off.
    pub fn instruments(&self) -> Metrics {
        Metrics::new(self.metrics.as_ref())
    }

    /// Sends the telemetry so far, and waits for [`FLUSH`] at most.
    pub async fn flush(&self) {
        if !self.is_on() {
            return;
        }
        let all = self.clone();
        let sent = async {
            let guard = Arc::clone(&all.flushing).lock_owned().await;
            let sending = tokio::task::spawn_blocking(move || {
                let _guard = guard;
                // The sender reports failures.
                let _ = all.traces.map(|provider| provider.force_flush());
                let _ = all.logs.map(|provider| provider.force_flush());
                let _ = all.metrics.map(|provider| provider.force_flush());
            });
            sending.await
        };
        let _ = tokio::time::timeout(FLUSH, sent).await;
    }
}

/// The resource of this process. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` take
/// precedence.
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

/// The observer of requests to Azure, for [`Http::observed_by`].
pub(crate) fn observer(metrics: &Arc<Metrics>) -> Arc<Observer> {
    Arc::new(Observer::new(Arc::clone(metrics)))
}
