//! Invocations and their failures.

use std::time::Duration;

use serde_json::Value;

use super::handler::HandlerStatus;

/// A completed invocation.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The unique id, sent in `X-Azure-Functions-InvocationId`.
    pub id: String,
    /// The function's name.
    pub function: String,
    /// The instance whose handler was called, counted from 0. `None` if no handler was called.
    pub instance: Option<usize>,
    /// The duration from the trigger to the result. It includes the wait for a handler that is
    /// starting.
    pub duration: Duration,
    /// The handler's response, or the reason that the invocation failed.
    pub outcome: Result<Value, InvocationFailure>,
}

/// The reason that an invocation failed. Event Grid delivers its events again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvocationFailure {
    /// The value does not bind to the function's trigger. The handler was not called.
    #[error("the trigger's value is not {0}")]
    Unbound(&'static str),
    /// No handler is running.
    #[error("the handler is {0}")]
    NoHandler(HandlerStatus),
    /// The connection failed or was cut.
    #[error("the call of the handler failed: {0}")]
    Connection(String),
    /// The status is not 2xx. The body and its `Logs` are discarded.
    #[error("the handler responded with status {0}")]
    Status(u16),
    /// The body has a content type other than JSON.
    #[error("the handler responded with the content type `{0}`")]
    ContentType(String),
    /// The body is declared as JSON and is not an object of the expected form.
    #[error("the handler's response is not {0}")]
    InvalidResponse(&'static str),
    /// The handler sent no response, or an empty one, within the function timeout. It was killed.
    #[error("there was no response within {0:?}")]
    TimedOut(Duration),
}
