//! Events on their way from a vault to Event Grid.

use serde_json::Value;

/// An event as published by a vault.
#[derive(Debug, Clone)]
pub struct PublishedEvent {
    /// The Resource Manager id of the vault.
    pub topic: String,
    /// The event in the Event Grid schema.
    pub event: Value,
}
