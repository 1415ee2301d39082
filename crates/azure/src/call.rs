//! The context of a call: its deadline and its request log.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::request_log::RequestLog;

/// The moment by which a call must end. Every wait within the call is bounded by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The priority of requests in the throttle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Priority {
    /// For an event that waits for its verdict.
    #[default]
    Event,
    /// Yields to requests for events, and takes at most nine tenths of the pace.
    Background,
}

/// The context of one or more calls. A rotation makes one and passes it to each call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The moment by which the calls must end.
    pub deadline: Deadline,
    /// The log that records their requests.
    pub log: RequestLog,
    /// The priority of the requests.
    pub priority: Priority,
}

impl Deadline {
    /// Creates a deadline at a moment.
    pub fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// Creates a deadline that is `duration` from now.
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// The moment of the deadline.
    pub fn moment(self) -> Instant {
        self.0
    }

    /// The time left until the deadline; zero if it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether the deadline has passed.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// Runs `work` until it completes or the deadline passes. Returns `None` and drops the work in
    /// the latter case.
    pub async fn bound<F: Future>(self, work: F) -> Option<F::Output> {
        timeout_at(self.0, work).await.ok()
    }
}

impl Call {
    /// Creates a call for an event that must end by `deadline`, with an empty log.
    pub fn until(deadline: Deadline) -> Self {
        Self {
            deadline,
            log: RequestLog::default(),
            priority: Priority::Event,
        }
    }

    /// Creates a call that yields to those for events, and must end by `deadline`.
    pub fn background(deadline: Deadline) -> Self {
        Self {
            priority: Priority::Background,
            ..Self::until(deadline)
        }
    }

    /// The same call with another deadline.
    #[must_use]
    pub fn with_deadline(&self, deadline: Deadline) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }
}
