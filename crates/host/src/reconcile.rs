//! The reconcile timer: resumes pending work, handles postponed events, reads apps that were changed,
//! and once an hour compares the references of the apps with their vaults.
//!
//! It is invoked once a minute. An invocation with nothing due costs one list of the store; one with
//! work that is due before the next invocation waits for it, so that a second refresh is not late.
//!
//! Everything that it handles is a run, through the same pipeline.

mod audit;
mod behind;
mod changed;
mod compare;
mod compare_apps;
mod compare_index;
mod comparison;
mod continuation;
mod drift;
mod due;
mod pass;
mod pending_work;
mod pinned;
mod postponed;
mod reminders;
mod settle;
mod statuses;
mod summary;
mod versions;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join;
use jiff::Timestamp;
use keyrelay_azure::Deadline;
use keyrelay_config::Mode;
use keyrelay_model::{Verdict, error_chain};
use keyrelay_records::actions::Actions;
use keyrelay_records::{ComparisonProgress, DueKey, Outcome, PendingKeys, RemainingSites};
use keyrelay_store::StoreError;
use tokio::sync::SetOnce;

use crate::services::Services;
pub(crate) use continuation::continue_deliveries;
use due::{handle_due, wait_for_the_next};
use pass::{Pass, elapsed};
use summary::Summary;

/// Longest time for one invocation of the timer. The next one waits for its end.
const TIMEOUT: Duration = Duration::from_secs(240);

/// Longest time for one part of a comparison.
const COMPARE_FOR: Duration = Duration::from_secs(45);

/// Longest time for which this instance compares alone: longer than a part takes.
const CLAIM_COMPARISON: Duration = Duration::from_mins(2);

/// Longest time for the removal of old runs.
const PRUNE_FOR: Duration = Duration::from_secs(30);

/// Interval of comparisons.
const COMPARE_EVERY: Duration = Duration::from_hours(1);

/// Longest interval of sweeps, which read every app.
const SWEEP_EVERY: Duration = Duration::from_hours(24);

/// Runs one invocation of the timer. The outcome is a failure if the store cannot be read or
/// written.
pub(crate) async fn reconcile(services: &Arc<Services>, invocation: &str) -> Outcome {
    let mut summary = Summary::default();
    if services.config.mode == Mode::Off {
        summary.idle = Some("the mode is `off`");
    } else {
        let pass = Pass::new(services, invocation, Deadline::after(TIMEOUT));
        if let Err(error) = run(&pass, &mut summary).await {
            let message = error_chain(&error);
            tracing::error!(invocation.id = invocation, "reconciling: {message}");
            return Outcome::transient(message);
        }
    }
    tracing::info!(invocation.id = invocation, "reconciled: {summary}");
    Outcome::new(Verdict::Unchanged, summary.to_string())
}

async fn run(pass: &Pass<'_>, summary: &mut Summary) -> Result<(), StoreError> {
    let pending = pass.pending.list().await?;
    pass.services.metrics.pending(pending.work.len());
    let now = pass.services.now();
    handle_due(pass, &pending, now, summary).await;
    let lookahead = pass.services.config.refresh_timing.lookahead();
    let is_soon = |next| elapsed(now, next) <= lookahead;
    if !pending.changed.is_empty() || is_comparison_due(&pending, now) {
        // Side by side: what becomes due does not wait for a comparison of many apps.
        let (mut of_comparison, is_compared) = (Summary::default(), SetOnce::new());
        let comparing = async {
            let read = changed::read_changed(pass, &pending, &mut of_comparison).await;
            let compared = compare_all(pass, &mut of_comparison).await;
            let _ = is_compared.set(());
            read.and(compared)
        };
        let waiting = wait_for_the_next(pass, Some(&is_compared), summary);
        let (compared, waited) = join(comparing, waiting).await;
        summary.add(of_comparison);
        compared.and(waited)?;
    } else if pending.next_due().is_some_and(is_soon) {
        wait_for_the_next(pass, None, summary).await?;
    }
    Ok(())
}

/// Whether a comparison is due, or a sweep is requested. One in the far future was written by a wrong
/// clock.
fn is_comparison_due(pending: &PendingKeys, now: Timestamp) -> bool {
    let is_due = |key: &DueKey| key.due() <= now || elapsed(now, key.due()) > COMPARE_EVERY * 2;
    pending.sweep || pending.comparison.as_ref().is_none_or(is_due)
}

