//! Observes requests to Azure, for a crate that knows nothing of OpenTelemetry.

use std::sync::Arc;

use keyrelay_azure::{RequestObserver, RequestRecord};

use super::metrics::Metrics;
use super::trace_context::traceparent;

/// Counts requests, and passes the trace context on to them.
#[derive(Debug)]
pub struct Observer(Arc<Metrics>);

impl Observer {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self(metrics)
    }
}

impl RequestObserver for Observer {
    fn traceparent(&self) -> Option<String> {
        traceparent()
    }

    fn finished(&self, record: &RequestRecord) {
        self.0.request(record);
    }
}
