//! The hook through which another crate traces and counts requests to Azure.

use std::fmt::Debug;

use crate::request_log::RequestRecord;

/// The target of the spans of all crates of keyrelay. Such a span exists only if a subscriber has
/// enabled the target, and it produces no log line.
pub const SPANS: &str = "keyrelay::trace";

/// An observer of the requests to Azure.
pub trait RequestObserver: Debug + Send + Sync {
    /// The `traceparent` header of the current trace (W3C Trace Context), if there is one.
    fn traceparent(&self) -> Option<String>;

    /// Called when a request has finished.
    fn finished(&self, record: &RequestRecord);
}
