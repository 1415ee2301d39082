//! The routes of the pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::access::AccessControl;
use crate::assets::Asset;
use crate::failure::PageFailure;
use crate::guard::{Guard, guard};
use crate::sources::Sources;
use crate::{act, evidence, pages};

/// The size of the largest form, in bytes. A reason is all that it has.
const FORM: usize = 16 << 10;

/// The pages, for the users of this access. The caller serves them, and nests them at the path that
/// [`AccessControl::mounted_at`] names.
///
/// Every response has a strict content security policy. A request with a foreign `Host` gets 403, one
/// without a user 401 or 403, and so does a form that is not of these pages.
pub fn router(sources: Arc<Sources>, access: AccessControl) -> Router {
    let state = Arc::new(Guard { sources, access });
    Router::new()
        .route("/", get(pages::overview::show))
        .route("/health", get(pages::health::show))
        .route("/fleet", get(pages::fleet::show))
        .route("/secrets/{vault}/{secret}", get(pages::secret::show))
        .route("/apps/{subscription}/{group}/{site}", get(pages::app::show))
        .route(
            "/apps/{subscription}/{group}/{site}/slots/{slot}",
            get(pages::app::show_slot),
        )
        .route("/runs", get(pages::runs::show))
        .route("/runs/{id}", get(pages::run::show))
        .route("/policies", get(pages::policies::show))
        .route("/policies/{name}", get(pages::policies::show_one))
        .route("/actions", get(pages::actions::show))
        .route("/actions/{id}", get(pages::actions::show_one))
        .route("/act/{action}", get(act::confirm).post(act::carry_out))
        .route("/evidence", get(evidence::export))
        .route("/assets/{name}", get(asset))
        .fallback(missing)
        .layer(DefaultBodyLimit::max(FORM))
        .layer(middleware::from_fn_with_state(state, guard))
}

async fn asset(Path(name): Path<String>) -> Response {
    match Asset::named(&name) {
        Some(asset) => ([(CONTENT_TYPE, asset.content_type)], asset.bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn missing() -> PageFailure {
    PageFailure::missing("There is no such page.")
}
