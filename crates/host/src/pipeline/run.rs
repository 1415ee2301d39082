//! The life of a run: one event, from its arrival to its record.

use std::sync::Arc;

use futures::FutureExt;
use jiff::Timestamp;
use keyrelay_azure::Call;
use keyrelay_config::{Mode, route_of};
use keyrelay_model::{Event, EventError, EventErrorReason, Verdict};
use keyrelay_records::{AzureRequest, Cause, Outcome, Run, RunId, milliseconds};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::admit::{Admission, admit};
use super::arrivals::Arrival;
use super::hold::hold_of;
use super::leave::leave;
use super::postpone;
use super::record::record;
use super::rotate::rotate;
use super::route::route;
pub(crate) use super::time_budget::TimeBudget;
pub(crate) use super::trigger::{Resumed, Trigger};
use crate::services::Services;
use crate::telemetry::SPANS;

/// Largest number of concurrent runs of events in this process: those of one delivery, so that they
/// can be in the batches of their apps together. One takes some 40 KB.
pub(crate) const MAX_RUNS: usize = keyrelay_model::MAX_EVENTS;

/// Largest number of events of the deliveries that are handled at once. Others wait with what they
/// have sent, because each event keeps its run, some 3 KB, until its delivery is answered.
pub(crate) const MAX_EVENTS_AT_ONCE: usize = 4 * keyrelay_model::MAX_EVENTS;

/// Begins the run of one event in a task of its own: the run continues if the sender disconnects,
/// and a panic ends nothing but the run.
///
/// At most [`MAX_RUNS`] are in progress. This waits for one of them to end. None: none does in time.
pub(crate) async fn begin(
    services: &Arc<Services>,
    trigger: Trigger,
    event: Result<Event, EventError>,
    budget: TimeBudget,
) -> Option<JoinHandle<Run>> {
    let permit = Arc::clone(&services.runs).acquire_owned();
    // The semaphore is never closed.
    let permit = timeout_at(budget.record().moment(), permit).await.ok()?;
    let services = Arc::clone(services);
    let task = async move {
        let _permit = permit;
        run(&services, trigger, event, budget).await
    };
    Some(tokio::spawn(task.in_current_span()))
}

/// Waits for a run that has begun, but not past its deadline. Without a task, there was no time to
/// begin it.
pub(crate) async fn ended(
    invocation: &str,
    task: Option<JoinHandle<Run>>,
    budget: TimeBudget,
) -> Run {
    let late = "the event was not handled in time; Event Grid delivers it again";
    let Some(task) = task else {
        return unrecorded(invocation, Outcome::transient(late));
    };
    let message = match timeout_at(budget.record().moment(), task).await {
        Ok(Ok(run)) => return run,
        Ok(Err(_)) => "a panic occurred while keyrelay handled the event: please report this",
        Err(_) => late,
    };
    unrecorded(invocation, Outcome::transient(message))
}

/// A run that ended early and has no record.
pub(crate) fn unrecorded(invocation: &str, outcome: Outcome) -> Run {
    tracing::error!(
        invocation.id = invocation,
        verdict = outcome.verdict.as_str(),
        redelivery = outcome.verdict.asks_for_redelivery(),
        "{}",
        outcome.message
    );
    let mut run = Run::begin(Cause::Event, invocation, None, Timestamp::now());
    run.ended = Some(outcome);
    run
}

/// Records an invocation that holds no event.
pub(crate) async fn refuse(
    services: &Services,
    invocation: &str,
    message: String,
    budget: TimeBudget,
) -> Run {
    let mut run = Run::begin(Cause::Event, invocation, None, services.now());
    run.instance = Some(services.instance.clone());
    run.ended = Some(Outcome::new(Verdict::Refused, message));
    record(services, &mut run, budget).await;
    run.log(None);
    run
}

