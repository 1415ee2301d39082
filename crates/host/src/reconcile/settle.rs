//! Writes the final verdicts of resumed rotations into the runs that left them pending: once for
//! each run, with the verdicts of all its apps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_model::{AppId, error_chain};
use keyrelay_records::{FormerOutcome, Outcome, PendingObject, PendingRotation, Run, RunId};

use super::audit;
use super::pass::Pass;
use super::summary::Summary;

/// Pause before work that could not be resumed is tried again.
const RETRY: Duration = Duration::from_mins(5);

/// The final verdict of a resumed rotation.
pub(super) struct Settlement {
    pub(super) work: PendingRotation,
    pub(super) app: AppId,
    pub(super) outcome: Outcome,
    /// The run that has it.
    pub(super) by: RunId,
}

/// A claimed object whose work is resumed.
pub(super) struct ResumedObject {
    pub(super) object: PendingObject,
    /// The work that is not finished.
    pub(super) left: Vec<PendingRotation>,
    pub(super) settlements: Vec<Settlement>,
    /// Whether other objects have some of its work now.
    pub(super) has_moved_on: bool,
}

/// Settles the rotations of these objects, and closes the objects. Work whose verdict cannot be
/// written stays.
pub(super) async fn settle(pass: &Pass<'_>, resumed: Vec<ResumedObject>, summary: &mut Summary) {
    let mut by_run: BTreeMap<&RunId, Vec<&Settlement>> = BTreeMap::new();
    for settlement in resumed.iter().flat_map(|it| &it.settlements) {
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
            Ok((finished, is_closed)) => {
                summary.finished += finished;
                summary.waiting = summary.waiting.saturating_sub(usize::from(is_closed));
            }
            Err(message) => summary.problem(message),
        }
    }
}

/// Closes one object. Returns the number of finished rotations, and whether none is left anywhere.
async fn close(
    pass: &Pass<'_>,
    resumed: ResumedObject,
    failed: &BTreeSet<RunId>,
) -> Result<(usize, bool), String> {
    let ResumedObject {
        object,
        mut left,
        settlements,
        has_moved_on,
    } = resumed;
    let mut finished = 0;
    for Settlement {
        work, app, outcome, ..
    } in settlements
    {
        let is_settled =
            !failed.contains(&work.run) && audit::begin(pass, &app, &work, &outcome).await.is_ok();
        if is_settled {
            finished += 1;
        } else {
            left.push(later(work));
        }
    }
    let is_closed = left.is_empty() && !has_moved_on;
    let app = object.app().to_owned();
    let closed = object.close(left).await;
    closed.map_err(|error| format!("{app}: {}", error_chain(&error)))?;
    Ok((finished, is_closed))
}

/// The same work, to be tried again after a pause.
pub(super) fn later(mut work: PendingRotation) -> PendingRotation {
    let now = Timestamp::now();
    work.due = now.checked_add(RETRY).unwrap_or(now);
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
