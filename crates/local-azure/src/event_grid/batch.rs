//! Events on their way to an endpoint.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::schema::{self, DeliverySchema};
use super::subscription::EventSubscription;

/// An event in the queue of an event subscription.
#[derive(Debug, Clone)]
pub(super) struct QueuedEvent {
    /// The event in the schema of the event subscription.
    pub(super) event: Value,
    pub(super) published: Timestamp,
}

/// Events that are delivered, retried and dead-lettered together.
#[derive(Debug, Clone)]
pub(super) struct DeliveryBatch {
    pub(super) subscription: Arc<EventSubscription>,
    pub(super) events: Vec<QueuedEvent>,
}

impl QueuedEvent {
    pub(super) fn new(event: &Value, schema: DeliverySchema) -> Self {
        Self {
            event: schema::convert(event, schema),
            published: Timestamp::now(),
        }
    }
}

impl DeliveryBatch {
    pub(super) fn event_ids(&self) -> Vec<String> {
        self.events
            .iter()
            .map(|queued| schema::id(&queued.event).to_owned())
            .collect()
    }
}
