//! Traces, metrics and logs at a receiver of OTLP, as protobuf over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use keyrelay_host::telemetry::instruments::INSTRUMENTS;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;

use crate::fixtures::PLANTED;
use crate::harness::Harness;
use crate::setup::Setup;

const PINNED: &str = r#"SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)", PLAIN = "planted-value-plain""#;

/// Everything that has arrived.
#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    metrics: BTreeSet<String>,
    /// Log lines with the ids of their traces.
    logs: Vec<(String, Vec<u8>)>,
    raw: Vec<u8>,
    requests: usize,
}

#[derive(Clone)]
struct Receiver {
    received: Arc<Mutex<Received>>,
    url: String,
    /// Whether it never responds.
    hangs: bool,
}

impl Receiver {
    async fn start(hangs: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let receiver = Self {
            received: Arc::default(),
            url,
            hangs,
        };
        let routes = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .route("/v1/logs", post(logs))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        receiver
    }

    async fn receive(&self, body: &Bytes) -> StatusCode {
        {
            let mut received = self.received.lock().unwrap();
            received.requests += 1;
            received.raw.extend_from_slice(body);
        }
        if self.hangs {
            std::future::pending::<()>().await;
        }
        StatusCode::OK
    }

    /// Starts a function app that exports to this receiver.
    async fn watched(&self, sites: &str) -> Harness {
        let url = self.url.clone();
        // The whole trace is that of one invocation, which an ideal Azure lets end `verified`.
        let setup = Setup::new()
            .ideal()
            .site("orders", sites)
            .with(move |options| {
                let environment = &mut options.functions_host.environment;
                environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), url));
                environment.push((
                    "OTEL_RESOURCE_ATTRIBUTES".to_owned(),
                    "deployment.environment.name=test".to_owned(),
                ));
            });
        setup.start().await
    }

    async fn until(&self, what: &str, holds: impl Fn(&Received) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(90), async {
            while !holds(&self.received.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        if waited.await.is_err() {
            let received = self.received.lock().unwrap();
            let spans: Vec<&str> = received
                .spans
                .iter()
                .map(|span| span.name.as_str())
                .collect();
            panic!("{what} did not arrive: {spans:?}, {:?}", received.metrics);
        }
    }
}

async fn traces(State(receiver): State<Receiver>, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    let resources = request.resource_spans;
    for resource in &resources {
        let about = attributes(&resource.resource.as_ref().unwrap().attributes);
        assert_eq!(
            about.get("service.name").map(String::as_str),
            Some("keyrelay"),
            "{about:?}"
        );
        assert_eq!(
            about.get("deployment.environment.name").map(String::as_str),
            Some("test"),
            "{about:?}"
        );
    }
    let spans = resources
        .into_iter()
        .flat_map(|it| it.scope_spans)
        .flat_map(|it| it.spans);
    receiver.received.lock().unwrap().spans.extend(spans);
    receiver.receive(&body).await
}

async fn metrics(State(receiver): State<Receiver>, body: Bytes) -> StatusCode {
    let request = ExportMetricsServiceRequest::decode(body.clone()).unwrap();
    let metrics = request
        .resource_metrics
        .into_iter()
        .flat_map(|it| it.scope_metrics)
        .flat_map(|it| it.metrics);
    receiver
        .received
        .lock()
        .unwrap()
        .metrics
        .extend(metrics.map(|metric| metric.name));
    receiver.receive(&body).await
}

async fn logs(State(receiver): State<Receiver>, body: Bytes) -> StatusCode {
    let request = ExportLogsServiceRequest::decode(body.clone()).unwrap();
    let records = request
        .resource_logs
        .into_iter()
        .flat_map(|it| it.scope_logs)
        .flat_map(|it| it.log_records);
    let lines = records.map(|record| (format!("{:?}", record.body), record.trace_id));
    receiver.received.lock().unwrap().logs.extend(lines);
    receiver.receive(&body).await
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |it: &KeyValue| {
        let value = it.value.as_ref().and_then(|value| value.value.as_ref());
        let value = value.map(|value| format!("{value:?}")).unwrap_or_default();
        value
            .split_once('(')
            .map(|(_, rest)| rest.trim_end_matches(')').trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    all.iter().map(|it| (it.key.clone(), text(it))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn the_trace_of_a_rotation_arrives_complete() {
    let receiver = Receiver::start(false).await;
    let harness = receiver.watched(PINNED).await;
    harness.rotate_and_settle("sql").await;
    let has = |received: &Received, name: &str| received.spans.iter().any(|span| span.name == name);
    let all = [
        "SecretEvent",
        "event",
        "rotation",
        "apply",
        "decide",
        "verify",
        "refresh the references",
        "list the versions",
    ];
    receiver
        .until("the trace", |received| {
            all.iter().all(|name| has(received, name))
        })
        .await;

    let received = receiver.received.lock().unwrap();
    let named = |name: &str| {
        received
            .spans
            .iter()
            .find(|span| span.name == name)
            .unwrap()
    };
    let invocation = named("SecretEvent");
    // One trace, which began in the Functions host.
    assert!(!invocation.parent_span_id.is_empty());
    for name in all {
        assert_eq!(
            hex(&named(name).trace_id),
            hex(&invocation.trace_id),
            "{name}"
        );
    }
    for (child, parent) in [
        ("event", "SecretEvent"),
        ("rotation", "event"),
        ("apply", "rotation"),
        ("decide", "rotation"),
        ("verify", "rotation"),
        ("refresh the references", "apply"),
    ] {
        assert_eq!(
            hex(&named(child).parent_span_id),
            hex(&named(parent).span_id),
            "{child} in {parent}"
        );
    }
    let rotation = attributes(&named("rotation").attributes);
    assert_eq!(rotation["verdict"], "verified", "{rotation:?}");
    assert!(
        rotation["app.id"].ends_with("/sites/orders"),
        "{rotation:?}"
    );
    let refresh = attributes(&named("refresh the references").attributes);
    assert_eq!(refresh["http.response.status_code"], "200", "{refresh:?}");
    assert!(!refresh["azure.request_id"].is_empty(), "{refresh:?}");
    assert!(named("rotation").end_time_unix_nano > named("rotation").start_time_unix_nano);
    drop(received);

    // Requests to Azure continue the trace.
    let trace = hex(&receiver
        .received
        .lock()
        .unwrap()
        .spans
        .iter()
        .find(|span| span.name == "apply")
        .unwrap()
        .trace_id);
    let requests = harness.azure.cloud.requests();
    let refreshes: Vec<_> = requests
        .iter()
        .filter(|request| request.path.ends_with("/refresh"))
        .collect();
    assert!(!refreshes.is_empty());
    for request in refreshes {
        let sent = request.traceparent.as_deref().unwrap_or_default();
        assert!(sent.starts_with(&format!("00-{trace}-")), "{sent}");
    }
    assert!(!harness.log().contains(PLANTED));
}

#[tokio::test]
async fn all_metrics_and_logs_arrive_and_no_secret() {
    let receiver = Receiver::start(false).await;
    let harness = receiver.watched(PINNED).await;
    harness.rotate_and_settle("sql").await;
    harness.reconcile().await;
    receiver
        .until("all metrics", |received| {
            INSTRUMENTS
                .iter()
                .all(|it| received.metrics.contains(it.name))
        })
        .await;
    let in_trace = |received: &Received| {
        received.logs.iter().any(|(line, trace)| {
            line.contains("is resolved with version") && trace.iter().any(|it| *it != 0)
        })
    };
    receiver
        .until("a line of the log in its trace", in_trace)
        .await;
    let raw = String::from_utf8_lossy(&receiver.received.lock().unwrap().raw).into_owned();
    assert!(raw.contains("orders") && !raw.contains(PLANTED));
    assert!(!raw.contains("Bearer"));
}

#[tokio::test]
async fn a_receiver_that_hangs_or_is_away_delays_nothing() {
    for hangs in [true, false] {
        let receiver = Receiver::start(hangs).await;
        let receiver = if hangs {
            receiver
        } else {
            Receiver {
                url: "http://127.0.0.1:1".to_owned(),
                ..receiver
            }
        };
        let harness = receiver.watched(PINNED).await;
        harness.rotate_and_settle("sql").await;
        let run = harness.runs().into_iter().next().unwrap();
        assert_eq!(run["rotations"][0]["verdict"], "verified", "{run}");
        // Telemetry does not cause another delivery.
        assert_eq!(harness.azure.event_grid.deliveries().len(), 1);
        let reports = harness.log().matches("telemetry does not arrive").count();
        assert!(hangs || reports == 1, "reported {reports} times");
    }
}

/// The exporter requires https, and does not accept the certificate of a test. The test therefore
/// observes the attempt.
#[tokio::test]
async fn telemetry_goes_to_the_endpoint_of_the_connection_string() {
    let connection = "InstrumentationKey=00000000-0000-0000-0000-0000000000aa;IngestionEndpoint=https://127.0.0.1:1/";
    let setup = Setup::new().site("orders", PINNED).with(|options| {
        let setting = (
            "APPLICATIONINSIGHTS_CONNECTION_STRING".to_owned(),
            connection.to_owned(),
        );
        options.functions_host.environment.push(setting);
    });
    let harness = setup.start().await;
    harness.rotate_and_settle("sql").await;
    let attempt = "telemetry does not arrive (this is logged once an hour): error sending request for url (https://127.0.0.1:1/v2/track)";
    harness
        .until("an attempt", |harness| harness.log().contains(attempt))
        .await;
    assert_eq!(harness.runs()[0]["rotations"][0]["verdict"], "pending");
}

#[tokio::test]
async fn off_sends_nothing() {
    for (configuration, disabled) in [("telemetry = \"off\"", "false"), ("", "true")] {
        let receiver = Receiver::start(false).await;
        let url = receiver.url.clone();
        let setup = Setup::new()
            .site("orders", PINNED)
            .configured(configuration)
            .with(move |options| {
                let variables = [
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
                    ("OTEL_SDK_DISABLED", disabled),
                ];
                let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
                options.functions_host.environment.extend(variables);
            });
        let harness = setup.start().await;
        harness.rotate_and_settle("sql").await;
        assert_eq!(receiver.received.lock().unwrap().requests, 0);
        let requests = harness.azure.cloud.requests();
        assert!(requests.iter().all(|request| request.traceparent.is_none()));
    }
}

#[tokio::test]
async fn a_mistake_in_the_variables_is_reported_and_stops_nothing() {
    let mistakes = [
        (
            vec![("APPLICATIONINSIGHTS_CONNECTION_STRING", "nonsense")],
            "APPLICATIONINSIGHTS_CONNECTION_STRING cannot",
        ),
        (
            vec![
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ],
            "OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`",
        ),
    ];
    for (variables, words) in mistakes {
        let setup = Setup::new().site("orders", PINNED).with(move |options| {
            let variables = variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            options.functions_host.environment.extend(variables);
        });
        let harness = setup.start().await;
        harness.rotate_and_settle("sql").await;
        let log = harness.log();
        assert!(
            log.contains("telemetry is off") && log.contains(words),
            "{log}"
        );
        assert_eq!(harness.runs().len(), 1);
    }
}
