//! Whether a failure is worth another delivery of the event.

/// Whether a failure may go away without a change by an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retryability {
    /// Another attempt fails in the same way. The failure is recorded and logged as an error, and
    /// the event is acknowledged with success.
    Permanent,
    /// Another attempt may succeed later. Event Grid must deliver the event again.
    Transient,
}
