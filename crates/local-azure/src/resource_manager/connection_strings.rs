//! The connection strings of an app.

use serde::Deserialize;
use serde_json::Value;

use super::bodies;
use super::properties::{is_lost, properties};
use super::refusal::ResourceManagerRefusal;
use super::request::{ManagerRequest, OperationResult};
use crate::apps::{ConnectionString, ConnectionStrings};
use crate::hidden::Hidden;
use crate::response;

/// A connection string in the body of a write.
#[derive(Deserialize)]
struct ConnectionStringBody {
    value: Hidden,
    #[serde(rename = "type")]
    kind: String,
}

/// Lists the connection strings with their values.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let app = request.app()?;
    let body = bodies::connection_strings(app, &app.connection_strings());
    Ok(response::ok(&body))
}

/// Replaces the connection strings.
pub(super) fn write(request: &ManagerRequest<'_>) -> OperationResult {
    let app = request.app()?;
    let typed = |(name, value): (String, Value)| {
        let body: ConnectionStringBody = serde_json::from_value(value).ok()?;
        Some((name, ConnectionString::of_type(&body.kind, body.value)?))
    };
    let wanted: ConnectionStrings = properties(request.call)?
        .into_iter()
        .map(typed)
        .collect::<Option<_>>()
        .ok_or(ResourceManagerRefusal::InvalidProperties)?;
    let response = response::ok(&bodies::connection_strings(app, &wanted));
    if !is_lost(request.call) {
        let apps = &request.manager.apps;
        apps.write_connection_strings(app, |current| *current = wanted);
    }
    Ok(response)
}
