//! Compares some apps with their vaults, and repairs those that are behind.

use keyrelay_records::Cause;

use super::behind::behind;
use super::comparison::{Apps, Comparison, Missed};
use super::pass::Pass;
use super::statuses::statuses;
use super::summary::Summary;
use crate::pipeline::run::{Trigger, run};

/// Compares these apps. Returns false if there is no time for all.
pub(super) async fn compare_apps(
    pass: &Pass<'_>,
    apps: Apps,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> bool {
    let Some(statuses) = statuses(pass, apps, summary).await else {
        return false;
    };
    comparison.compared += statuses.len();
    for missed in behind(pass, statuses, comparison, summary).await {
        repair(pass, missed, summary).await;
    }
    true
}

/// Runs the event that apps seem to have missed.
async fn repair(pass: &Pass<'_>, missed: Missed, summary: &mut Summary) {
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
