//! Sends telemetry with this program's own HTTP client, from the threads of OpenTelemetry's SDK.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Longest time for a response of the receiver.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest part of a response that is read, in bytes. It is a short message.
const MAX_RESPONSE: usize = 64 << 10;

/// Shortest time between two warnings that the receiver cannot be reached.
const WARN_EVERY: Duration = Duration::from_secs(60 * 60);

/// Sends telemetry. The SDK waits for it on its own threads, which have no runtime.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    /// The time of the last warning.
    warned: Arc<Mutex<Option<Instant>>>,
}

impl Sender {
    /// Makes a sender for the current runtime.
    pub(super) fn new(client: reqwest::Client) -> Self {
        Self {
            client,
            runtime: Handle::current(),
            warned: Arc::default(),
        }
    }

    /// Warns that telemetry does not arrive, at most once in [`WARN_EVERY`].
    fn warn(&self, reason: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
            *warned = Some(Instant::now());
            drop(warned);
            tracing::warn!("telemetry does not arrive (this is logged once an hour): {reason}");
        }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let request: reqwest::Request = request.try_into()?;
            let mut response =
                tokio::time::timeout(RESPONSE_TIMEOUT, client.execute(request)).await??;
            let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
            let mut body = Vec::new();
            while let Some(chunk) =
                tokio::time::timeout(RESPONSE_TIMEOUT, response.chunk()).await??
            {
                if body.len() + chunk.len() > MAX_RESPONSE {
                    break;
                }
                body.extend_from_slice(&chunk);
            }
            let mut received = Response::new(Bytes::from(body));
            *received.status_mut() = status;
            *received.headers_mut() = headers;
            Ok::<_, HttpError>(received)
        });
        let sent = sending.await.map_err(HttpError::from).flatten();
        match &sent {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => self.warn(&format!("the receiver responds with {}", response.status())),
            Err(error) => self.warn(&error.to_string()),
        }
        sent
    }
}
