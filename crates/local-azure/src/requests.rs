//! The record of requests.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::call::ServiceCall;
use crate::journal::Journal;
use crate::service::Service;

/// A request that a service received.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedRequest {
    /// The time of arrival.
    #[serde(serialize_with = "as_text")]
    pub time: Timestamp,
    /// The service.
    pub service: Service,
    /// The method, in upper case.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The query parameter `api-version`.
    pub api_version: Option<String>,
    /// The caller, by its token: `site`, `site/slot`, or an identity's name. `None` without a valid
    /// token.
    pub caller: Option<String>,
    /// The client program, by its `User-Agent`.
    pub client: Option<String>,
    /// The trace, by the header `traceparent`.
    pub traceparent: Option<String>,
    /// The status of the response. `None` if there is none yet.
    pub status: Option<u16>,
}

/// The last requests, in the order of arrival.
#[derive(Debug)]
pub(crate) struct Requests(Journal<Arc<PendingRequest>>);

/// A request whose caller and status are still to be recorded.
#[derive(Debug)]
pub(crate) struct PendingRequest {
    arrived: RecordedRequest,
    caller: OnceLock<String>,
    /// Zero until the response is known.
    status: AtomicU16,
}

/// The number of requests that are kept in memory: enough for a test with a thousand apps.
const KEPT: usize = 50_000;

impl Requests {
    pub(crate) fn new() -> Self {
        Self(Journal::new(KEPT))
    }

    pub(crate) fn arrived(&self, call: &ServiceCall, now: Timestamp) -> Arc<PendingRequest> {
        let arrived = RecordedRequest {
            time: now,
            service: call.service,
            method: call.method.to_string(),
            path: call.path.clone(),
            api_version: call.query.get("api-version").map(str::to_owned),
            caller: None,
            client: call.header("user-agent").map(str::to_owned),
            traceparent: call.header("traceparent").map(str::to_owned),
            status: None,
        };
        self.push(arrived)
    }

    /// Records a direct write as its equivalent request.
    pub(crate) fn record_direct(&self, caller: &str, method: Method, path: String) {
        let request = RecordedRequest {
            time: Timestamp::now(),
            service: Service::ResourceManager,
            method: method.to_string(),
            path,
            api_version: None,
            caller: None,
            client: None,
            traceparent: None,
            status: None,
        };
        let entry = self.push(request);
        entry.set_caller(caller);
        entry.set_status(StatusCode::OK.as_u16());
    }

    pub(crate) fn all(&self) -> Vec<RecordedRequest> {
        self.0
            .snapshot()
            .iter()
            .map(|entry| entry.snapshot())
            .collect()
    }

    fn push(&self, arrived: RecordedRequest) -> Arc<PendingRequest> {
        let entry = Arc::new(PendingRequest {
            arrived,
            caller: OnceLock::new(),
            status: AtomicU16::new(0),
        });
        self.0.push(Arc::clone(&entry));
        entry
    }
}

impl PendingRequest {
    pub(crate) fn set_caller(&self, caller: &str) {
        self.caller.get_or_init(|| caller.to_owned());
    }

    pub(crate) fn set_status(&self, status: u16) {
        self.status.store(status, Ordering::Release);
    }

    fn snapshot(&self) -> RecordedRequest {
        let status = Some(self.status.load(Ordering::Acquire)).filter(|status| *status != 0);
        RecordedRequest {
            caller: self.caller.get().cloned(),
            status,
            ..self.arrived.clone()
        }
    }
}

fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}
