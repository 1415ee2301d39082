//! The HTTP client for all requests to Azure: time limits, size limits, throttles, no redirects.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use tokio::time::Instant;

use crate::call::Deadline;
use crate::failure::Failure;
use crate::limits::RequestLimits;
use crate::observer::RequestObserver;
use crate::request_log::RequestIds;
use crate::retry::retry_after;
use crate::root_certificates;
use crate::throttle::Throttle;

/// Largest number of throttles of each kind: events name vaults. A throttle that is dropped is made
/// again, without the pauses that Azure has asked for.
const MAX_THROTTLES: u64 = 1_000;

/// The throttles of subscriptions or vaults, by the number of the identity and their names.
type Throttles = Cache<(usize, String), Arc<Throttle>>;

/// The client for all requests to Azure. Clones share connections and throttles.
#[derive(Clone)]
pub struct Http {
    client: Client,
    limits: RequestLimits,
    /// Those with token buckets. They are apart, so that many vaults do not replace them.
    of_subscriptions: Throttles,
    of_vaults: Throttles,
    observer: Option<Arc<dyn RequestObserver>>,
}

/// The failure to create a client.
#[derive(Debug, thiserror::Error)]
#[error("could not set up TLS and the HTTP client")]
pub struct HttpError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// A complete response of any status.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) ids: RequestIds,
    pub(crate) retry_after: Option<Duration>,
    /// The number of requests of this kind that Resource Manager would still accept.
    pub(crate) remaining: Option<u32>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    /// Creates a client with the default limits.
    pub fn new() -> Result<Self, HttpError> {
        Self::with_limits(RequestLimits::default())
    }

    /// Creates a client with custom limits.
    pub fn with_limits(limits: RequestLimits) -> Result<Self, HttpError> {
        let builder = || {
            Client::builder()
                .connect_timeout(limits.connect)
                .timeout(limits.request)
                // A redirect must not send a token to another endpoint.
                .redirect(Policy::none())
                // Nor may a proxy of the environment see it: requests to loopback are not encrypted.
                .no_proxy()
                .user_agent(concat!("keyrelay/", env!("CARGO_PKG_VERSION")))
        };
        let client = root_certificates::build(builder).map_err(|error| HttpError(error.into()))?;
        Ok(Self {
            client,
            limits,
            of_subscriptions: throttles(),
            of_vaults: throttles(),
            observer: None,
        })
    }

    /// Sets the observer of all requests.
    pub fn observed_by(mut self, observer: Arc<dyn RequestObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    pub(crate) fn observer(&self) -> Option<&dyn RequestObserver> {
        self.observer.as_deref()
    }

    /// The underlying client, for requests to other services. It shares connections and root
    /// certificates, not limits.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn limits(&self) -> &RequestLimits {
        &self.limits
    }

    /// The throttle of the requests that share a rate limit: those of an identity to a subscription,
    /// or to a vault, which has no token buckets.
    pub(crate) fn throttle(&self, identity: usize, name: &str, has_buckets: bool) -> Arc<Throttle> {
        let throttles = match has_buckets {
            true => &self.of_subscriptions,
            false => &self.of_vaults,
        };
        throttles.get_with((identity, name.to_ascii_lowercase()), || {
            Arc::new(Throttle::new(&self.limits, has_buckets))
        })
    }

    /// Sends a request once and reads the complete response.
    pub(crate) async fn exchange(
        &self,
        request: RequestBuilder,
        deadline: Deadline,
    ) -> Result<HttpResponse, Failure> {
        if deadline.has_passed() {
            return Err(Failure::DeadlineExceeded);
        }
        let started = Instant::now();
        let outcome = deadline.bound(self.receive(request)).await;
        outcome.unwrap_or_else(|| {
            Err(Failure::TimedOut {
                after: started.elapsed(),
            })
        })
    }

    async fn receive(&self, request: RequestBuilder) -> Result<HttpResponse, Failure> {
        let response = request.send().await.map_err(failure)?;
        let status = response.status();
        let (ids, retry_after) = (
            RequestIds::of(response.headers()),
            retry_after(response.headers()),
        );
        let remaining = remaining(response.headers());
        let body = match self.read_body(response).await {
            Ok(body) => body,
            // The status of an error is useful without its body.
            Err(_) if !status.is_success() => Vec::new(),
            Err(failure) => return Err(failure),
        };
        Ok(HttpResponse {
            status,
            ids,
            retry_after,
            remaining,
            body,
        })
    }

    /// Reads a body up to the size limit.
    pub(crate) async fn read_body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let limit = self.limits.response_bytes;
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

fn throttles() -> Throttles {
    let cache = Cache::builder()
        .max_capacity(MAX_THROTTLES)
        .eviction_policy(EvictionPolicy::lru());
    cache.build()
}

/// Reads the remaining tokens of Resource Manager's bucket. A response has the header of its own
/// kind only: reads or writes.
fn remaining(headers: &HeaderMap) -> Option<u32> {
    [
        "x-ms-ratelimit-remaining-subscription-reads",
        "x-ms-ratelimit-remaining-subscription-writes",
    ]
    .into_iter()
    .find_map(|name| headers.get(name)?.to_str().ok()?.trim().parse().ok())
}

/// The failure for an error of the client, without the URL in it.
pub(crate) fn failure(error: reqwest::Error) -> Failure {
    let sent = !error.is_connect() && !error.is_builder();
    // `AzureError` names the operation already; the URL of a next page tells an operator nothing.
    let source = Box::new(error.without_url());
    if sent {
        Failure::NoResponse(source)
    } else {
        Failure::NotSent(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_throttles_is_bounded() {
        let http = Http::new().unwrap();
        let subscription = http.throttle(0, "s", true);
        for number in 0..MAX_THROTTLES + 500 {
            http.throttle(0, &format!("kv-{number}"), false);
        }
        http.of_vaults.run_pending_tasks();
        assert!(http.of_vaults.entry_count() <= MAX_THROTTLES);
        assert!(Arc::ptr_eq(&subscription, &http.throttle(0, "S", true)));
        assert!(!Arc::ptr_eq(&subscription, &http.throttle(1, "s", true)));
    }
}
