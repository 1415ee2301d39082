//! The app settings of an app.

use serde_json::Value;

use super::bodies;
use super::properties::{is_lost, properties};
use super::refusal::ResourceManagerRefusal;
use super::request::{ManagerRequest, OperationResult};
use crate::apps::LocalSettings;
use crate::fault::Effect;
use crate::hidden::Hidden;
use crate::response;

/// Lists the settings with their values. A fault can write concurrently.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let app = request.app()?;
    let response = response::ok(&bodies::settings(app, &app.settings()));
    for effect in &request.call.effects {
        if let Effect::Interfere { setting, value } = effect {
            request.manager.apps.write(app, |settings| {
                settings.insert(setting.clone(), value.clone());
            });
        }
    }
    Ok(response)
}

/// Replaces the settings.
pub(super) fn write(request: &ManagerRequest<'_>) -> OperationResult {
    let app = request.app()?;
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, Hidden::from(text))),
        Value::Bool(_) | Value::Number(_) => Ok((name, Hidden::from(value.to_string()))),
        _ => Err(ResourceManagerRefusal::InvalidProperties),
    };
    let wanted: LocalSettings = properties(request.call)?
        .into_iter()
        .map(text)
        .collect::<Result<_, _>>()?;
    let response = response::ok(&bodies::settings(app, &wanted));
    if !is_lost(request.call) {
        request
            .manager
            .apps
            .write(app, |settings| *settings = wanted);
    }
    Ok(response)
}
