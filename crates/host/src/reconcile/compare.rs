//! Compares the references of all apps with their vaults: repairs what a missed event has left
//! behind, and finds what expires soon.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use keyrelay_azure::Call;
use keyrelay_model::{AppId, error_chain};
use keyrelay_records::{
    Cause, ComparisonProgress, KnownApps, PendingEntry, PendingRotation, PendingWork,
    RemainingSites,
};
use keyrelay_store::StoreError;

use super::behind::behind;
use super::comparison::{Comparison, Missed, SecretKey};
use super::pass::Pass;
use super::statuses::{statuses, with_slots};
use super::summary::Summary;
use crate::pipeline::run::{Trigger, run};

/// Compares the apps that are left of a comparison, or all. Returns whether it is complete.
///
/// A list that cannot be read ends nothing but itself: the apps of its scope that are known are
/// compared all the same.
pub(super) async fn compare(
    pass: &Pass<'_>,
    progress: &mut ComparisonProgress,
    summary: &mut Summary,
) -> bool {
    let (pending, known) = match read_store(pass).await {
        Ok(read) => read,
        Err(error) => {
            let reason = error_chain(&error);
            summary.problem(format!(
                "apps cannot be compared with their vaults: {reason}"
            ));
            return false;
        }
    };
    let mut comparison = Comparison {
        pending,
        known,
        first: progress.first.unwrap_or(Timestamp::MIN),
        ..Comparison::default()
    };
    let scopes = pass.services.config.scope.iter();
    let all = || scopes.map(RemainingSites::all).collect();
    let mut remaining = progress.remaining.take().unwrap_or_else(all);
    let mut is_complete = compare_lists(pass, &mut remaining, &mut comparison, summary).await;
    if is_complete {
        let began = progress.compared.unwrap_or(Timestamp::MIN);
        let apps = unlisted(pass, &comparison, began);
        is_complete = compare_apps(pass, apps, &mut comparison, summary).await;
    }
    if is_complete && comparison.compared == 0 && !comparison.unlisted_scopes.is_empty() {
        // Nothing could be compared: the next invocation tries again.
        remaining = std::mem::take(&mut comparison.unlisted_scopes);
        is_complete = false;
    }
    let Comparison { found, gone, .. } = &comparison;
    if let Err(error) = KnownApps::update(&pass.store, found, gone).await {
        summary.problem(error_chain(&error));
    }
    *summary.compared.get_or_insert(0) += comparison.compared;
    progress.remaining = (!is_complete).then_some(remaining);
    is_complete
}

/// Compares the apps of the lists of sites, page by page. Returns false if there is no time for all.
async fn compare_lists(
    pass: &Pass<'_>,
    remaining: &mut Vec<RemainingSites>,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> bool {
    let azure = &pass.services.resource_manager;
    while let Some(RemainingSites { scope, next }) = remaining.first_mut() {
        let call = Call::background(pass.deadline);
        let page = match azure.sites_page(scope, next.as_ref(), &call).await {
            Ok(page) => page,
            Err(error) if error.is_deadline_exceeded() => return false,
            Err(error) => {
                summary.problem(error_chain(&error));
                comparison.unlisted_scopes.push(remaining.remove(0));
                continue;
            }
        };
        let sites = page.sites.into_iter().map(|site| site.id).collect();
        let Some(apps) = with_slots(pass, sites, &comparison.known, summary).await else {
            return false;
        };
        if !compare_apps(pass, apps, comparison, summary).await {
            return false;
        }
        match page.next {
            Some(link) => *next = Some(link),
            None => drop(remaining.remove(0)),
        }
    }
    true
}

/// Compares these apps. Returns false if there is no time for all.
async fn compare_apps(
    pass: &Pass<'_>,
    apps: Vec<AppId>,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> bool {
    let Some(statuses) = statuses(pass, apps, &mut comparison.gone, summary).await else {
        return false;
    };
    comparison.compared += statuses.len();
    for missed in behind(pass, statuses, comparison, summary).await {
        repair(pass, missed, summary).await;
    }
    true
}

/// The apps that no list had in this comparison: those that rules name, and those of the scope that
/// an earlier comparison has found.
fn unlisted(pass: &Pass<'_>, comparison: &Comparison, began: Timestamp) -> Vec<AppId> {
    let config = &pass.services.config;
    let found: HashSet<&AppId> = comparison.found.iter().map(|app| &app.id).collect();
    let is_in_scope = |app: &AppId| config.scope.iter().any(|scope| scope.contains(app));
    let known = comparison.known.apps();
    let known = known.filter(|app| app.seen < began && is_in_scope(&app.id));
    let named = config.rules.iter().flat_map(|rule| &rule.apps);
    let apps: BTreeSet<&AppId> = known.map(|app| &app.id).chain(named).collect();
    let unlisted = apps.into_iter().filter(|app| !found.contains(app));
    unlisted.cloned().collect()
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

/// Reads the pending work by app and secret, which the timer resumes in its own time, and the apps
/// that are known.
async fn read_store(
    pass: &Pass<'_>,
) -> Result<(HashSet<(String, SecretKey)>, KnownApps), StoreError> {
    let secret = |work: &PendingRotation| {
        format!("{}/{}", work.event.vault_host, work.event.name).to_lowercase()
    };
    let mut found = HashSet::new();
    for key in pass.pending.list().await?.work {
        let entry: Option<PendingEntry<PendingWork>> = pass.pending.read(key.as_str()).await?;
        if let Some(entry) = entry {
            let app = entry.value.app.to_lowercase();
            let works = entry.value.rotations.iter();
            found.extend(works.map(|work| (app.clone(), secret(work))));
        }
    }
    Ok((found, KnownApps::read(&pass.store).await?))
}
