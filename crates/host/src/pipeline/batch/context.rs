//! The context of a batch: everything that its steps share.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::{AzureError, Call, Deadline, ReferenceKind, ReferenceStatus};
use keyrelay_model::{AppId, Event, Reference, SettingName, Settings, Target};
use keyrelay_records::{Cause, IndexChange, Outcome};

use super::status::{Checked, Facts, Step, next_step};
use crate::index::{SecretOf, secret_of};
use crate::pipeline::event_context::EventContext;
use crate::pipeline::rotation::{AwaitedReference, Rotation, Verification};
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
        let deadline = latest(&mut budgets().map(|it| it.rotations()));
        // What the comparison repairs is in no hurry.
        let mut causes = rotations.iter().map(|rotation| rotation.context.cause);
        let call = match causes.all(|cause| cause == Cause::Drift) {
            true => Call::background(deadline),
            false => Call::until(deadline),
        };
        Self {
            services: Arc::clone(services),
            app,
            call,
            store_deadline: latest(&mut budgets().map(|it| it.record())),
        }
    }

    pub(super) fn vault_suffix(&self) -> &str {
        &self.services.config.cloud.vault_suffix
    }

    /// Closes a rotation with its verdict.
    pub(super) fn close(&self, rotation: &mut Rotation, outcome: Outcome) {
        if rotation.is_open() {
            let (index, now) = (&self.services.index, self.services.now());
            index.proven(&rotation.context.event, &self.app, &outcome, now);
        }
        rotation.close(&self.app, &self.call, outcome);
    }

    /// Closes a rotation, and leaves its pending work in the store to the reconcile timer.
    pub(super) fn abandon(&self, rotation: &mut Rotation, outcome: Outcome) {
        rotation.entry = None;
        self.close(rotation, outcome);
    }

    /// Reads all settings of the app, plain text included.
    pub(super) async fn settings(&self) -> Result<Settings, AzureError> {
        let azure = &self.services.resource_manager;
        azure.settings(&self.app, &self.call).await
    }

    /// Reads the statuses of the app's references, without plain text: those in connection strings
    /// only if an open rotation may have to do with them.
    pub(super) async fn statuses(
        &self,
        rotations: &[Rotation],
    ) -> Result<Vec<ReferenceStatus>, AzureError> {
        let azure = &self.services.resource_manager;
        let open = || rotations.iter().filter(|rotation| rotation.is_open());
        let with_connection_strings = open().any(may_have_connection_strings);
        let read = match with_connection_strings {
            true => azure.reference_statuses(&self.app, &self.call).await,
            false => {
                let settings = azure.app_setting_reference_statuses(&self.app, &self.call);
                settings.await
            }
        };
        let events = open().map(|rotation| &rotation.context.event);
        let secrets: Vec<SecretOf> = events.map(secret_of).collect();
        let index = &self.services.index;
        match &read {
            Ok(rows) => {
                let (suffix, now) = (self.vault_suffix(), self.services.now());
                index.seen(
                    &self.app,
                    rows,
                    with_connection_strings,
                    &secrets,
                    suffix,
                    now,
                );
            }
            Err(error) if error.is_not_found() => {
                for secret in &secrets {
                    index.note(secret, &self.app, IndexChange::Gone);
                }
            }
            Err(_) => {}
        }
        read
    }

    /// Notes that a status check finds nothing new, if the rows before a change tell: those of
    /// references that Azure names no version of look the same before and after it.
    pub(super) fn leave_if_nothing_is_visible(
        &self,
        rotation: &mut Rotation,
        rows: &[ReferenceStatus],
    ) {
        let Some(verification) = rotation.verification() else {
            return;
        };
        if !verification.plan.is_empty() {
            return;
        }
        if let Step::Wait {
            reason,
            pause,
            is_visible: false,
        } = self.next_step(&rotation.context, verification, rows, None)
        {
            rotation.wait(reason, pause, false);
        }
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
            .filter_map(|row| Some(((row.setting.clone(), row.kind), self.target(row)?)));
        let moving = targets.filter(|(_, target)| {
            let is_free = target.version.is_none() || target.version == event.version;
            target.is_of(event) && is_free
        });
        moving
            .map(|(setting, target)| AwaitedReference::new(setting, target, event))
            .collect()
    }

    /// Decides the next step of a rotation by the rows in Azure's response. `before` are the rows
    /// before a change that was made just now.
    pub(super) fn next_step(
        &self,
        context: &EventContext,
        verification: &Verification,
        rows: &[ReferenceStatus],
        before: Option<&[ReferenceStatus]>,
    ) -> Step {
        let config = &self.services.config;
        let checked = Checked {
            awaited: &verification.awaited,
            progress: &verification.progress(),
            is_refresh: verification.is_refresh,
            is_written: !verification.plan.is_empty(),
        };
        let facts = Facts {
            before,
            versions: &context.versions,
            vault_suffix: self.vault_suffix(),
            now: u64::try_from(self.services.now().as_second()).unwrap_or_default(),
            rule: context.refresh,
            timing: &config.refresh_timing,
        };
        next_step(checked, rows, facts)
    }
}

fn may_have_connection_strings(rotation: &Rotation) -> bool {
    let is_one = |it: &AwaitedReference| it.kind == ReferenceKind::ConnectionString;
    match (rotation.verification(), &rotation.context.resumed) {
        (Some(verification), _) => verification.awaited.iter().any(is_one),
        (None, Some(resumed)) => resumed.work.connection_strings,
        (None, None) => rotation.may_have_connection_strings,
    }
}

/// The names of the connection strings among the rows that are not app settings too.
pub(super) fn connection_strings(rows: &[ReferenceStatus]) -> Vec<SettingName> {
    let is = |row: &&ReferenceStatus, kind| row.kind == kind;
    let names = rows
        .iter()
        .filter(|row| is(row, ReferenceKind::ConnectionString))
        .map(|row| row.setting.clone());
    let settings: Vec<&SettingName> = rows
        .iter()
        .filter(|row| is(row, ReferenceKind::AppSetting))
        .map(|row| &row.setting)
        .collect();
    names.filter(|name| !settings.contains(&name)).collect()
}
