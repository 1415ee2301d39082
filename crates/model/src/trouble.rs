//! The one question about everything that goes wrong: deliver the event again, or not?

/// Whether trouble goes away by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// It will be the same next time: recorded, logged as an error, answered with success.
    Permanent,
    /// It may be gone in a while: Event Grid is asked to deliver the event again.
    Transient,
}
