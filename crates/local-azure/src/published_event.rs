//! What passes from the service that makes events to Event Grid.

use serde_json::Value;

/// One event, as its source hands it to Event Grid.
#[derive(Debug, Clone)]
pub struct PublishedEvent {
    /// The Resource Manager id of the vault that the event is about.
    pub topic: String,
    /// The event in the Event Grid schema.
    pub event: Value,
}
