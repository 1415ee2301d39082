//! Event subscriptions in the listings of Resource Manager.

/// An event subscription, as Resource Manager lists it.
#[derive(Debug, Clone)]
pub(crate) struct ListedSubscription {
    pub(crate) name: String,
    pub(crate) vault: String,
    /// The vault's Resource Manager id.
    pub(crate) topic: String,
    /// The id of the function that receives the events.
    pub(crate) function: String,
    pub(crate) event_types: Vec<String>,
    pub(crate) subject_begins_with: String,
    pub(crate) has_dead_letter: bool,
}
