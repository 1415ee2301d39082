//! Resumes pending work: rotations that are verified, rolled back, or checked again later.

use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_config::{Mode, route};
use keyrelay_model::{AppId, AppIdError, Event, error_chain};
use keyrelay_records::{Cause, FormerOutcome, Outcome, PendingObject, PendingRotation, Run, RunId};
use keyrelay_store::StoreError;

use super::audit;
use super::pass::{GIVE_UP_AFTER, Pass, elapsed, is_final};
use super::summary::Summary;
use crate::pipeline::run::{Resumed, Trigger, run};

/// The result of resuming one rotation.
enum Resumption {
    /// It has its final verdict.
    Finished,
    /// It is kept in another object of the store.
    MovedOn,
    /// It stays in its object.
    Stays(Box<PendingRotation>),
}

/// Longest time for which this instance resumes the work of one object alone.
const CLAIM: Duration = Duration::from_mins(1);

/// Pause before work that could not be resumed is tried again.
const RETRY: Duration = Duration::from_mins(5);

/// Resumes the work of these objects, which is due, app by app.
pub(super) async fn resume(pass: &Pass<'_>, keys: Vec<String>, summary: &mut Summary) {
    let resuming =
        stream::iter(keys).map(|key| async move { (resume_object(pass, &key).await, key) });
    let mut resuming = resuming.buffer_unordered(pass.services.config.apps_at_once);
    while let Some((resumed, key)) = resuming.next().await {
        match resumed {
            Ok((finished, is_closed)) => {
                summary.finished += finished;
                summary.waiting = summary.waiting.saturating_sub(usize::from(is_closed));
            }
            Err(message) => summary.problem(format!("{key}: {message}")),
        }
    }
}

/// Resumes the work of one object. Returns the number of finished rotations, and whether nothing of
/// the object is left.
async fn resume_object(pass: &Pass<'_>, key: &str) -> Result<(usize, bool), String> {
    let reason = |error: StoreError| error_chain(&error);
    if pass.deadline.has_passed() {
        return Ok((0, false));
    }
    let claimed = PendingObject::claim(pass.pending.clone(), key, CLAIM).await;
    let Some((object, works)) = claimed.map_err(reason)? else {
        return Ok((0, false));
    };
    let app: AppId = object
        .app()
        .parse()
        .map_err(|error: AppIdError| error.to_string())?;
    let now = Timestamp::now();
    let (due, mut left): (Vec<PendingRotation>, Vec<PendingRotation>) =
        works.into_iter().partition(|work| work.due <= now);
    let (mut finished, mut moved_on) = (0, 0);
    // Concurrently, so that they share a write.
    for resumed in join_all(
        due.into_iter()
            .map(|work| resume_work(pass, key, &app, work)),
    )
    .await
    {
        match resumed {
            Resumption::Finished => finished += 1,
            Resumption::MovedOn => moved_on += 1,
            Resumption::Stays(work) => left.push(*work),
        }
    }
    let is_closed = moved_on + left.len() == 0;
    object.close(left).await.map_err(reason)?;
    Ok((finished, is_closed))
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
        return settle(pass, app, work, &run).await;
    }
    if elapsed(work.since, Timestamp::now()) > GIVE_UP_AFTER {
        return give_up(pass, app, work, run).await;
    }
    // The run keeps what is left in an object of its own.
    let Ok(entries) = pass.pending.of_app(app).await else {
        return Resumption::Stays(Box::new(work));
    };
    let others = entries.iter().filter(|entry| entry.key != key);
    let mut works = others.flat_map(|entry| &entry.value.rotations);
    if works.any(|other| other.run == work.run && other.is_about(&work.event)) {
        Resumption::MovedOn
    } else {
        Resumption::Stays(Box::new(later(work)))
    }
}

/// The same work, to be tried again after a pause.
fn later(mut work: PendingRotation) -> PendingRotation {
    let now = Timestamp::now();
    work.due = now.checked_add(RETRY).unwrap_or(now);
    work
}

/// Writes the final verdict into the run that left the work pending.
async fn settle(pass: &Pass<'_>, app: &AppId, work: PendingRotation, run: &Run) -> Resumption {
    let of_app = run.rotations.iter().find(|rotation| rotation.app == *app);
    let last = of_app.map(|rotation| &rotation.outcome);
    let Some(outcome) = last.or(run.ended.as_ref()).cloned() else {
        return Resumption::Stays(Box::new(work));
    };
    let (app, by) = (app.clone(), run.id.clone());
    let settle = |first: &mut Run| settle_rotation(first, &app, &outcome, &by);
    if pass.history.amend(&work.run, settle).await.is_err() {
        return Resumption::Stays(Box::new(work));
    }
    match audit::begin(pass, &app, &work, &outcome).await {
        Ok(()) => Resumption::Finished,
        Err(_) => Resumption::Stays(Box::new(work)),
    }
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
        return Resumption::Stays(Box::new(work));
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
        return Resumption::Stays(Box::new(work));
    }
    settle(pass, app, work, &run).await
}

fn settle_rotation(first: &mut Run, app: &AppId, outcome: &Outcome, by: &RunId) {
    let of_app = first.rotations.iter_mut().filter(|it| it.app == *app);
    for rotation in of_app {
        if rotation.before.is_none() && !rotation.outcome.is_final() {
            let former = std::mem::replace(&mut rotation.outcome, outcome.clone());
            rotation.before = Some(FormerOutcome {
                outcome: former,
                settled_by: by.clone(),
            });
        }
    }
}
