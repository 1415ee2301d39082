//! The swap of slots, a long-running operation.

use axum::http::StatusCode;
use serde::Deserialize;
use uuid::Uuid;

use super::bodies;
use super::refusal::ResourceManagerRefusal;
use super::request::{ManagerRequest, OperationResult};
use crate::apps::LocalApp;
use crate::response;

/// The name of the production slot in a swap.
const PRODUCTION: &str = "production";

/// The body of a swap.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SwapBody {
    target_slot: String,
}

/// Swaps a slot with the target slot. The response refers to the result, which is there at once.
pub(super) fn swap(request: &ManagerRequest<'_>) -> OperationResult {
    let (site, app) = (request.site()?, request.app()?);
    let body: SwapBody = request
        .call
        .json()
        .map_err(ResourceManagerRefusal::Unreadable)?;
    let slot = body.target_slot;
    let target = if slot.eq_ignore_ascii_case(PRODUCTION) {
        site
    } else {
        request
            .slot(&slot)
            .map_err(|_| ResourceManagerRefusal::NoSwapSlot(slot.clone()))?
    };
    if target.id == app.id {
        return Err(ResourceManagerRefusal::SameSlot(slot));
    }
    let apps = &request.manager.apps;
    apps.swap(app, target, &site.sticky_names());
    let mut response = response::empty(StatusCode::ACCEPTED);
    let location = result_url(request, app);
    response::set_header(&mut response, "location", &location);
    response::set_header(&mut response, "retry-after", "1");
    Ok(response)
}

/// The result of a swap: the app.
pub(super) fn result(request: &ManagerRequest<'_>) -> OperationResult {
    Ok(response::ok(&bodies::app(request.manager, request.app()?)))
}

fn result_url(request: &ManagerRequest<'_>, app: &LocalApp) -> String {
    let version = request.call.query.get("api-version").unwrap_or_default();
    format!(
        "{}{}/operationresults/{}?api-version={version}",
        request.call.origin(),
        app.id,
        Uuid::new_v4()
    )
}
