//! Events on their way from a vault, or from Resource Manager, to Event Grid.

use serde_json::Value;

/// An event as published by a vault or by Resource Manager.
#[derive(Debug, Clone)]
pub struct PublishedEvent {
    /// The Resource Manager id of the vault or subscription.
    pub topic: String,
    /// The event in the Event Grid schema.
    pub event: Value,
}
