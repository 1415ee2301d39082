//! Events that were left to later: versions that were not valid yet, resubmitted runs, reminders.

use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_model::{Event, Verdict};
use keyrelay_store::StoreError;

use super::{PATIENCE, Pass, Summary, cause_of, elapsed, is_final, reminders};
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
        let under_way =
            stream::iter(keys).map(|key| async move { (self.handle_entry(&key).await, key) });
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
        let Postponed {
            run,
            event,
            cause,
            due,
            tried_since,
            ..
        } = &entry.value;
        if *due > Timestamp::now() || self.deadline.has_passed() {
            return Ok(false);
        }
        let event = Event::try_from(event).map_err(|error| error.to_string())?;
        if *cause == Cause::Reminder {
            // Before it is handled, so that it is not found again after it was.
            reminders::mark(&self.relay.store, &event)
                .await
                .map_err(words)?;
        }
        let trigger = Trigger {
            invocation: self.invocation.to_owned(),
            cause: cause_of(*cause),
            of: run.clone(),
            apps: None,
            carried: None,
        };
        let later = self.relay.run(trigger, Ok(event), self.deadline).await;
        let now = Timestamp::now();
        let first_tried = tried_since.unwrap_or(now);
        let tried_for = elapsed(first_tried, now);
        if later.asks_for_redelivery() && tried_for < PATIENCE {
            let mut entry = entry;
            entry.value.tried_since = Some(first_tried);
            entry.value.due = now + pause_after(tried_for);
            self.relay.pending.leave(entry).await.map_err(words)?;
            return Ok(false);
        }
        if later.asks_for_redelivery() {
            let hours = PATIENCE.as_secs() / 3_600;
            tracing::error!(run.id = %later.id, "a postponed event is given up after {hours} hours: see the run");
        }
        if let (Cause::Pending, Some(first)) = (*cause, run) {
            self.relay
                .history
                .amend(first, |first| settle(first, &later))
                .await
                .map_err(words)?;
        }
        self.relay.pending.done(entry).await.map_err(words)?;
        Ok(true)
    }
}

/// How long an event is left alone that has been tried for so long.
fn pause_after(tried_for: Duration) -> Duration {
    (tried_for / 2).min(Duration::from_mins(30))
}

/// Says in the run that left the event to later what came of it. What is still open then is told by the later run.
fn settle(first: &mut Run, later: &Run) {
    if let Some(ended) = first.ended.as_mut().filter(|ended| !ended.is_final()) {
        let message = format!("{}; then run {} handled it", ended.message, later.id);
        let verdict = if is_final(later) {
            later.verdict()
        } else {
            Verdict::Unchanged
        };
        *ended = Outcome::new(verdict, message);
    }
}
