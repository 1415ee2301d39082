//! Early news: events about apps that were changed. Each is noted in the store, and the reconcile timer
//! reads the references of the app with its next invocation.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use keyrelay_config::Mode;
use keyrelay_model::{AppChange, AppId, EventError, EventErrorReason, error_chain};
use keyrelay_records::{Outcome, Run};

use super::run::unrecorded;
use super::time_budget::TimeBudget;
use crate::services::Services;

/// The number of apps that are noted concurrently.
const AT_ONCE: usize = 16;

/// The changes that the events of a delivery report.
#[derive(Debug)]
pub(super) struct Changes<T> {
    tags: Vec<T>,
    /// The apps of this installation.
    apps: BTreeMap<String, AppId>,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self {
            tags: Vec::new(),
            apps: BTreeMap::new(),
        }
    }
}

/// The change of an event, if it is about a resource: None within, if keyrelay has nothing to do with
/// that.
pub(super) fn change_of(error: &EventError) -> Option<Option<&AppChange>> {
    match &error.reason {
        EventErrorReason::ResourceWritten(change) => Some(change.as_ref()),
        _ => None,
    }
}

impl<T> Changes<T> {
    /// Adds the change of an event. Changes of other resources than the apps of this installation are
    /// ignored.
    pub(super) fn add(&mut self, services: &Services, tag: T, change: Option<&AppChange>) {
        let Some(AppChange { app }) = change.filter(|change| is_ours(services, &change.app)) else {
            return;
        };
        self.tags.push(tag);
        self.apps
            .insert(app.to_string().to_lowercase(), app.clone());
    }

    /// Notes the changes. There is a run, which has no record, if that fails: then Event Grid delivers
    /// the events again.
    pub(super) async fn note(
        self,
        services: &Services,
        invocation: &str,
        budget: TimeBudget,
    ) -> Option<(Vec<T>, Run)> {
        let pending = services.pending.until(budget.record().moment());
        if self.apps.is_empty() {
            return None;
        }
        if !services.recent_changes.count(self.apps.len()) {
            // A sweep reads them all.
            let error = pending.request_sweep().await.err()?;
            let message = format!("a sweep cannot be requested: {}", error_chain(&error));
            let run = unrecorded(invocation, Outcome::transient(message));
            return Some((self.tags, run));
        }
        // One that cannot be noted does not keep the others from being noted.
        let noted = stream::iter(self.apps.into_values()).map(|app| {
            let pending = pending.clone();
            async move { pending.mark_changed(&app).await }
        });
        let mut noted = noted.buffer_unordered(AT_ONCE);
        let mut failed = None;
        while let Some(noted) = noted.next().await {
            failed = noted.err().or(failed);
        }
        let error = failed?;
        let message = format!("a changed app cannot be noted: {}", error_chain(&error));
        Some((
            self.tags,
            unrecorded(invocation, Outcome::transient(message)),
        ))
    }
}

/// Whether keyrelay handles events for this app.
fn is_ours(services: &Services, app: &AppId) -> bool {
    let config = &services.config;
    config.mode != Mode::Off && !services.own_app.is(app) && config.may_handle(app)
}
