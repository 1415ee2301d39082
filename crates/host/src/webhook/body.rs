//! Reads the body of a delivery, within limits of size and time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use futures::StreamExt;
use tokio::time::timeout;

use super::refusal::WebhookRefusal;

/// Longest time for a body. Event Grid sends it at once, and 1 MB at most.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest part of a refused body that is read and dropped, in bytes, so that the sender gets the
/// response instead of a broken connection.
const MAX_DISCARDED: usize = 256 * 1024;

/// Longest time for reading and dropping it.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// A body that may be partly read.
pub(super) struct Incoming(BodyDataStream);

impl Incoming {
    pub(super) fn new(body: Body) -> Self {
        Self(body.into_data_stream())
    }

    /// Reads the whole body, chunked or not. A larger one is refused as soon as that is known.
    pub(super) async fn read(
        &mut self,
        headers: &HeaderMap,
        limit: usize,
    ) -> Result<Vec<u8>, WebhookRefusal> {
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > limit)) {
            return Err(WebhookRefusal::TooLarge { limit });
        }
        timeout(TIMEOUT, self.read_up_to(limit))
            .await
            .unwrap_or(Err(WebhookRefusal::TooSlow))
    }

    async fn read_up_to(&mut self, limit: usize) -> Result<Vec<u8>, WebhookRefusal> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.0.next().await {
            let chunk = chunk.map_err(|_| WebhookRefusal::Incomplete)?;
            if bytes.len().saturating_add(chunk.len()) > limit {
                return Err(WebhookRefusal::TooLarge { limit });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Reads and drops a short rest of the body.
    pub(super) async fn discard(mut self) {
        let discarding = async {
            let mut left = MAX_DISCARDED;
            while let Some(Ok(chunk)) = self.0.next().await {
                let Some(rest) = left.checked_sub(chunk.len()) else {
                    break;
                };
                left = rest;
            }
        };
        // A slow sender gets the response without it.
        let _ = timeout(DISCARD_TIMEOUT, discarding).await;
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures::stream;

    use super::*;

    fn chunks(count: usize) -> Incoming {
        let chunk = Bytes::from(vec![b'x'; 1024]);
        let chunks = stream::iter((0..count).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
        Incoming::new(Body::from_stream(chunks))
    }

    #[tokio::test]
    async fn a_body_may_be_as_large_as_the_limit() {
        let body = chunks(4).read(&HeaderMap::new(), 4096).await.unwrap();
        assert_eq!(body.len(), 4096);
    }

    #[tokio::test]
    async fn what_is_larger_is_refused_without_reading_on() {
        let endless =
            stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(b"0123456789")));
        let mut body = Incoming::new(Body::from_stream(endless));
        assert!(matches!(
            body.read(&HeaderMap::new(), 4096).await,
            Err(WebhookRefusal::TooLarge { limit: 4096 })
        ));
        body.discard().await;
    }

    #[tokio::test]
    async fn a_length_that_is_too_much_is_believed() {
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, "4097".parse().unwrap())]);
        assert!(matches!(
            chunks(0).read(&headers, 4096).await,
            Err(WebhookRefusal::TooLarge { .. })
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let mut body = Incoming::new(Body::from_stream(stream::pending::<
            Result<Bytes, std::io::Error>,
        >()));
        assert!(matches!(
            body.read(&HeaderMap::new(), 4096).await,
            Err(WebhookRefusal::TooSlow)
        ));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_incomplete() {
        let broken = stream::iter([Ok("half"), Err(std::io::Error::other("gone"))]);
        let mut body = Incoming::new(Body::from_stream(broken));
        assert!(matches!(
            body.read(&HeaderMap::new(), 4096).await,
            Err(WebhookRefusal::Incomplete)
        ));
    }
}
