//! Resumes pending work: rotations that are verified, rolled back, or checked again later.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_config::{Mode, route_of};
use keyrelay_model::{AppId, AppIdError, Event, error_chain};
use keyrelay_records::{Cause, DueKey, Outcome, PendingRotation, Run, WorkEntry};

use keyrelay_store::StoreError;
use tokio::time::Instant;

use super::pass::{GIVE_UP_AFTER, Pass, elapsed, is_final};
use super::settle::{Settlement, later, settle};
use super::summary::Summary;
use crate::pipeline::hold::hold_of;
use crate::pipeline::run::{Resumed, Trigger, run};

/// Longest time for which this instance resumes one rotation alone: longer than its run takes.
const CLAIM: Duration = Duration::from_secs(90);

/// Largest number of objects that are claimed together, well within the duration of a claim.
const CHUNK: usize = 100;

/// Time since the first claim after which the verdicts are written.
const SETTLE_AFTER: Duration = Duration::from_secs(30);

/// Resumes the work that is due at `now`, app by app. `all` are the keys of all pending work.
///
/// The verdicts are written together, because each of a run's apps changes the same record: at the
/// end, or before the first claims end.
pub(super) async fn resume(pass: &Pass<'_>, all: &[DueKey], now: Timestamp, summary: &mut Summary) {
    let objects = due_objects(all, now);
    let mut settlements = Vec::new();
    let mut claimed_first = Instant::now();
    for chunk in objects.chunks(CHUNK) {
        if settlements.is_empty() {
            claimed_first = Instant::now();
        }
        let resuming = stream::iter(chunk.to_vec())
            .map(|object| async move { (resume_object(pass, &object).await, object.key) });
        let mut resuming = resuming.buffer_unordered(pass.services.config.apps_at_once);
        while let Some((resumed, key)) = resuming.next().await {
            match resumed {
                Ok(settled) => settlements.extend(settled),
                Err(message) => summary.problem(format!("{key}: {message}")),
            }
        }
        if claimed_first.elapsed() > SETTLE_AFTER {
            settle(pass, std::mem::take(&mut settlements), summary).await;
        }
    }
    if !settlements.is_empty() {
        settle(pass, settlements, summary).await;
    }
    if !objects.is_empty() {
        // Warned about: the next sweep finds it again.
        let _ = pass.flush_index().await;
    }
}

/// An object with pending work, and its copies at other due times.
#[derive(Debug, Clone)]
struct Object {
    key: String,
    copies: Vec<String>,
}

/// The objects that are due, with their copies: an instance that moves one to another due time has
/// both for a moment, or for good if it dies. The one that is due first counts.
fn due_objects(all: &[DueKey], now: Timestamp) -> Vec<Object> {
    let mut keys: BTreeMap<&str, Vec<&DueKey>> = BTreeMap::new();
    for key in all {
        keys.entry(key.object()).or_default().push(key);
    }
    let object = |mut copies: Vec<&DueKey>| {
        copies.sort();
        let key = copies.remove(0);
        (key.due() <= now).then(|| Object {
            key: key.as_str().to_owned(),
            copies: copies.iter().map(|it| it.as_str().to_owned()).collect(),
        })
    };
    keys.into_values().filter_map(object).collect()
}

/// Resumes the work of one object. Returns the rotations that have their final verdict. Empty if
/// another instance resumes it, or if there is no time left.
async fn resume_object(pass: &Pass<'_>, object: &Object) -> Result<Vec<Settlement>, String> {
    if pass.deadline.has_passed() {
        return Ok(Vec::new());
    }
    let reason = |error: StoreError| error_chain(&error);
    let claimed = pass.pending.claim_work(&object.key, CLAIM).await;
    let claimed = claimed.map_err(reason)?;
    if !claimed.is_empty() {
        // Only now: an instance that moves the object finds that its former one is taken, and leaves it.
        for copy in &object.copies {
            pass.pending.remove(copy).await.map_err(reason)?;
        }
    }
    let mut settlements = Vec::new();
    for entry in claimed {
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
            return stay(pass, entry, work).await;
        }
    };
    let policies = services.policies.names();
    let vault = event.vault_host.vault();
    if route_of(&services.config, &policies, vault, &event.name).mode != Mode::Enforce {
        // The mode forbids a roll-back, too.
        return stay(pass, entry, work).await;
    }
    let hold = hold_of(services, &event, pass.run_deadline().moment()).await;
    if hold.map_err(|outcome| outcome.message)?.is_some() {
        let held = Some(services.now());
        return stay(pass, entry, PendingRotation { held, ..work }).await;
    }
    let tried_since = work.held.unwrap_or(work.since);
    let is_last = elapsed(tried_since, services.now()) > GIVE_UP_AFTER;
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
            return stay(pass, entry, work).await;
        }
    }
    let of_app = run.rotations.iter().find(|rotation| rotation.app == app);
    let last = of_app.map(|rotation| &rotation.outcome);
    let Some(outcome) = last.or(run.ended.as_ref()).cloned() else {
        return stay(pass, entry, work).await;
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
    pass: &Pass<'_>,
    mut entry: WorkEntry,
    work: PendingRotation,
) -> Result<Option<Settlement>, String> {
    let kept = entry.update(later(work, pass.services.now())).await;
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
