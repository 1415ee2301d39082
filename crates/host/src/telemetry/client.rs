//! The way to a receiver: this program's own HTTP client, from the threads of OpenTelemetry's SDK.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most that is read of an answer, in bytes: it is a short message.
const ANSWER: usize = 64 << 10;

/// How often it is said that the receiver is away.
const SILENCE: Duration = Duration::from_secs(60 * 60);

/// Sends what was gathered. The SDK waits for it on threads of its own, which know no runtime.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    /// When it was last said that nothing arrives.
    said: Arc<Mutex<Option<Instant>>>,
}

impl Sender {
    /// Has to be made inside of the runtime.
    pub(super) fn new(client: reqwest::Client) -> Self {
        Self {
            client,
            runtime: Handle::current(),
            said: Arc::default(),
        }
    }

    /// Says that what was sent has not arrived, unless that was said a while ago.
    fn complain(&self, reason: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|since| since.elapsed() > SILENCE) {
            *said = Some(Instant::now());
            drop(said);
            tracing::warn!("telemetry does not arrive (this is said once an hour): {reason}");
        }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let request: reqwest::Request = request.try_into()?;
            let mut answer = tokio::time::timeout(PATIENCE, client.execute(request)).await??;
            let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
            let mut body = Vec::new();
            while let Some(chunk) = tokio::time::timeout(PATIENCE, answer.chunk()).await?? {
                if body.len() + chunk.len() > ANSWER {
                    break;
                }
                body.extend_from_slice(&chunk);
            }
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok::<_, HttpError>(response)
        });
        let sent = sending.await.map_err(HttpError::from).flatten();
        match &sent {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.complain(&format!("the receiver answers {}", answer.status())),
            Err(error) => self.complain(&error.to_string()),
        }
        sent
    }
}
