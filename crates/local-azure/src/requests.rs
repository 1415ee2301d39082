//! What arrived, for tests that count.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::call::Call;
use crate::journal::Journal;

/// One of the services that the stand-in plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// The endpoint that gives tokens.
    Identity,
    /// The vaults' data plane.
    KeyVault,
    /// Resource Manager with Microsoft.Web.
    ResourceManager,
    /// Blob storage.
    Storage,
}

/// One request that arrived.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// When it arrived.
    #[serde(serialize_with = "as_text")]
    pub time: Timestamp,
    /// The service it was for.
    pub service: Service,
    /// The method, in upper case.
    pub method: String,
    /// The path, as it was sent.
    pub path: String,
    /// The query parameter `api-version`.
    pub api_version: Option<String>,
    /// Who asked, by the token: `site`, `site/slot`, or an identity's name. None: no good token came along.
    pub caller: Option<String>,
    /// The program that asked, by its `User-Agent`.
    pub client: Option<String>,
    /// The trace that it is part of, by its header `traceparent`.
    pub traceparent: Option<String>,
    /// The status it was answered with. None: not answered, or not yet.
    pub status: Option<u16>,
}

/// Whether requests with this method and this text in their path, whatever its case, are the wanted ones. None: any.
pub(crate) fn are_meant(
    wanted_method: Option<&str>,
    wanted_part: Option<&str>,
    method: &str,
    path: &str,
) -> bool {
    wanted_method.is_none_or(|it| it.eq_ignore_ascii_case(method))
        && wanted_part.is_none_or(|it| path.to_lowercase().contains(&it.to_lowercase()))
}

/// The requests of the last while.
#[derive(Debug)]
pub(crate) struct Requests(Journal<Arc<Entry>>);

/// A request whose end is still open.
#[derive(Debug)]
pub(crate) struct Entry {
    arrived: Request,
    caller: OnceLock<String>,
    /// Zero until it is answered.
    status: AtomicU16,
}

/// Enough for a test with a thousand apps; a stand-in that runs for days forgets the older ones.
const KEPT: usize = 50_000;

impl Requests {
    pub(crate) fn new() -> Self {
        Self(Journal::new(KEPT))
    }

    pub(crate) fn arrived(&self, call: &Call, now: Timestamp) -> Arc<Entry> {
        let arrived = Request {
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

    /// Records a write by hand as the request that it would have been.
    pub(crate) fn by_hand(&self, caller: &str, method: Method, path: String) {
        let request = Request {
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
        entry.is_from(caller);
        entry.answered(StatusCode::OK.as_u16());
    }

    pub(crate) fn all(&self) -> Vec<Request> {
        self.0.snapshot().iter().map(|entry| entry.now()).collect()
    }

    fn push(&self, arrived: Request) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            arrived,
            caller: OnceLock::new(),
            status: AtomicU16::new(0),
        });
        self.0.push(Arc::clone(&entry));
        entry
    }
}

impl Entry {
    pub(crate) fn is_from(&self, caller: &str) {
        self.caller.get_or_init(|| caller.to_owned());
    }

    pub(crate) fn answered(&self, status: u16) {
        self.status.store(status, Ordering::Release);
    }

    fn now(&self) -> Request {
        let status = Some(self.status.load(Ordering::Acquire)).filter(|status| *status != 0);
        Request {
            caller: self.caller.get().cloned(),
            status,
            ..self.arrived.clone()
        }
    }
}

fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}
