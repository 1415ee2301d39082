//! The errors of Event Grid.

/// The reason that an event subscription was not created.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// A field is out of range.
    #[error("`{field}` of the event subscription `{subscription}` is not {expected}")]
    Field {
        /// The event subscription's name.
        subscription: String,
        /// The field.
        field: &'static str,
        /// The values that the field may have.
        expected: &'static str,
    },
    /// The endpoint failed the validation handshake.
    #[error("the endpoint of the event subscription `{subscription}` was not validated")]
    Validation {
        /// The event subscription's name.
        subscription: String,
        /// The failed step of the handshake.
        #[source]
        source: ValidationError,
    },
}

/// The reason that an endpoint is not validated.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    /// The endpoint sent no response.
    #[error("there was no response to the handshake")]
    Unreachable(#[source] reqwest::Error),
    /// The endpoint sent no response within the timeout.
    #[error("the handshake timed out")]
    TimedOut,
    /// The response has a status other than 200.
    #[error("the response to the handshake has status {0}")]
    Status(u16),
    /// The response does not return the validation code.
    #[error(
        "the response to the handshake does not hold the validation code in `validationResponse`"
    )]
    NoCode,
    /// The response does not allow Event Grid's origin.
    #[error(
        "the response to the handshake has no `WebHook-Allowed-Origin` for `{}`",
        ORIGIN
    )]
    NotAllowed,
}

/// Event Grid's name in the handshake of `CloudEvents`.
pub(super) const ORIGIN: &str = "eventgrid.azure.net";

/// The HTTP client that delivers events cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot create the HTTP client that delivers events")]
pub struct EventGridError(#[source] pub(super) reqwest::Error);
