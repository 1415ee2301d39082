//! What Azure is asked, seen from outside of the crate that asks: it knows nothing of OpenTelemetry.

use std::sync::Arc;

use keyrelay_azure::{RequestObserver, RequestRecord};

use super::metrics::Metrics;

/// Has requests carry the trace that they belong to, and counts them.
#[derive(Debug)]
pub struct Observer(Arc<Metrics>);

impl Observer {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self(metrics)
    }
}

impl RequestObserver for Observer {
    fn traceparent(&self) -> Option<String> {
        super::traceparent()
    }

    fn finished(&self, record: &RequestRecord) {
        self.0.request(record);
    }
}
