//! Delivery attempts, and the ways in which they can be disturbed.

use std::time::Duration;

use jiff::Timestamp;

use super::retry::DeliveryOutcome;

/// One attempt to deliver a batch.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The event subscription's name.
    pub subscription: String,
    /// The ids of the batch's events.
    pub event_ids: Vec<String>,
    /// The number of the attempt, counted from 1. The header `aeg-delivery-count` counts from 0.
    pub attempt: u32,
    /// The outcome of the attempt.
    pub outcome: DeliveryOutcome,
    /// The time at which the attempt began.
    pub time: Timestamp,
    /// The duration of the attempt.
    pub duration: Duration,
}

/// Disturbances that Event Grid's guarantees permit, switched on by a test.
#[derive(Debug, Clone, Copy, Default)]
pub struct Misbehaviour {
    /// Delivers every batch twice, concurrently.
    pub twice: bool,
    /// Delivers queued events in reverse order, each after the response to the previous one.
    pub reverse: bool,
    /// Holds events back for this long, in real time. Events that arrive meanwhile join the same
    /// queue.
    pub delay: Duration,
}
