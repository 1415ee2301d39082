//! Leaves to the reconcile timer what a run could not do for a passing reason: an app, the rest of
//! a list of sites, or the whole event. One bad app or scope does not bring the event back.

use std::time::Duration;

use futures::{StreamExt, stream};
use keyrelay_azure::{AzureError, Scope};
use keyrelay_config::Mode;
use keyrelay_model::{AppId, Event, Retryability, Verdict, error_chain};
use keyrelay_records::{
    Cause, EventRecord, Outcome, Pending, PendingRotation, RemainingSites, RotationRecord, Run,
};

use super::postpone;
use super::role_propagation::ScopedOutcome;
use super::rotate::Left;
use super::time_budget::TimeBudget;
use super::trigger::Trigger;
use crate::services::Services;

/// Pause before an app, or a list of sites, is tried again.
const PAUSE: Duration = Duration::from_secs(15);

/// Largest number of apps that are kept at once.
const CONCURRENCY: usize = 16;

/// Leaves what a run could not do. The error is the outcome of an event that is not handled for all
/// of its apps.
pub(crate) async fn leave(
    services: &Services,
    event: &Event,
    trigger: &Trigger,
    left: Left,
    run: &mut Run,
    budget: TimeBudget,
) -> Result<(), Outcome> {
    let Left {
        remaining,
        mut named,
        unlisted,
        failed,
        is_by_index,
    } = left;
    let mut failed: Vec<FailedScope> = failed.into_iter().map(FailedScope::from).collect();
    classify(services, run, &mut failed, budget).await;
    // The comparison does not keep such apps, so those of its runs get work of their own.
    let keeps = trigger.resumed.is_none() && trigger.cause != Cause::Drift;
    if keeps && budget.rotations().has_passed() {
        named.extend(take_cut(run));
        // Always in one order: without progress, the event is tried again after a pause.
        named.sort();
        named.dedup();
    }
    for app in unlisted {
        let outcome = Outcome::transient("there was not enough time for the app");
        run.rotations
            .push(RotationRecord::ended(app, outcome, Duration::ZERO));
    }
    if trigger.resumed.is_none() {
        leave_apps(services, event, run, budget).await;
    }
    if is_by_index && trigger.cause != Cause::Drift {
        request_sweep(services, run, budget).await;
    }
    let is_passing = |it: &FailedScope| it.outcome.verdict.asks_for_redelivery();
    let mut reasons = Vec::new();
    if !remaining.is_empty() || !named.is_empty() {
        reasons.push("there was not enough time for all apps of the scope".to_owned());
    }
    let is_late = !reasons.is_empty();
    run.remaining = remaining;
    run.remaining_apps = named;
    for FailedScope { position, outcome } in failed.iter().filter(|it| is_passing(it)) {
        let known = run.remaining.iter();
        if known.into_iter().all(|it| it.scope != position.scope) {
            run.remaining.push(position.clone());
        }
        reasons.push(outcome.message.clone());
    }
    if !reasons.is_empty() {
        let pause = if is_late { Duration::ZERO } else { PAUSE };
        let reason = reasons.join("; ");
        let later = postpone::remaining(services, event, trigger, run, pause, &reason, budget);
        let later = later.await;
        if later.verdict.asks_for_redelivery() {
            return Err(later);
        }
        run.notes.push(later.message);
        // Lists of sites are left to the timer: they are read once for all events then.
        if is_late && !run.remaining_apps.is_empty() && trigger.cause == Cause::Event {
            services.left_work.notify_one();
        }
    }
    let mut lasting = failed.into_iter().filter(|it| !is_passing(it));
    match (lasting.next(), reasons.is_empty()) {
        (Some(first), _) => {
            let messages = lasting.map(|it| it.outcome.message);
            let messages: Vec<String> = std::iter::once(first.outcome.message)
                .chain(messages)
                .collect();
            let message = format!(
                "apps were left out, and those of the other scopes are handled: {}",
                messages.join("; ")
            );
            Err(Outcome::new(first.outcome.verdict, message))
        }
        (None, false) => Err(Outcome::new(Verdict::Pending, reasons.join("; "))),
        (None, true) => Ok(()),
    }
}

