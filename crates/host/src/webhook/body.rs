//! The body of a delivery: not larger than it may be, and not slower.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use futures::StreamExt;
use tokio::time::timeout;

use super::refusal::Refusal;

/// How long a body may take. Event Grid sends it at once, and at most 1 MB.
const WITHIN: Duration = Duration::from_secs(10);

/// What is read and dropped of the body of a refused request, and for how long, so that its sender sees the answer and not a
/// broken connection.
const DISCARDED: usize = 256 * 1024;
const DISCARDED_WITHIN: Duration = Duration::from_secs(1);

/// A body of which not all may have been read yet.
pub(super) struct Incoming(BodyDataStream);

impl Incoming {
    pub(super) fn new(body: Body) -> Self {
        Self(body.into_data_stream())
    }

    /// Reads all of it, chunked or not; what is larger is refused when that shows, and not read further.
    pub(super) async fn read(
        &mut self,
        headers: &HeaderMap,
        limit: usize,
    ) -> Result<Vec<u8>, Refusal> {
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > limit)) {
            return Err(Refusal::TooLarge { limit });
        }
        timeout(WITHIN, self.read_up_to(limit))
            .await
            .unwrap_or(Err(Refusal::TooSlow))
    }

    async fn read_up_to(&mut self, limit: usize) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.0.next().await {
            let chunk = chunk.map_err(|_| Refusal::Incomplete)?;
            if bytes.len().saturating_add(chunk.len()) > limit {
                return Err(Refusal::TooLarge { limit });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Reads and drops the rest, if it is not much.
    pub(super) async fn discard(mut self) {
        let discarding = async {
            let mut left = DISCARDED;
            while let Some(Ok(chunk)) = self.0.next().await {
                let Some(rest) = left.checked_sub(chunk.len()) else {
                    break;
                };
                left = rest;
            }
        };
        // Whoever is too slow gets the answer without it.
        let _ = timeout(DISCARDED_WITHIN, discarding).await;
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
            Err(Refusal::TooLarge { limit: 4096 })
        ));
        body.discard().await;
    }

    #[tokio::test]
    async fn a_length_that_is_too_much_is_believed() {
        let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, "4097".parse().unwrap())]);
        assert!(matches!(
            chunks(0).read(&headers, 4096).await,
            Err(Refusal::TooLarge { .. })
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let mut body = Incoming::new(Body::from_stream(stream::pending::<
            Result<Bytes, std::io::Error>,
        >()));
        assert!(matches!(
            body.read(&HeaderMap::new(), 4096).await,
            Err(Refusal::TooSlow)
        ));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_incomplete() {
        let broken = stream::iter([Ok("half"), Err(std::io::Error::other("gone"))]);
        let mut body = Incoming::new(Body::from_stream(broken));
        assert!(matches!(
            body.read(&HeaderMap::new(), 4096).await,
            Err(Refusal::Incomplete)
        ));
    }
}
