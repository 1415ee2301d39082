//! Resumes pending work: rotations that are verified, rolled back, or checked again later.

use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_config::{Mode, route};
use keyrelay_model::{AppId, AppIdError, Event, error_chain};
use keyrelay_records::{Cause, Outcome, PendingObject, PendingRotation, Run};

use super::pass::{GIVE_UP_AFTER, Pass, elapsed, is_final};
use super::settle::{ResumedObject, Settlement, later, settle};
use super::summary::Summary;
use crate::pipeline::run::{Resumed, Trigger, run};

/// The result of resuming one rotation.
enum Resumption {
    /// It has its final verdict.
    Final(Box<Settlement>),
    /// It is kept in another object of the store.
    MovedOn,
    /// It stays in its object.
    Stays(Box<PendingRotation>),
}

/// Longest time for which this instance resumes the work of one object alone.
const CLAIM: Duration = Duration::from_mins(1);

/// Largest number of objects that are claimed together, well within the duration of a claim.
const CHUNK: usize = 100;

/// Resumes the work of these objects, which is due, app by app.
pub(super) async fn resume(pass: &Pass<'_>, keys: Vec<String>, summary: &mut Summary) {
    for chunk in keys.chunks(CHUNK) {
        let resuming = stream::iter(chunk.to_vec())
            .map(|key| async move { (resume_object(pass, &key).await, key) });
        let mut resuming = resuming.buffer_unordered(pass.services.config.apps_at_once);
        let mut resumed = Vec::new();
        while let Some((object, key)) = resuming.next().await {
            match object {
                Ok(object) => resumed.extend(object),
                Err(message) => summary.problem(format!("{key}: {message}")),
            }
        }
        settle(pass, resumed, summary).await;
    }
}

/// Resumes the work of one object. None: another instance does, or there is no time left.
async fn resume_object(pass: &Pass<'_>, key: &str) -> Result<Option<ResumedObject>, String> {
    if pass.deadline.has_passed() {
        return Ok(None);
    }
    let claimed = PendingObject::claim(pass.pending.clone(), key, CLAIM).await;
    let Some((object, works)) = claimed.map_err(|error| error_chain(&error))? else {
        return Ok(None);
    };
    let app: AppId = object
        .app()
        .parse()
        .map_err(|error: AppIdError| error.to_string())?;
    let now = Timestamp::now();
    let (due, left): (Vec<PendingRotation>, Vec<PendingRotation>) =
        works.into_iter().partition(|work| work.due <= now);
    let mut resumed = ResumedObject {
        object,
        left,
        settlements: Vec::new(),
        has_moved_on: false,
    };
    // Concurrently, so that they share a write.
    let due = due.into_iter();
    for resumption in join_all(due.map(|work| resume_work(pass, key, &app, work))).await {
        match resumption {
            Resumption::Final(settlement) => resumed.settlements.push(*settlement),
            Resumption::MovedOn => resumed.has_moved_on = true,
            Resumption::Stays(work) => resumed.left.push(*work),
        }
    }
    Ok(Some(resumed))
}

async fn resume_work(pass: &Pass<'_>, key: &str, app: &AppId, work: PendingRotation) -> Resumption {
    let services = pass.services;
    let event = match Event::try_from(&work.event) {
        Ok(event) => event,
        Err(error) => {
            tracing::error!(run.id = %work.run, "pending work cannot be resumed: {error}");
            return Resumption::Stays(Box::new(later(work)));
        }
    };
    let policies = services.policies.names();
    if route(&services.config, &policies, &event.name).mode != Mode::Enforce {
        // The mode forbids a roll-back, too.
        return Resumption::Stays(Box::new(later(work)));
    }
    let trigger = Trigger {
        invocation: pass.invocation.to_owned(),
        cause: Cause::Pending,
        of: Some(work.run.clone()),
        apps: Some(vec![app.clone()]),
        is_retry: false,
        resumed: Some(Resumed {
            run: work.run.clone(),
            since: work.since,
            attempts: work.attempts,
            connection_strings: work.connection_strings,
            rollback: work.rollback.clone(),
        }),
    };
    let run = run(services, trigger, Ok(event), pass.run_budget()).await;
    if is_final(&run) {
        return settlement(app, work, &run);
    }
    if elapsed(work.since, Timestamp::now()) > GIVE_UP_AFTER {
        return give_up(pass, app, work, run).await;
    }
    // The run keeps what is left in an object of its own.
    let Ok(entries) = pass.pending.of_app(app).await else {
        return Resumption::Stays(Box::new(later(work)));
    };
    let others = entries.iter().filter(|entry| entry.key != key);
    let mut works = others.flat_map(|entry| &entry.value.rotations);
    if works.any(|other| other.run == work.run && other.is_about(&work.event)) {
        Resumption::MovedOn
    } else {
        Resumption::Stays(Box::new(later(work)))
    }
}

/// The final verdict of a resumed rotation, as its run has it.
fn settlement(app: &AppId, work: PendingRotation, run: &Run) -> Resumption {
    let of_app = run.rotations.iter().find(|rotation| rotation.app == *app);
    let last = of_app.map(|rotation| &rotation.outcome);
    let Some(outcome) = last.or(run.ended.as_ref()).cloned() else {
        return Resumption::Stays(Box::new(later(work)));
    };
    Resumption::Final(Box::new(Settlement {
        work,
        app: app.clone(),
        outcome,
        by: run.id.clone(),
    }))
}

/// Ends work that has been pending for a day.
async fn give_up(pass: &Pass<'_>, app: &AppId, work: PendingRotation, mut run: Run) -> Resumption {
    let last = run.outcomes().map(|outcome| outcome.message.clone()).next();
    let hours = GIVE_UP_AFTER.as_secs() / 3_600;
    let message = format!("given up after {hours} hours: {}", last.unwrap_or_default());
    for outcome in run.outcomes_mut() {
        *outcome = Outcome::permanent(message.clone());
    }
    if pass.history.keep(&run).await.is_err() {
        return Resumption::Stays(Box::new(later(work)));
    }
    run.log(Some(&work.event.id));
    let is_given_up =
        |other: &PendingRotation| other.run == work.run && other.is_about(&work.event);
    let dropped = pass
        .services
        .pending
        .remove_finished(app, is_given_up)
        .await;
    if dropped.is_err() {
        return Resumption::Stays(Box::new(later(work)));
    }
    settlement(app, work, &run)
}
