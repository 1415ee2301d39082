//! How others see what is asked of Azure: spans, counts, and the trace that a request belongs to.

use std::fmt::Debug;

use crate::request_log::RequestRecord;

/// The target of the spans of all crates of keyrelay. They are made only if somebody has subscribed to it, and no line of the
/// log comes of them.
pub const SPANS: &str = "keyrelay::trace";

/// Somebody who is told of requests.
pub trait Observe: Debug + Send + Sync {
    /// The header `traceparent` of the trace that is under way (W3C Trace Context), if there is one.
    fn traceparent(&self) -> Option<String>;

    /// A request has come to its end.
    fn finished(&self, record: &RequestRecord);
}