/// Compares part after part, while one is due and there is time.
async fn compare_all(pass: &Pass<'_>, summary: &mut Summary) -> Result<(), StoreError> {
    loop {
        let pending = pass.pending.list().await?;
        let is_due = is_comparison_due(&pending, pass.services.now());
        if !is_due || !compare_part(pass, &pending, summary).await? {
            return Ok(());
        }
        // Others resume what this instance leaves if it dies, so its claim is short.
        if pass.deadline.remaining() < COMPARE_FOR {
            return Ok(());
        }
    }
}

/// Compares a part of the apps, unless another instance does. Returns whether there may be more to
/// compare.
async fn compare_part(
    pass: &Pass<'_>,
    pending: &PendingKeys,
    summary: &mut Summary,
) -> Result<bool, StoreError> {
    let now = pass.services.now();
    let claimed = pass
        .pending
        .claim_comparison(pending.comparison.as_ref(), CLAIM_COMPARISON);
    let Some(mut entry) = claimed.await? else {
        return Ok(false);
    };
    let progress = &mut entry.value;
    if progress.remaining.is_none() {
        progress.compared = Some(now);
        progress.has_compared = false;
        progress.shards = None;
        progress.unlisted = Vec::new();
        progress.unread.clear();
        progress.has_repaired = false;
        progress.is_rebuilding = false;
        progress.after = None;
        progress.is_sweep = pending.sweep || is_sweep_due(pass, progress, now).await?;
        progress.remaining = Some(match progress.is_sweep {
            true => pass
                .services
                .config
                .scope
                .iter()
                .map(RemainingSites::all)
                .collect(),
            false => Vec::new(),
        });
        // It is due from here on: another instance continues it if this one is killed.
        let is_requested = progress.is_sweep && pending.sweep;
        if !pass.pending.keep_comparison(entry, now).await? {
            return Ok(false);
        }
        // The request is removed only when the sweep is sure to come, and before it reads: an event
        // that requests another one from here on finds no request.
        if is_requested {
            pass.pending.begin_sweep().await?;
        }
        return Ok(true);
    }
    let part = Pass::new(pass.services, pass.invocation, Deadline::after(COMPARE_FOR));
    let is_complete = compare::compare(&part, pending, progress, summary).await;
    let has_failed = !is_complete && !part.deadline.has_passed();
    let due = match is_complete {
        true => progress.compared.unwrap_or(now) + COMPARE_EVERY,
        false => now,
    };
    // Without the deadline: the next invocation would compare the same sites again.
    pass.services.pending.keep_comparison(entry, due).await?;
    if is_complete {
        prune(pass, summary).await;
    }
    // What has failed is tried again by the next invocation.
    Ok(!has_failed)
}

/// Whether the comparison that begins is a sweep: there has been none for a day, or none of the scope.
async fn is_sweep_due(
    pass: &Pass<'_>,
    progress: &ComparisonProgress,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let is_recent = progress
        .swept
        .is_some_and(|swept| elapsed(swept, now) < SWEEP_EVERY);
    let scopes = &pass.services.config.scope;
    let state = pass.index.state().await?;
    Ok(!is_recent || state.is_none_or(|state| !state.uncovered(scopes).is_empty()))
}

/// Removes old runs, and adds new ones to the run summaries. What is left is done after the next comparison.
async fn prune(pass: &Pass<'_>, summary: &mut Summary) {
    let deadline = pass.deadline.min(Deadline::after(PRUNE_FOR)).moment();
    let keep = pass.services.config.keep_runs;
    let now = pass.services.now();
    match pass.history.prune(keep, now, deadline).await {
        Ok(pruned) => summary.pruned = pruned,
        Err(error) => summary.problem(format!("old runs stay for now: {}", error_chain(&error))),
    }
    let actions = Actions::new(pass.store.clone());
    if let Err(error) = actions.prune(keep, now, deadline).await {
        let reason = error_chain(&error);
        summary.problem(format!("old records of actions stay for now: {reason}"));
    }
    if let Err(error) = pass.history.compact(now, deadline).await {
        // The list reads the runs one by one then.
        summary.problem(format!(
            "the run summaries stay as they are for now: {}",
            error_chain(&error)
        ));
    }
}
