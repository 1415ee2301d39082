//! Refusals of deliveries, and their HTTP responses.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyrelay_model::{MAX_EVENTS, MAX_VALUES};
use serde_json::json;

use super::token_error::TokenError;

/// The reason why a delivery is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebhookRefusal {
    /// The token is not valid, and never will be.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// The token cannot be validated now.
    #[error("the token cannot be validated now: {0}")]
    NoKey(String),
    #[error("too many deliveries")]
    TooMany { retry_after: Duration },
    #[error(
        "the content type is not `application/json`, `application/cloudevents+json` or `application/cloudevents-batch+json`"
    )]
    ContentType,
    #[error("the body has more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body has more than {MAX_EVENTS} events, or more than {MAX_VALUES} values")]
    TooManyEvents,
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("the body ended early")]
    Incomplete,
    #[error("the body is not {0}")]
    NotEvents(&'static str),
    #[error("the request for validation holds no code")]
    NoCode,
    #[error("all its events are older than 25 h: this is a replay")]
    TooOld,
    #[error("keyrelay is still starting")]
    NotReady,
}

impl WebhookRefusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Token(_) => StatusCode::UNAUTHORIZED,
            // A body that was cut off may be complete the next time, and 400 is final.
            Self::NoKey(_) | Self::NotReady | Self::Incomplete => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } | Self::TooManyEvents => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotEvents(_) | Self::NoCode | Self::TooOld => StatusCode::BAD_REQUEST,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany { retry_after } => Some(*retry_after),
            Self::NoKey(_) | Self::NotReady => Some(Duration::from_secs(30)),
            _ => None,
        }
    }
}

impl IntoResponse for WebhookRefusal {
    fn into_response(self) -> Response {
        // A sender without a valid token does not learn the reason.
        let message = match &self {
            Self::Token(_) => "a token for this webhook is needed".to_owned(),
            Self::NoKey(_) => "the token cannot be validated now".to_owned(),
            other => other.to_string(),
        };
        let mut response = (self.status(), Json(json!({ "error": message }))).into_response();
        let headers = response.headers_mut();
        if let Self::Token(error) = &self {
            // RFC 6750, section 3: no error code if there is no token.
            let challenge = match error {
                TokenError::Missing => "Bearer",
                _ => "Bearer error=\"invalid_token\"",
            };
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        if let Some(pause) = self.retry_after() {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(pause.as_secs().saturating_add(1)),
            );
        }
        response
    }
}
