//! A batch: the rotations of one app that are decided, applied and verified together.
//!
//! `Batch -> Leased -> Applied -> Verifying`: one type for each stage, and one function for each
//! transition. A verdict is delivered when nothing is left to write for it.

mod apply;
mod context;
mod decide;
mod lease;
mod outcomes;
mod refresh;
mod rollback;
mod stages;
mod status;
mod verify;
mod write;
mod write_ahead;

use std::sync::Arc;

use keyrelay_model::AppId;
use tracing::Instrument as _;

use super::app_queue::{AppQueue, Worker};
use super::rotation::Rotation;
use crate::services::Services;
use apply::apply;
use lease::acquire;
use stages::{Applied, Batch};
use verify::{start, verify};

/// Takes a batch to the verdicts of all its rotations.
pub(crate) async fn run(
    services: &Arc<Services>,
    queue: &AppQueue,
    worker: Worker<'_>,
    app: AppId,
    rotations: Vec<Rotation>,
) {
    let batch = Batch::new(services, app, rotations);
    let span = batch.span("apply");
    let applied = async {
        match acquire(batch).await {
            Ok(leased) => apply(leased).await,
            Err((batch, outcome)) => Applied::abandoned(batch, &outcome),
        }
    };
    let applied = applied.instrument(span).await;
    // Verification takes up to half a minute and changes nothing: the next batch may begin.
    worker.finish(applied.has_changed());
    let verifying = start(applied, queue);
    let span = verifying.span();
    verify(verifying).instrument(span).await;
}
