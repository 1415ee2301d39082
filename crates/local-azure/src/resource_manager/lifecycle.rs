//! Restart, start and stop of apps.

use axum::http::StatusCode;

use super::request::{ManagerRequest, OperationResult};
use crate::response;

/// Restarts an app.
pub(super) fn restart(request: &ManagerRequest<'_>) -> OperationResult {
    let app = request.app()?;
    request.manager.apps.restart(app);
    Ok(response::empty(StatusCode::OK))
}

/// Starts an app.
pub(super) fn start(request: &ManagerRequest<'_>) -> OperationResult {
    let app = request.app()?;
    request.manager.apps.start(app);
    Ok(response::empty(StatusCode::OK))
}

/// Stops an app.
pub(super) fn stop(request: &ManagerRequest<'_>) -> OperationResult {
    let app = request.app()?;
    request.manager.apps.stop(app);
    Ok(response::empty(StatusCode::OK))
}
