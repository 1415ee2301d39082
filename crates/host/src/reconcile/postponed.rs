//! Events that were left to later: versions that were not valid yet, resubmitted runs, reminders.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_model::Event;
use keyrelay_store::StoreError;

use super::{Pass, Summary, cause_of, reminders};
use crate::outcome::{Outcome, chain};
use crate::pending::{Entry, Postponed};
use crate::record::{Cause, Run};
use crate::relay::Trigger;

/// How many events are handled at once.
const AT_ONCE: usize = 16;

impl Pass<'_> {
    /// Handles all postponed events that are due.
    pub(super) async fn handle_postponed(&self, summary: &mut Summary) -> Result<(), StoreError> {
        let keys = self.relay.pending.events().await?;
        let under_way = stream::iter(keys).map(|key| async move { (self.handle_entry(&key).await, key) });
        let mut under_way = under_way.buffer_unordered(AT_ONCE);
        let mut waiting = 0;
        while let Some((handled, key)) = under_way.next().await {
            match handled {
                Ok(true) => summary.finished += 1,
                Ok(false) => waiting += 1,
                Err(message) => summary.problem(format!("{key}: {message}")),
            }
        }
        summary.waiting += waiting;
        Ok(())
    }

    /// Handles one, if it is due. Returns whether it is done with.
    async fn handle_entry(&self, key: &str) -> Result<bool, String> {
        let words = |error: StoreError| chain(&error);
        let entry: Option<Entry<Postponed>> = self.relay.pending.read(key).await.map_err(words)?;
        let Some(entry) = entry else { return Ok(true) };
        let Postponed { run, event, cause, due, .. } = &entry.value;
        if *due > Timestamp::now() || self.deadline.has_passed() {
            return Ok(false);
        }
        let event = Event::try_from(event).map_err(|error| error.to_string())?;
        if *cause == Cause::Reminder {
            // Before it is handled, so that it is not found again after it was.
            reminders::mark(&self.relay.store, &event).await.map_err(words)?;
        }
        let trigger = Trigger {
            invocation: self.invocation.to_owned(),
            cause: cause_of(*cause),
            of: run.clone(),
            apps: None,
            carried: None,
        };
        let later = self.relay.run(trigger, Ok(event), self.deadline).await;
        if later.asks_for_redelivery() {
            return Ok(false);
        }
        if let (Cause::Pending, Some(first)) = (*cause, run) {
            self.relay.history.amend(first, |first| settle(first, &later)).await.map_err(words)?;
        }
        self.relay.pending.done(entry).await.map_err(words)?;
        Ok(true)
    }
}

/// Says in the run that left the event to later what came of it.
fn settle(first: &mut Run, later: &Run) {
    if let Some(ended) = first.ended.as_mut().filter(|ended| !ended.is_final()) {
        let message = format!("{}; then run {} handled it", ended.message, later.id);
        *ended = Outcome::new(later.verdict(), message);
    }
}