/// Handles one event, or a value that did not decode as an event, for all apps that use the secret,
/// and records the run.
pub(crate) async fn run(
    services: &Arc<Services>,
    trigger: Trigger,
    event: Result<Event, EventError>,
    budget: TimeBudget,
) -> Run {
    let known = event.as_ref().ok();
    let span = tracing::info_span!(
        target: SPANS,
        "event",
        cause = ?trigger.cause,
        event.id = known.map(|event| event.id.as_str()),
        event.type = known.map(|event| format!("{}{}", event.kind, event.occurrence)),
        secret.name = known.map(|event| event.name.as_str()),
        run.id = Empty,
        of = trigger.of.as_ref().map(RunId::as_str),
    );
    let run = run_in_span(services, trigger, event, budget);
    // Boxed: the types of all steps together are too deep for the compiler.
    run.instrument(span).boxed().await
}

async fn run_in_span(
    services: &Arc<Services>,
    trigger: Trigger,
    event: Result<Event, EventError>,
    budget: TimeBudget,
) -> Run {
    let began = Instant::now();
    let arrival = services.app_queues.announce();
    let mut run = Run::begin(
        trigger.cause,
        &trigger.invocation,
        event.as_ref().ok(),
        services.now(),
    );
    if event.as_ref().is_ok_and(|event| event.is_time_of_arrival) {
        let note = "the event does not tell its time: that of its arrival counts";
        run.notes.push(note.to_owned());
    }
    tracing::Span::current().record("run.id", run.id.as_str());
    run.instance = Some(services.instance.clone());
    run.of = trigger.of.clone();
    run.is_recheck = trigger.resumed.is_some();
    let call = trigger.call(budget.rotations());
    let ended = match &event {
        Ok(event) => handle(services, event, &trigger, budget, &call, arrival, &mut run).await,
        Err(error) => {
            let verdict = match error.reason {
                // Azure sends it, and it is about no version of a secret.
                EventErrorReason::NotHandled(_) => Verdict::Unchanged,
                _ => Verdict::Refused,
            };
            Err(Outcome::new(verdict, format!("not handled: {error}")))
        }
    };
    run.ended = ended.err();
    run.requests = call
        .log
        .records()
        .into_iter()
        .map(AzureRequest::from)
        .collect();
    run.duration_ms = milliseconds(began.elapsed());
    if !run.is_recheck && services.index.has_app_updates() {
        // The timer writes what its rotations have shown, together.
        let _ = services.index.flush(budget.store().moment()).await;
    }
    record(services, &mut run, budget).await;
    services.metrics.run(&run);
    let event_id = event.map_or_else(|error| error.id, |event| Some(event.id));
    run.log(event_id.as_deref());
    run
}

/// Takes an event through the steps. The error is the outcome of an event that ends before its
/// rotations, or that could not rotate all apps; not every such end is a failure.
async fn handle(
    services: &Arc<Services>,
    event: &Event,
    trigger: &Trigger,
    budget: TimeBudget,
    call: &Call,
    arrival: Arrival,
    run: &mut Run,
) -> Result<(), Outcome> {
    let vault = event.vault_host.vault();
    let mut rule = route_of(
        &services.config,
        &services.policies.names(),
        vault,
        &event.name,
    );
    // Pending work of a held secret is not resumed at all.
    if rule.mode == Mode::Enforce
        && trigger.resumed.is_none()
        && let Some(hold) = hold_of(services, event, budget.store().moment()).await?
    {
        rule.mode = Mode::Monitor;
        run.notes.push(hold.note());
    }
    run.mode = Some(rule.mode);
    let admitted = match admit(services, event, trigger, rule, budget, call).await {
        Admission::Admitted(admitted) => admitted,
        Admission::Rejected(outcome) => return Err(outcome),
        Admission::NotYetValid(not_before) => {
            let later =
                postpone::until_valid(services, event, trigger, not_before, run, budget).await;
            return Err(later);
        }
    };
    let routed = route(services, admitted, run).await?;
    let (records, notes) = (&mut run.rotations, &mut run.notes);
    let left = rotate(services, &routed, budget, call, arrival, records, notes).await;
    leave(services, event, trigger, left, run, budget).await?;
    if run.rotations.is_empty() {
        let message = "no app in the scope references the secret";
        return Err(Outcome::new(Verdict::Unchanged, message));
    }
    Ok(())
}
