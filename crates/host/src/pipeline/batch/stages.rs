//! The stages of a batch.

use std::sync::Arc;

use keyrelay_azure::ReferenceStatus;
use keyrelay_model::AppId;
use keyrelay_records::Outcome;
use keyrelay_records::app_state::AppState;
use keyrelay_store::Lease;
use tracing::Span;

use super::context::BatchContext;
use crate::pipeline::app_queue::{AppQueue, VerifyingBatch};
use crate::pipeline::rotation::Rotation;
use crate::services::Services;
use crate::telemetry::SPANS;

/// The rotations of one app that are handled together. This is the first stage; the later ones
/// contain it.
pub(super) struct Batch {
    pub(super) context: BatchContext,
    pub(super) rotations: Vec<Rotation>,
    /// Whether the app was changed, or may have been.
    pub(super) has_changed: bool,
    /// The statuses of the app's references before that.
    pub(super) rows_before: Option<Vec<ReferenceStatus>>,
}

/// A batch that holds the lease of its app.
pub(super) struct Leased {
    pub(super) batch: Batch,
    pub(super) lease: Lease<AppState>,
}

/// A batch whose changes are made. The lease is released.
pub(super) struct Applied {
    batch: Batch,
}

/// A batch whose references are checked until all rotations have their verdict.
pub(super) struct Verifying<'q> {
    pub(super) batch: Batch,
    /// The queue of the app, for a roll-back.
    pub(super) queue: &'q AppQueue,
    pub(super) load: VerifyingBatch,
}

impl Batch {
    pub(super) fn new(services: &Arc<Services>, app: AppId, mut rotations: Vec<Rotation>) -> Self {
        // If two events set the same setting, the later one wins.
        rotations.sort_by_key(|rotation| rotation.context.event.moment());
        let context = BatchContext::new(services, app, &rotations);
        Self {
            context,
            rotations,
            has_changed: false,
            rows_before: None,
        }
    }

    /// A span of the trace. Steps for several rotations are shown below the first open one.
    pub(super) fn span(&self, step: &'static str) -> Span {
        let Some(first) = self.rotations.iter().find(|rotation| rotation.is_open()) else {
            return Span::none();
        };
        tracing::info_span!(
            target: SPANS,
            parent: &first.span,
            "step",
            otel.name = step,
            rotations = self.rotations.len()
        )
    }
}

impl Applied {
    pub(super) fn new(batch: Batch) -> Self {
        Self { batch }
    }

    /// A batch that ends before its changes are known to be complete. Its pending work stays in the
    /// store, for another instance to verify or to roll back.
    pub(super) fn abandoned(mut batch: Batch, outcome: &Outcome) -> Self {
        for rotation in batch.rotations.iter_mut().filter(|it| it.is_open()) {
            batch.context.abandon(rotation, outcome.clone());
        }
        Self { batch }
    }

    pub(super) fn has_changed(&self) -> bool {
        self.batch.has_changed
    }

    pub(super) fn rotations_mut(&mut self) -> &mut [Rotation] {
        &mut self.batch.rotations
    }

    pub(super) fn into_batch(self) -> Batch {
        self.batch
    }
}

impl Verifying<'_> {
    pub(super) fn span(&self) -> Span {
        self.batch.span("verify")
    }
}
