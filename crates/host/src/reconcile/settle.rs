//! Writes the final verdicts of resumed rotations into the runs that left them pending: once for
//! each run, with the verdicts of all its apps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_model::{AppId, error_chain};
use keyrelay_records::{FormerOutcome, Outcome, PendingRotation, Run, RunId, WorkEntry};
use keyrelay_store::StoreError;

use super::audit;
use super::pass::{Pass, elapsed};
use super::summary::Summary;

/// Pauses before work that could not be resumed is tried again: half of the time since it began,
/// within these limits.
const SHORTEST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_mins(30);

/// The final verdict of a resumed rotation.
pub(super) struct Settlement {
    /// Its object in the store.
    pub(super) entry: WorkEntry,
    pub(super) work: PendingRotation,
    pub(super) app: AppId,
    pub(super) outcome: Outcome,
    /// The run that has it.
    pub(super) by: RunId,
}

/// Settles these rotations, and closes their objects. Work whose verdict cannot be written stays.
pub(super) async fn settle(pass: &Pass<'_>, resumed: Vec<Settlement>, summary: &mut Summary) {
    let mut by_run: BTreeMap<&RunId, Vec<&Settlement>> = BTreeMap::new();
    for settlement in &resumed {
        by_run
            .entry(&settlement.work.run)
            .or_default()
            .push(settlement);
    }
    let mut failed = BTreeSet::new();
    for (run, settlements) in by_run {
        let settle = |first: &mut Run| {
            for settlement in &settlements {
                settle_rotation(first, settlement);
            }
        };
        if let Err(error) = pass.history.amend(run, settle).await {
            summary.problem(error_chain(&error));
            failed.insert(run.clone());
        }
    }
    let failed = &failed;
    let closing = stream::iter(resumed).map(|it| close(pass, it, failed));
    let mut closing = closing.buffer_unordered(pass.services.config.apps_at_once);
    while let Some(closed) = closing.next().await {
        match closed {
            Ok(is_finished) => {
                summary.finished += usize::from(is_finished);
                summary.waiting = summary.waiting.saturating_sub(usize::from(is_finished));
            }
            Err(message) => summary.problem(message),
        }
    }
}

/// Closes the object of one rotation. Returns whether it is finished.
async fn close(
    pass: &Pass<'_>,
    settlement: Settlement,
    failed: &BTreeSet<RunId>,
) -> Result<bool, String> {
    let Settlement {
        entry,
        work,
        app,
        outcome,
        ..
    } = settlement;
    let reason = |error: StoreError| format!("{app}: {}", error_chain(&error));
    let is_settled =
        !failed.contains(&work.run) && audit::begin(pass, &app, &work, &outcome).await.is_ok();
    if !is_settled {
        let mut entry = entry;
        return entry
            .update(later(work, pass.services.now()))
            .await
            .map(|_| false)
            .map_err(reason);
    }
    if entry.finish().await.map_err(reason)? {
        return Ok(true);
    }
    // The run has kept its work under another due time meanwhile.
    if let Some(entry) = pass.pending.of_run(&app, &work.run).await.map_err(reason)? {
        entry.finish().await.map_err(reason)?;
    }
    Ok(true)
}

/// The same work, to be tried again after a pause.
pub(super) fn later(mut work: PendingRotation, now: Timestamp) -> PendingRotation {
    let pause = (elapsed(work.since, now) / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    work.due = now.checked_add(pause).unwrap_or(now);
    work
}

fn settle_rotation(first: &mut Run, settlement: &Settlement) {
    let of_app = first
        .rotations
        .iter_mut()
        .filter(|it| it.app == settlement.app);
    for rotation in of_app {
        if rotation.before.is_none() && !rotation.outcome.is_final() {
            let outcome = settlement.outcome.clone();
            let former = std::mem::replace(&mut rotation.outcome, outcome);
            rotation.before = Some(FormerOutcome {
                outcome: former,
                settled_by: settlement.by.clone(),
            });
        }
    }
}
