//! Resumes pending work: rotations that are verified, rolled back, or checked again later.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_config::{Mode, route};
use keyrelay_model::{AppId, AppIdError, Event, error_chain};
use keyrelay_records::{Cause, DueKey, Outcome, PendingRotation, Run, WorkEntry};

use super::pass::{GIVE_UP_AFTER, Pass, elapsed, is_final};
use super::settle::{Settlement, later, settle};
use super::summary::Summary;
use crate::pipeline::run::{Resumed, Trigger, run};

/// Longest time for which this instance resumes one rotation alone.
const CLAIM: Duration = Duration::from_mins(1);

/// Largest number of objects that are claimed together, well within the duration of a claim.
const CHUNK: usize = 100;

/// Resumes the work of these objects, which is due, app by app. `all` are the keys of all pending
/// work.
pub(super) async fn resume(
    pass: &Pass<'_>,
    due: Vec<String>,
    all: &[DueKey],
    summary: &mut Summary,
) {
    let due = without_copies(pass, due, all, summary).await;
    for chunk in due.chunks(CHUNK) {
        let resuming = stream::iter(chunk.to_vec())
            .map(|key| async move { (resume_object(pass, &key).await, key) });
        let mut resuming = resuming.buffer_unordered(pass.services.config.apps_at_once);
        let mut settlements = Vec::new();
        while let Some((resumed, key)) = resuming.next().await {
            match resumed {
                Ok(settled) => settlements.extend(settled),
                Err(message) => summary.problem(format!("{key}: {message}")),
            }
        }
        settle(pass, settlements, summary).await;
    }
}

/// Removes the copies of objects: an instance that died while it moved one to another due time has
/// left both. They are the same, and the one that is due first stays.
async fn without_copies(
    pass: &Pass<'_>,
    due: Vec<String>,
    all: &[DueKey],
    summary: &mut Summary,
) -> Vec<String> {
    let mut first: BTreeMap<&str, &DueKey> = BTreeMap::new();
    let mut copies = Vec::new();
    for key in all {
        let known = first.entry(key.object()).or_insert(key);
        if key < known {
            copies.push(std::mem::replace(known, key));
        } else if key != *known {
            copies.push(key);
        }
    }
    let mut due = due;
    for copy in copies {
        if let Err(error) = pass.pending.remove(copy.as_str()).await {
            summary.problem(error_chain(&error));
        }
        due.retain(|key| key != copy.as_str());
    }
    due
}

/// Resumes the work of one object. Returns the rotations that have their final verdict. Empty if
/// another instance resumes it, or if there is no time left.
async fn resume_object(pass: &Pass<'_>, key: &str) -> Result<Vec<Settlement>, String> {
    if pass.deadline.has_passed() {
        return Ok(Vec::new());
    }
    let claimed = pass.pending.claim_work(key, CLAIM).await;
    let mut settlements = Vec::new();
    for entry in claimed.map_err(|error| error_chain(&error))? {
        settlements.extend(resume_work(pass, entry).await?);
    }
    Ok(settlements)
}

/// Resumes one rotation. None: it has no final verdict yet, and is in the store.
async fn resume_work(pass: &Pass<'_>, entry: WorkEntry) -> Result<Option<Settlement>, String> {
    let app = entry.app().parse();
    let app: AppId = app.map_err(|error: AppIdError| error.to_string())?;
    let Some(work) = entry.rotations().first().cloned() else {
        return Ok(None);
    };
    let services = pass.services;
    let event = match Event::try_from(&work.event) {
        Ok(event) => event,
        Err(error) => {
            tracing::error!(run.id = %work.run, "pending work cannot be resumed: {error}");
            return stay(entry, work).await;
        }
    };
    let policies = services.policies.names();
    if route(&services.config, &policies, &event.name).mode != Mode::Enforce {
        // The mode forbids a roll-back, too.
        return stay(entry, work).await;
    }
    let is_last = elapsed(work.since, Timestamp::now()) > GIVE_UP_AFTER;
    let trigger = Trigger {
        invocation: pass.invocation.to_owned(),
        cause: Cause::Pending,
        of: Some(work.run.clone()),
        apps: Some(vec![app.clone()]),
        remaining: Vec::new(),
        is_retry: false,
        resumed: Some(Resumed {
            work: work.clone(),
            entry: entry.clone(),
            is_last,
        }),
    };
    let mut run = run(services, trigger, Ok(event), pass.run_budget()).await;
    if !is_final(&run) {
        // What was written has to be rolled back first, however long that takes.
        if !is_last || !work.rollback.is_empty() || !give_up(pass, &work, &mut run).await {
            // The run has moved it to its next due time, unless it ended early.
            return stay(entry, work).await;
        }
    }
    let of_app = run.rotations.iter().find(|rotation| rotation.app == app);
    let last = of_app.map(|rotation| &rotation.outcome);
    let Some(outcome) = last.or(run.ended.as_ref()).cloned() else {
        return stay(entry, work).await;
    };
    Ok(Some(Settlement {
        entry,
        work,
        app,
        outcome,
        by: run.id.clone(),
    }))
}

/// Tries the work again after a pause, unless the run, or another instance, has changed its entry.
pub(super) async fn stay(
    mut entry: WorkEntry,
    work: PendingRotation,
) -> Result<Option<Settlement>, String> {
    let kept = entry.update(later(work)).await;
    kept.map(|_| None).map_err(|error| error_chain(&error))
}

/// Ends work that has been pending for a day, and that has written nothing. Returns false if that
/// cannot be recorded.
async fn give_up(pass: &Pass<'_>, work: &PendingRotation, run: &mut Run) -> bool {
    let last = run.outcomes().map(|outcome| outcome.message.clone()).next();
    let hours = GIVE_UP_AFTER.as_secs() / 3_600;
    let message = format!("given up after {hours} hours: {}", last.unwrap_or_default());
    for outcome in run.outcomes_mut() {
        *outcome = Outcome::permanent(message.clone());
    }
    if pass.history.keep(run).await.is_err() {
        return false;
    }
    run.log(Some(&work.event.id));
    true
}
