//! The site configuration of an app, and the names of its settings that stay with their slot.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::bodies;
use super::properties::properties_as;
use super::refusal::ResourceManagerRefusal;
use super::request::{ManagerRequest, OperationResult};
use crate::apps::{ConnectionString, StickyNames};
use crate::hidden::Hidden;
use crate::response;

/// A setting in the site configuration.
#[derive(Deserialize)]
struct NamedValue {
    name: String,
    value: Hidden,
}

/// A connection string in the site configuration.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedConnectionString {
    name: String,
    connection_string: Hidden,
    #[serde(rename = "type")]
    kind: String,
}

/// Gets the site configuration.
pub(super) fn get(request: &ManagerRequest<'_>) -> OperationResult {
    Ok(response::ok(&bodies::site_config(request.app()?)))
}

/// Changes the properties in the body and keeps the others. Settings and connection strings, if
/// they are in the body, are replaced.
pub(super) fn write(request: &ManagerRequest<'_>) -> OperationResult {
    let app = request.app()?;
    let mut properties: Map<String, Value> = properties_as(request.call)?;
    let settings: Option<Vec<NamedValue>> = take(&mut properties, "appSettings")?;
    let strings: Option<Vec<NamedConnectionString>> = take(&mut properties, "connectionStrings")?;
    let strings = strings.map(typed).transpose()?;
    properties.retain(|_, value| !value.is_null());
    let apps = &request.manager.apps;
    if let Some(settings) = settings {
        let settings = settings.into_iter().map(|it| (it.name, it.value));
        apps.write(app, |current| *current = settings.collect());
    }
    if let Some(strings) = strings {
        let strings = strings.into_iter().collect();
        apps.write_connection_strings(app, |current| *current = strings);
    }
    apps.write_site_config(app, properties);
    Ok(response::ok(&bodies::site_config(app)))
}

/// Gets what App Service authentication does for an app.
pub(super) fn authentication(request: &ManagerRequest<'_>) -> OperationResult {
    Ok(response::ok(&bodies::authentication(request.app()?)))
}

/// Gets the names of the settings that stay with their slot.
pub(super) fn sticky_names(request: &ManagerRequest<'_>) -> OperationResult {
    Ok(response::ok(&bodies::sticky_names(request.site()?)))
}

/// Replaces the names of the settings that stay with their slot.
pub(super) fn write_sticky_names(request: &ManagerRequest<'_>) -> OperationResult {
    let site = request.site()?;
    let names: StickyNames = properties_as(request.call)?;
    site.set_sticky_names(names);
    Ok(response::ok(&bodies::sticky_names(site)))
}

/// Removes a property. `None` if it is missing or null.
fn take<T: DeserializeOwned>(
    properties: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<T>, ResourceManagerRefusal> {
    let value = properties.remove(name).unwrap_or_default();
    serde_json::from_value(value).map_err(|_| ResourceManagerRefusal::InvalidProperties)
}

fn typed(
    strings: Vec<NamedConnectionString>,
) -> Result<Vec<(String, ConnectionString)>, ResourceManagerRefusal> {
    strings
        .into_iter()
        .map(|it| {
            let string = ConnectionString::of_type(&it.kind, it.connection_string)?;
            Some((it.name, string))
        })
        .collect::<Option<_>>()
        .ok_or(ResourceManagerRefusal::InvalidProperties)
}
