//! The properties in the body of a write.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::refusal::ResourceManagerRefusal;
use crate::call::ServiceCall;
use crate::fault::Effect;

/// The properties by name.
pub(super) fn properties(
    call: &ServiceCall,
) -> Result<BTreeMap<String, Value>, ResourceManagerRefusal> {
    properties_as(call)
}

/// The properties in another form.
pub(super) fn properties_as<T: DeserializeOwned>(
    call: &ServiceCall,
) -> Result<T, ResourceManagerRefusal> {
    let body: Value = call.json().map_err(ResourceManagerRefusal::Unreadable)?;
    let properties = body
        .get("properties")
        .filter(|it| !it.is_null())
        .ok_or(ResourceManagerRefusal::NoProperties)?;
    serde_json::from_value(properties.clone())
        .map_err(|_| ResourceManagerRefusal::InvalidProperties)
}

/// Whether a fault loses this write.
pub(super) fn is_lost(call: &ServiceCall) -> bool {
    call.effects
        .iter()
        .any(|effect| matches!(effect, Effect::LoseWrite))
}
