//! Events that are handled later.

use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_store::StoreError;
use serde::{Deserialize, Serialize};

use super::{Claimable, DueKey, EVENTS, Pending, PendingEntry, due};
use crate::record::{Cause, EventRecord, Run};
use crate::remaining_sites::RemainingSites;
use crate::run_id::RunId;

/// An event to be handled later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostponedEvent {
    /// The run that postponed it, or that is resubmitted. None for reminders.
    pub run: Option<RunId>,
    /// The event.
    pub event: EventRecord,
    /// The cause of the run that will handle it.
    pub cause: Cause,
    /// The time from which it is handled.
    pub due: Timestamp,
    /// The time at which it was postponed.
    pub since: Timestamp,
    /// The reason for the wait.
    pub reason: String,
    /// The time of the first failed attempt.
    #[serde(default)]
    pub tried_since: Option<Timestamp>,
    /// The sites that are still to be handled. Empty: all of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remaining: Vec<RemainingSites>,
    /// The apps that are still to be handled. Empty: those of the sites, the rule or the index.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        with = "crate::text::list"
    )]
    pub apps: Vec<AppId>,
    /// The time until which an instance handles it, and no other one begins.
    #[serde(default)]
    pub claimed_until: Option<Timestamp>,
}

impl Claimable for PostponedEvent {
    fn claimed_until(&mut self) -> &mut Option<Timestamp> {
        &mut self.claimed_until
    }
}

impl PostponedEvent {
    /// Resubmits the event of a run. None if the run had none.
    pub fn resubmission(run: &Run, now: Timestamp) -> Option<Self> {
        let event = run.event.clone()?;
        let reason = format!("resubmitted: run {} is to be repeated", run.id);
        Some(Self {
            run: Some(run.id.clone()),
            event,
            cause: Cause::Resubmit,
            due: now,
            since: now,
            reason,
            tried_since: None,
            remaining: Vec::new(),
            apps: Vec::new(),
            claimed_until: None,
        })
    }

    /// The key in the store. Deliveries of the same event share it, so that it waits once.
    fn key(&self) -> String {
        let cause = match (&self.cause, &self.run) {
            // Each request of an operator counts.
            (Cause::Resubmit, Some(run)) => format!("resubmit-{run}"),
            (Cause::Reminder, _) => self.event.id.clone(),
            _ => "event".to_owned(),
        };
        let EventRecord {
            vault_host,
            kind,
            name,
            version,
            occurrence,
            ..
        } = &self.event;
        let version = version.as_deref().unwrap_or("newest");
        let name = format!("{vault_host}--{kind}--{name}--{version}--{occurrence}--{cause}");
        // Events that are due at once share a key, independently of the time of their delivery.
        let due = (self.due > self.since).then_some(self.due);
        due::key(EVENTS, &name.to_lowercase(), due)
    }
}

impl Pending {
    /// Postpones an event. Returns false if it is postponed already, and then leaves the stored one
    /// unchanged.
    pub async fn postpone(&self, postponed: &PostponedEvent) -> Result<bool, StoreError> {
        // A later attempt has moved it to another due time.
        let key = DueKey::new(postponed.key());
        let mut kept = self.0.list(EVENTS).await?.into_iter().map(DueKey::new);
        if kept.any(|kept| kept.name() == key.name()) {
            return Ok(false);
        }
        match self.0.create(key.as_str(), postponed).await {
            Err(error) if error.is_conflict() => Ok(false),
            kept => kept.map(|_| true),
        }
    }

    /// Moves the claimed entry of a postponed event to its new due time, and gives the claim back.
    /// Returns false if another instance has taken over.
    pub async fn postpone_again(
        &self,
        entry: PendingEntry<PostponedEvent>,
    ) -> Result<bool, StoreError> {
        let name = DueKey::new(entry.key.clone()).name().to_owned();
        let key = due::key(EVENTS, &name, Some(entry.value.due));
        self.move_to(entry, &key).await
    }
}
