//! Handles postponed events: versions that were not valid yet, resubmitted runs, and reminders.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, stream};
use keyrelay_model::{AppId, Event, Verdict, error_chain};
use keyrelay_records::{Cause, Outcome, PostponedEvent, Run};
use keyrelay_store::StoreError;

use super::pass::{GIVE_UP_AFTER, Pass, elapsed, is_final};
use super::reminders;
use super::summary::Summary;
use crate::pipeline::run::{TimeBudget, Trigger, run};

/// Time after the end of a pass for which this instance still handles an event alone.
const CLAIM: Duration = Duration::from_mins(1);

/// Largest number of events that are handled at once.
const CONCURRENCY: usize = 16;

/// Longest pause between two attempts at an event.
const LONGEST_PAUSE: Duration = Duration::from_mins(30);

/// Handles these postponed events, which are due.
pub(super) async fn handle(pass: &Pass<'_>, keys: Vec<String>, summary: &mut Summary) {
    let handling =
        stream::iter(keys).map(|key| async move { (handle_entry(pass, &key).await, key) });
    let mut handling = handling.buffer_unordered(CONCURRENCY);
    while let Some((handled, key)) = handling.next().await {
        match handled {
            Ok(true) => {
                summary.finished += 1;
                summary.waiting = summary.waiting.saturating_sub(1);
            }
            Ok(false) => {}
            Err(message) => summary.problem(format!("{key}: {message}")),
        }
    }
}

/// Handles one event, if it is due. Returns whether it is finished.
async fn handle_entry(pass: &Pass<'_>, key: &str) -> Result<bool, String> {
    let reason = |error: StoreError| error_chain(&error);
    let services = pass.services;
    if pass.deadline.has_passed() {
        return Ok(false);
    }
    let duration = pass.deadline.remaining() + CLAIM;
    let claimed = pass.pending.claim::<PostponedEvent>(key, duration).await;
    let Some(mut entry) = claimed.map_err(reason)? else {
        return Ok(false);
    };
    let PostponedEvent {
        run: of,
        event,
        cause,
        tried_since,
        remaining,
        apps,
        ..
    } = entry.value.clone();
    let event = Event::try_from(&event).map_err(|error| error.to_string())?;
    if cause == Cause::Reminder {
        // Before it is handled, so that the next comparison does not find it again.
        let marked = reminders::mark(&pass.store, &event).await;
        marked.map_err(reason)?;
    }
    let trigger = Trigger {
        invocation: pass.invocation.to_owned(),
        cause: cause_of(cause),
        of: of.clone(),
        is_retry: tried_since.is_some() || !remaining.is_empty() || !apps.is_empty(),
        apps: Some(apps).filter(|apps| !apps.is_empty()),
        remaining,
        resumed: None,
    };
    let budget = TimeBudget::of_timer(pass.deadline);
    let later = run(services, trigger, Ok(event), budget).await;
    if let Some(not_before) = later.not_before {
        entry.value.due = not_before;
        entry.value.tried_since = None;
        pass.pending.postpone_again(entry).await.map_err(reason)?;
        return Ok(false);
    }
    let now = pass.services.now();
    let first_tried = tried_since.unwrap_or(now);
    let tried_for = elapsed(first_tried, now);
    let has_left = !later.remaining.is_empty() || !later.remaining_apps.is_empty();
    let is_unfinished = later.asks_for_redelivery() || has_left;
    if is_unfinished && tried_for < GIVE_UP_AFTER {
        let apps: BTreeSet<&AppId> = later.remaining_apps.iter().collect();
        let is_same = later.remaining == entry.value.remaining
            && apps == entry.value.apps.iter().collect::<BTreeSet<&AppId>>();
        if has_left && !is_same {
            entry.value.remaining = later.remaining;
            entry.value.apps = later.remaining_apps;
            entry.value.tried_since = None;
            entry.value.due = now;
        } else {
            entry.value.tried_since = Some(first_tried);
            entry.value.due = now + (tried_for / 2).min(LONGEST_PAUSE);
        }
        pass.pending.postpone_again(entry).await.map_err(reason)?;
        return Ok(false);
    }
    if is_unfinished {
        let hours = GIVE_UP_AFTER.as_secs() / 3_600;
        tracing::error!(
            run.id = %later.id,
            "a postponed event is given up after {hours} hours: see the run"
        );
    }
    if let (Cause::Pending, Some(first)) = (cause, &of) {
        let settle = |first: &mut Run| settle(first, &later);
        let amended = pass.history.amend(first, settle).await;
        amended.map_err(reason)?;
    }
    pass.pending.remove(&entry.key).await.map_err(reason)?;
    Ok(true)
}

/// The cause of the run for a postponed event.
fn cause_of(cause: Cause) -> Cause {
    match cause {
        Cause::Resubmit | Cause::Reminder => cause,
        Cause::Event | Cause::Pending | Cause::Drift => Cause::Pending,
    }
}

/// Writes the verdict of the later run into the one that postponed the event. The later run shows
/// what is still pending then.
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
