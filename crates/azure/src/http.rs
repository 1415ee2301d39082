//! The one HTTP client: time limits, size limits, no redirects, and how many requests are in flight.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use tokio::time::Instant;

use crate::call::Deadline;
use crate::error::Failure;
use crate::lane::{Lane, Rate};
use crate::observe::Observe;
use crate::request_log::RequestIds;
use crate::retry::retry_after;

/// The client for all calls to Azure. Clones share connections and limits.
#[derive(Clone)]
pub struct Http {
    client: Client,
    limits: Limits,
    lanes: Arc<Mutex<HashMap<String, Arc<Lane>>>>,
    observer: Option<Arc<dyn Observe>>,
}

/// What one request may take, beside its deadline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Time to connect, TLS included.
    pub connect: Duration,
    /// Time for one attempt at a request that may be repeated. Reads take a second or two; one that hangs is better
    /// given up while there is time for another.
    pub attempt: Duration,
    /// Time for one attempt at whatever request, when its deadline is further away.
    pub request: Duration,
    /// Size of an answer in bytes, unpacked.
    pub answer_bytes: usize,
    /// Requests in flight for one subscription, or one vault.
    pub in_flight: usize,
    /// Apps of one subscription whose settings are being written. Each has up to two requests in flight, beside those above.
    pub writers: usize,
    /// Reads of one subscription. Resource Manager lets a principal read 250 times at once and then 25 times a second, for
    /// each subscription and region; this stays below, for there may be others.
    pub reads: Rate,
    /// Whatever else is asked of one subscription, reading settings included. Resource Manager lets a principal do so 200
    /// times at once and then 10 times a second.
    pub writes: Rate,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("could not set up TLS and the HTTP client")]
pub struct HttpError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// A whole answer, of whatever status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) ids: RequestIds,
    pub(crate) retry_after: Option<Duration>,
    /// How many more requests of the kind Resource Manager would answer now.
    pub(crate) remaining: Option<u32>,
    pub(crate) body: Vec<u8>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            attempt: Duration::from_secs(10),
            request: Duration::from_secs(60),
            answer_bytes: 16 * 1024 * 1024,
            in_flight: 12,
            writers: 8,
            reads: Rate {
                burst: 200,
                a_second: 22.0,
            },
            writes: Rate {
                burst: 160,
                a_second: 9.0,
            },
        }
    }
}

impl Http {
    /// A client with the default limits.
    pub fn new() -> Result<Self, HttpError> {
        Self::with_limits(Limits::default())
    }

    /// A client with limits of one's own.
    pub fn with_limits(limits: Limits) -> Result<Self, HttpError> {
        let client = Client::builder()
            .connect_timeout(limits.connect)
            .timeout(limits.request)
            // A token goes to the endpoint it is for, not to where somebody points.
            .redirect(Policy::none())
            // Nor through whatever the environment names as a proxy: on loopback that would be in the clear.
            .no_proxy()
            .user_agent(concat!("keyrelay/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HttpError(error.into()))?;
        Ok(Self {
            client,
            limits,
            lanes: Arc::default(),
            observer: None,
        })
    }

    /// The same, with somebody who is told of each request.
    pub fn observed_by(mut self, observer: Arc<dyn Observe>) -> Self {
        self.observer = Some(observer);
        self
    }

    pub(crate) fn observer(&self) -> Option<&dyn Observe> {
        self.observer.as_deref()
    }

    /// The client beneath, for what else this program speaks to: it shares connections and root certificates, not limits.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The lane of those requests that share a rate limit: a subscription's, or a vault's, which has no pace of its own.
    pub(crate) fn lane(&self, name: &str, is_paced: bool) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = || Arc::new(Lane::new(&self.limits, is_paced));
        lanes
            .entry(name.to_ascii_lowercase())
            .or_insert_with(lane)
            .clone()
    }

    /// Sends a request once and takes in the whole answer.
    pub(crate) async fn exchange(
        &self,
        request: RequestBuilder,
        deadline: Deadline,
    ) -> Result<Answer, Failure> {
        if deadline.has_passed() {
            return Err(Failure::OutOfTime);
        }
        let started = Instant::now();
        let outcome = deadline.bound(self.receive(request)).await;
        outcome.unwrap_or_else(|| {
            Err(Failure::TimedOut {
                after: started.elapsed(),
            })
        })
    }

    async fn receive(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let response = request.send().await.map_err(failure)?;
        let status = response.status();
        let (ids, retry_after) = (
            RequestIds::of(response.headers()),
            retry_after(response.headers()),
        );
        let remaining = remaining(response.headers());
        let body = match self.read_body(response).await {
            Ok(body) => body,
            // The status of an error counts more than the rest of its body.
            Err(_) if !status.is_success() => Vec::new(),
            Err(failure) => return Err(failure),
        };
        Ok(Answer {
            status,
            ids,
            retry_after,
            remaining,
            body,
        })
    }

    async fn read_body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let limit = self.limits.answer_bytes;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > limit {
                return Err(Failure::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What Resource Manager says is left in its bucket. An answer to a read speaks of reads only, one to a write of writes.
fn remaining(headers: &HeaderMap) -> Option<u32> {
    [
        "x-ms-ratelimit-remaining-subscription-reads",
        "x-ms-ratelimit-remaining-subscription-writes",
    ]
    .into_iter()
    .find_map(|name| headers.get(name)?.to_str().ok()?.trim().parse().ok())
}

fn failure(error: reqwest::Error) -> Failure {
    let sent = !error.is_connect() && !error.is_builder();
    // The error names its operation already; a link to a next page is not for reading.
    let source = Box::new(error.without_url());
    if sent {
        Failure::NoAnswer(source)
    } else {
        Failure::NotSent(source)
    }
}
