//! Runs the events of one delivery.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{join_all, join3};
use keyrelay_model::{Event, EventError};
use keyrelay_records::{Cause, Outcome, Run};
use tokio::time::timeout_at;

use super::admit::refused_vault;
use super::changes::{Changes, change_of};
use super::record::record;
use super::run::{MAX_EVENTS_AT_ONCE, Trigger, begin, ended};
use super::time_budget::TimeBudget;
use crate::services::Services;

/// Largest number of vaults that the record of refused events names.
const NAMED_VAULTS: usize = 5;

/// The events of a delivery whose vaults are not allowed. They have one record together, however
/// many they are.
struct Refused<T> {
    first: Event,
    outcome: Outcome,
    tags: Vec<T>,
    /// Other vaults of these events.
    vaults: BTreeSet<String>,
}

/// Runs the events of a delivery concurrently, each with a tag. Returns each run with the tags of
/// its events.
///
/// Events of vaults that are not allowed get no task and no run of their own. Those about apps get no
/// run at all.
pub(crate) async fn run_events<T>(
    services: &Arc<Services>,
    invocation: &str,
    events: impl IntoIterator<Item = (T, Result<Event, EventError>)>,
    budget: TimeBudget,
) -> Vec<(Vec<T>, Run)> {
    let events: Vec<_> = events.into_iter().collect();
    let places = events.len().min(MAX_EVENTS_AT_ONCE);
    let places = u32::try_from(places).unwrap_or(u32::MAX);
    // A delivery that gets no place in time begins no run, and is repeated.
    let places = services.events.acquire_many(places);
    let _places = timeout_at(budget.record().moment(), places).await;
    let mut refused: Option<Refused<T>> = None;
    let mut changes = Changes::default();
    let mut begun = Vec::new();
    for (tag, event) in events {
        if let Some(change) = event.as_ref().err().and_then(change_of) {
            changes.add(services, tag, change);
            continue;
        }
        let of_vault = event.as_ref().ok();
        match of_vault.and_then(|event| refused_vault(&services.config, event)) {
            Some(outcome) => add(&mut refused, tag, event, outcome),
            // Events that wait have neither a task nor a future, which take several times as much.
            None => {
                let trigger = Trigger::event(invocation);
                begun.push((tag, begin(services, trigger, event, budget).await));
            }
        }
    }
    let refuse = async {
        match refused {
            Some(refused) => Some(refuse(services, invocation, refused, budget).await),
            None => None,
        }
    };
    let runs = begun
        .into_iter()
        .map(async |(tag, task)| (vec![tag], ended(invocation, task, budget).await));
    let noted = changes.note(services, invocation, budget);
    let (mut runs, refused, not_noted) = join3(join_all(runs), refuse, noted).await;
    runs.extend(refused);
    runs.extend(not_noted);
    runs
}

fn add<T>(
    refused: &mut Option<Refused<T>>,
    tag: T,
    event: Result<Event, EventError>,
    outcome: Outcome,
) {
    match (refused, event) {
        (Some(refused), Ok(event)) => {
            refused.tags.push(tag);
            if refused.vaults.len() < NAMED_VAULTS {
                refused.vaults.insert(event.vault_host.to_string());
            }
        }
        (refused, Ok(first)) => {
            *refused = Some(Refused {
                first,
                outcome,
                tags: vec![tag],
                vaults: BTreeSet::new(),
            });
        }
        // Such an event has no vault.
        (_, Err(_)) => {}
    }
}

/// Records the refused events of a delivery as one run.
async fn refuse<T>(
    services: &Services,
    invocation: &str,
    refused: Refused<T>,
    budget: TimeBudget,
) -> (Vec<T>, Run) {
    let Refused {
        first,
        outcome,
        tags,
        vaults,
    } = refused;
    let mut run = Run::begin(Cause::Event, invocation, Some(&first), services.now());
    run.instance = Some(services.instance.clone());
    let more = tags.len().saturating_sub(1);
    if more > 0 {
        let vaults: Vec<String> = vaults.into_iter().collect();
        let vaults = vaults.join(", ");
        run.notes.push(format!(
            "the same applies to {more} more events of the delivery, of vaults such as {vaults}"
        ));
    }
    run.ended = Some(outcome);
    record(services, &mut run, budget).await;
    services.metrics.run(&run);
    run.log(Some(&first.id));
    (tags, run)
}
