//! Compares some apps with their vaults, and repairs those that are behind.

use std::collections::BTreeMap;

use keyrelay_records::Cause;

use super::behind::behind;
use super::comparison::{Apps, Comparison, Missed};
use super::pass::Pass;
use super::statuses::statuses;
use super::summary::Summary;
use crate::pipeline::hold::hold_of;
use crate::pipeline::run::{Trigger, run};

/// The number of apps that are compared together: at Azure's pace, some seconds.
const CHUNK: usize = 50;

/// Compares these apps, those behind `after` in the order of their ids. Returns false if there is no
/// time for all: then `after` is the last one that was compared.
pub(super) async fn compare_apps(
    pass: &Pass<'_>,
    apps: Apps,
    after: &mut Option<String>,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> bool {
    let apps = apps.into_iter();
    let by_id = apps.map(|(app, secrets)| (app.to_string().to_lowercase(), (app, secrets)));
    let mut left: BTreeMap<String, _> = by_id.collect();
    if let Some(after) = after.as_ref() {
        left.retain(|id, _| id > after);
    }
    while !left.is_empty() {
        let (mut chunk, mut last) = (Apps::new(), None);
        while chunk.len() < CHUNK
            && let Some((id, (app, secrets))) = left.pop_first()
        {
            chunk.insert(app, secrets);
            last = Some(id);
        }
        let Some(statuses) = statuses(pass, chunk, &mut comparison.unread, summary).await else {
            return false;
        };
        comparison.compared += statuses.len();
        for missed in behind(pass, statuses, comparison, summary).await {
            repair(pass, missed, summary).await;
        }
        *after = last;
    }
    *after = None;
    true
}

/// Runs the event that apps seem to have missed.
async fn repair(pass: &Pass<'_>, missed: Missed, summary: &mut Summary) {
    match hold_of(pass.services, &missed.event, pass.run_deadline().moment()).await {
        Ok(None) => {}
        // Recorded when its event came: not once more with each comparison.
        Ok(Some(_)) => return,
        Err(outcome) => return summary.problem(outcome.message),
    }
    summary.drifted += missed.apps.len();
    let trigger = Trigger {
        invocation: pass.invocation.to_owned(),
        cause: Cause::Drift,
        of: None,
        apps: Some(missed.apps),
        remaining: Vec::new(),
        is_retry: false,
        resumed: None,
    };
    run(pass.services, trigger, Ok(missed.event), pass.run_budget()).await;
}
