//! What every call is given beside its arguments: until when, and where its requests are noted.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::request_log::RequestLog;

/// The moment a call must be over. No call runs past it, whatever it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The context of one or several calls: made once per rotation and passed to each of them.
#[derive(Debug, Clone)]
pub struct Call {
    /// When they must be over.
    pub deadline: Deadline,
    /// Where their requests are noted.
    pub log: RequestLog,
}

impl Deadline {
    /// The deadline at a moment.
    pub fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// The deadline a while from now.
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// The moment.
    pub fn moment(self) -> Instant {
        self.0
    }

    /// How much time is left; nothing if it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// Waits for `work`, but not past the deadline: then the work is dropped and there is no answer.
    pub async fn bound<F: Future>(self, work: F) -> Option<F::Output> {
        timeout_at(self.0, work).await.ok()
    }
}

impl Call {
    /// A call that must be over at `deadline`, with a log of its own.
    pub fn until(deadline: Deadline) -> Self {
        Self {
            deadline,
            log: RequestLog::default(),
        }
    }
}
