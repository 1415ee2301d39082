//! The context of a batch: everything that its steps share.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::{AzureError, Call, Deadline, ReferenceStatus};
use keyrelay_model::{AppId, Event, Reference, Settings, Target};
use keyrelay_records::Outcome;

use super::status::{ReferenceCheck, check_references};
use crate::pipeline::event_context::EventContext;
use crate::pipeline::rotation::{AwaitedReference, Rotation};
use crate::services::Services;

/// Everything that the steps of a batch share.
pub(super) struct BatchContext {
    pub(super) services: Arc<Services>,
    pub(super) app: AppId,
    /// The deadline of the batch, the latest of its rotations, and the log of its requests.
    pub(super) call: Call,
    /// The deadline of the store's operations.
    pub(super) store_deadline: Deadline,
}

impl BatchContext {
    pub(super) fn new(services: &Arc<Services>, app: AppId, rotations: &[Rotation]) -> Self {
        let latest = |deadlines: &mut dyn Iterator<Item = Deadline>| {
            deadlines.max().unwrap_or(Deadline::after(Duration::ZERO))
        };
        let budgets = || rotations.iter().map(|rotation| rotation.budget);
        Self {
            services: Arc::clone(services),
            app,
            call: Call::until(latest(&mut budgets().map(|it| it.rotations()))),
            store_deadline: latest(&mut budgets().map(|it| it.record())),
        }
    }

    pub(super) fn vault_suffix(&self) -> &str {
        &self.services.config.cloud.vault_suffix
    }

    /// Closes a rotation with its verdict.
    pub(super) fn close(&self, rotation: &mut Rotation, outcome: Outcome) {
        rotation.close(&self.app, &self.call, outcome);
    }

    /// Reads all settings of the app, plain text included.
    pub(super) async fn settings(&self) -> Result<Settings, AzureError> {
        let azure = &self.services.resource_manager;
        azure.settings(&self.app, &self.call).await
    }

    /// Reads the statuses of the app's references, without plain text.
    pub(super) async fn statuses(&self) -> Result<Vec<ReferenceStatus>, AzureError> {
        let azure = &self.services.resource_manager;
        azure.reference_statuses(&self.app, &self.call).await
    }

    /// The secret that a row's setting references.
    pub(super) fn target(&self, row: &ReferenceStatus) -> Option<Target> {
        let reference = Reference::parse(&row.reference, self.vault_suffix()).ok()?;
        Some(reference.target().clone())
    }

    /// The references that a refresh or a write moves to the event's version: those to its secret,
    /// without the ones that are pinned to another version.
    pub(super) fn awaited(
        &self,
        event: &Event,
        statuses: &[ReferenceStatus],
    ) -> Vec<AwaitedReference> {
        let targets = statuses
            .iter()
            .filter_map(|row| Some((row.setting.clone(), self.target(row)?)));
        let moving = targets.filter(|(_, target)| {
            let is_free = target.version.is_none() || target.version == event.version;
            target.is_of(event) && is_free
        });
        moving
            .map(|(setting, target)| AwaitedReference::new(setting, target, event))
            .collect()
    }

    /// Whether all awaited references are resolved with a version that is wanted. A reference that
    /// waits for no known version never counts as resolved.
    pub(super) fn are_resolved(
        &self,
        context: &EventContext,
        awaited: &[AwaitedReference],
        statuses: &[ReferenceStatus],
    ) -> bool {
        let check = check_references(awaited, statuses, &context.versions, self.vault_suffix());
        awaited.iter().all(|it| it.version.is_some()) && check == ReferenceCheck::Resolved
    }
}
