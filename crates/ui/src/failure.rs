//! The failure of a page, as a response.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyrelay_model::error_chain;
use keyrelay_records::{HistoryError, RunId};
use keyrelay_store::StoreError;

/// The reason why there is no page. Its text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct PageFailure {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl PageFailure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

/// The id of a run in a path or a form.
pub(crate) fn parse_run_id(text: &str) -> Result<RunId, PageFailure> {
    text.parse()
        .map_err(|error: keyrelay_records::run_id::RunIdError| {
            PageFailure::missing(error.to_string())
        })
}

impl From<StoreError> for PageFailure {
    fn from(error: StoreError) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            format!("The store fails: {}", error_chain(&error)),
        )
    }
}

impl From<HistoryError> for PageFailure {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Missing(_) => Self::missing(error.to_string()),
            HistoryError::Newer { .. } => Self::new(StatusCode::NOT_IMPLEMENTED, error.to_string()),
            HistoryError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for PageFailure {
    /// The text alone. The guard makes a page of it, which needs the visit.
    fn into_response(self) -> Response {
        let mut response = (self.status, self.message.clone()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}
