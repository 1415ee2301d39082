//! The recording of exchanges, for comparing them with Microsoft's published contracts.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::call::ServiceCall;
use crate::response::Response;
use crate::serve::Cut;
use crate::service::Service;

/// A file with one JSON object per exchange, which holds values and tokens.
pub(crate) struct Recording(Mutex<File>);

/// A request that waits for its response.
pub(crate) struct RecordedHalf(Value);

impl Recording {
    /// Opens the file, and appends to it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Mutex::new(file)))
    }

    /// Keeps a request until its response is known. The blobs of the store are not recorded.
    pub(crate) fn request(call: &ServiceCall) -> Option<RecordedHalf> {
        if call.service == Service::Storage {
            return None;
        }
        Some(RecordedHalf(json!({
            "service": call.service,
            "method": call.method.as_str(),
            "path": call.path,
            "query": call.raw_query,
            "headers": headers(call.headers()),
            "body": text(call.body()),
        })))
    }

    /// Writes an exchange, and returns its response. A response that a fault halves is cut instead,
    /// because it is read before it is sent.
    pub(crate) async fn write(
        &self,
        request: RecordedHalf,
        response: Response,
    ) -> Result<Response, Cut> {
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.map_err(|_| Cut)?;
        let exchange = json!({
            "request": request.0,
            "response": {
                "status": head.status.as_u16(),
                "headers": headers(&head.headers),
                "body": text(&body),
            },
        });
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{exchange}") {
            tracing::warn!(%error, "an exchange was not recorded");
        }
        Ok(Response::from_parts(head, Body::from(body)))
    }
}

fn headers(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
        .collect()
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into()
}
