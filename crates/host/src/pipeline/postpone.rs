//! Postpones an event: keeps it in the store until the reconcile timer handles it.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_model::{Event, Verdict};
use keyrelay_records::{Cause, EventRecord, Outcome, PostponedEvent, Run};

use super::time_budget::TimeBudget;
use super::trigger::Trigger;
use crate::services::Services;

/// Postpones an event until its version is valid, `not_before` in seconds since 1970. One that was
/// postponed before is kept by the reconcile timer.
pub(crate) async fn until_valid(
    services: &Services,
    event: &Event,
    trigger: &Trigger,
    not_before: u64,
    run: &mut Run,
    budget: TimeBudget,
) -> Outcome {
    let due = i64::try_from(not_before)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    let Some(due) = due else {
        let message = "the version's not-before date is out of range";
        return Outcome::new(Verdict::Refused, message);
    };
    let reason = format!("the version is not valid before {due}");
    let later = Outcome::new(
        Verdict::Pending,
        format!("{reason}: keyrelay handles the event then"),
    );
    if !matches!(trigger.cause, Cause::Event | Cause::Drift) {
        run.not_before = Some(due);
        return later;
    }
    match keep(services, event, due, &reason, run, budget).await {
        Ok(true) => later,
        Ok(false) => Outcome::new(
            Verdict::Unchanged,
            format!("{reason}: an earlier delivery has postponed the event already"),
        ),
        Err(outcome) => outcome,
    }
}

/// Postpones an event for the sites that the run leaves, or for all apps that are named. What is
/// left of an event that was postponed before is kept by the reconcile timer.
pub(crate) async fn remaining(
    services: &Services,
    event: &Event,
    trigger: &Trigger,
    run: &Run,
    pause: Duration,
    reason: &str,
    budget: TimeBudget,
) -> Outcome {
    let continues = format!("{reason}: the reconcile timer continues from there");
    match trigger.cause {
        Cause::Event => {}
        Cause::Drift => {
            return Outcome::transient(format!("{reason}: the next comparison finds them again"));
        }
        // The timer keeps the event.
        _ if !run.remaining.is_empty() || !run.remaining_apps.is_empty() => {
            return Outcome::new(Verdict::Pending, continues);
        }
        _ => return Outcome::transient(format!("{reason}: the reconcile timer tries again")),
    }
    let now = services.now();
    let due = now.checked_add(pause).unwrap_or(now);
    match keep(services, event, due, reason, run, budget).await {
        Ok(_) => Outcome::new(Verdict::Pending, continues),
        Err(outcome) => outcome,
    }
}

/// Keeps an event until it is due. Returns false if it was kept already.
async fn keep(
    services: &Services,
    event: &Event,
    due: Timestamp,
    reason: &str,
    run: &Run,
    budget: TimeBudget,
) -> Result<bool, Outcome> {
    let postponed = PostponedEvent {
        run: Some(run.id.clone()),
        event: EventRecord::from(event),
        cause: Cause::Pending,
        due,
        since: services.now(),
        reason: reason.to_owned(),
        tried_since: None,
        remaining: run.remaining.clone(),
        apps: run.remaining_apps.clone(),
        claimed_until: None,
    };
    let pending = services.pending.until(budget.record().moment());
    Ok(pending.postpone(&postponed).await?)
}