/// Takes the apps out of a run that its deadline has cut before anything was changed. They are no
/// failures, and go on with the apps that there was no time for, before second refreshes.
///
/// An app without a request may be in a batch that goes on without this run, and one with a plan may have
/// its intent in the store: those have pending work of their own.
fn take_cut(run: &mut Run) -> impl Iterator<Item = AppId> {
    let is_enforced = run.mode == Some(Mode::Enforce);
    let is_cut = move |rotation: &mut RotationRecord| {
        is_enforced
            && rotation.outcome.verdict.asks_for_redelivery()
            && !rotation.requests.is_empty()
            && rotation.plan.is_empty()
            && !rotation.has_changed_app()
    };
    run.rotations.extract_if(.., is_cut).map(|cut| cut.app)
}

/// Requests a sweep of the scope: it finds apps that have begun to reference the secret since the
/// last one.
async fn request_sweep(services: &Services, run: &mut Run, budget: TimeBudget) {
    let pending = services.pending.until(budget.store().moment());
    if let Err(error) = pending.request_sweep().await {
        let reason = error_chain(&error);
        run.notes.push(format!(
            "apps that the index does not know are found a day later at the latest: {reason}"
        ));
    }
}

/// A list of sites that cannot be read, and the outcome of that.
struct FailedScope {
    position: RemainingSites,
    outcome: Outcome,
}

impl From<(RemainingSites, AzureError)> for FailedScope {
    fn from((position, error): (RemainingSites, AzureError)) -> Self {
        Self {
            position,
            outcome: error.into(),
        }
    }
}

/// Decides for each refusal by Azure whether it may be role propagation.
async fn classify(
    services: &Services,
    run: &mut Run,
    failed: &mut [FailedScope],
    budget: TimeBudget,
) {
    let of_apps = run.rotations.iter_mut().map(|rotation| ScopedOutcome {
        scope: Scope::group_of(&rotation.app),
        outcome: &mut rotation.outcome,
    });
    let of_scopes = failed.iter_mut().map(|it| ScopedOutcome {
        scope: it.position.scope.clone(),
        outcome: &mut it.outcome,
    });
    let outcomes = of_apps.chain(of_scopes).collect();
    let roles = &services.role_propagation;
    roles.classify(outcomes, budget.store()).await;
}

/// Leaves the apps whose rotation failed for a passing reason: each is tried again on its own.
async fn leave_apps(services: &Services, event: &Event, run: &mut Run, budget: TimeBudget) {
    let pending = services.pending.until(budget.store().moment());
    let (id, started, mode) = (run.id.clone(), run.started, run.mode);
    let restarts = run.cause == Cause::Resubmit;
    let work = |reason: &str| {
        let now = services.now();
        PendingRotation {
            run: id.clone(),
            event: EventRecord::from(event),
            since: started,
            held: None,
            due: now.checked_add(PAUSE).unwrap_or(now),
            attempts: 0,
            reason: reason.to_owned(),
            is_refresh: false,
            restarts,
            connection_strings: true,
            rollback: Vec::new(),
            notes: Vec::new(),
        }
    };
    let leave = async |rotation: &mut RotationRecord| {
        let RotationRecord { app, outcome, .. } = rotation;
        if !outcome.verdict.asks_for_redelivery() {
            return;
        }
        if mode != Some(Mode::Enforce) {
            // Nothing is owed to an app that is not to be changed.
            outcome.verdict = Verdict::Failed(Retryability::Permanent);
            return;
        }
        if keep(&pending, app, work(&outcome.message)).await.is_ok() {
            outcome.verdict = Verdict::Pending;
            let seconds = PAUSE.as_secs();
            outcome.message += &format!("; keyrelay tries the app again in {seconds} s");
            services.handled_apps.insert(event, rotation);
        }
    };
    let rotations = stream::iter(&mut run.rotations);
    rotations.for_each_concurrent(CONCURRENCY, leave).await;
}

/// Keeps work for an app, unless the run has left some already.
async fn keep(pending: &Pending, app: &AppId, work: PendingRotation) -> Result<(), Outcome> {
    if pending.of_run(app, &work.run).await?.is_none() {
        pending.keep_work(app, work).await?;
    }
    Ok(())
}
