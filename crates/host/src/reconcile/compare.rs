//! Compares the references of all apps with their vaults: repairs what a missed event has left
//! behind, and finds what expires soon.
//!
//! Most comparisons begin with the index ([`mod@super::compare_index`]). A sweep reads all apps of
//! the scope before that: once a day, and after events, whose newcomers it finds.

use jiff::Timestamp;
use keyrelay_azure::Call;
use keyrelay_model::error_chain;
use keyrelay_records::{ComparisonProgress, KnownApps, PendingKeys, RemainingSites};
use keyrelay_store::StoreError;

use super::compare_apps::compare_apps;
use super::compare_index::compare_index;
use super::comparison::{Apps, Comparison};
use super::pass::Pass;
use super::statuses::with_slots;
use super::summary::Summary;

/// Compares the apps that are left of a comparison, or all. Returns whether it is complete.
///
/// A list that cannot be read ends nothing but itself: the apps of its scope that are known are
/// compared all the same.
pub(super) async fn compare(
    pass: &Pass<'_>,
    pending: &PendingKeys,
    progress: &mut ComparisonProgress,
    summary: &mut Summary,
) -> bool {
    let mut comparison = match Comparison::begin(pass, pending, progress).await {
        Ok(comparison) => comparison,
        Err(error) => {
            let reason = error_chain(&error);
            summary.problem(format!(
                "apps cannot be compared with their vaults: {reason}"
            ));
            return false;
        }
    };
    let before = progress.clone();
    let compared = steps(pass, progress, &mut comparison, summary).await;
    let written = match compared {
        Ok(is_complete) => pass.flush_index().await.map(|()| is_complete),
        Err(error) => Err(error),
    };
    *summary.compared.get_or_insert(0) += comparison.compared;
    progress.unread = std::mem::take(&mut comparison.unread);
    written.unwrap_or_else(|error| {
        summary.problem(error_chain(&error));
        // What is not in the index is read again.
        *progress = before;
        false
    })
}

async fn steps(
    pass: &Pass<'_>,
    progress: &mut ComparisonProgress,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Result<bool, StoreError> {
    let began = progress.compared.unwrap_or(Timestamp::MIN);
    if progress.is_sweep {
        if !progress.has_repaired {
            for repaired in pass.index.repair(began).await? {
                progress.is_rebuilding = true;
                summary.problem(format!(
                    "a part of the index was lost, and this sweep makes it again: {repaired}"
                ));
            }
            progress.has_repaired = true;
        }
        let is_swept = sweep(pass, progress, comparison, summary).await;
        progress.has_compared |= comparison.compared > 0;
        if !is_swept {
            return Ok(false);
        }
        // The index then tells which apps no list had.
        pass.flush_index().await?;
    }
    if !compare_index(pass, progress, comparison, summary).await? {
        return Ok(false);
    }
    if progress.is_sweep {
        let unlisted = std::mem::take(&mut progress.unlisted);
        let unread = std::mem::take(&mut comparison.unread);
        pass.index_swept(began, &unlisted, unread).await?;
        if comparison.known.apps().next().is_some() {
            KnownApps::remove(&pass.store).await?;
        }
        progress.swept = Some(began);
    }
    progress.remaining = None;
    Ok(true)
}

/// Compares the apps of all lists, those that rules name, and those that an earlier keyrelay knew.
/// Returns false if there is no time for all.
async fn sweep(
    pass: &Pass<'_>,
    progress: &mut ComparisonProgress,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> bool {
    let config = &pass.services.config;
    let mut remaining = progress.remaining.take().unwrap_or_default();
    let is_begun = progress.shards.is_some();
    let mut is_complete =
        is_begun || compare_lists(pass, &mut remaining, progress, comparison, summary).await;
    if is_complete && !is_begun {
        let named = config.rules.iter().flat_map(|rule| &rule.apps);
        let apps = named.chain(comparison.known.apps());
        let apps: Apps = apps.map(|app| (app.clone(), Vec::new())).collect();
        is_complete = compare_apps(pass, apps, &mut progress.after, comparison, summary).await;
    }
    let has_compared = progress.has_compared || comparison.compared > 0;
    if is_complete && !has_compared && !progress.unlisted.is_empty() {
        // Nothing could be compared: the next invocation tries again.
        remaining = std::mem::take(&mut progress.unlisted);
        is_complete = false;
    }
    progress.remaining = Some(remaining);
    is_complete
}

/// Compares the apps of the lists of sites, page by page. Returns false if there is no time for all.
async fn compare_lists(
    pass: &Pass<'_>,
    remaining: &mut Vec<RemainingSites>,
    progress: &mut ComparisonProgress,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> bool {
    let azure = &pass.services.resource_manager;
    while let Some(position) = remaining.first_mut() {
        let call = Call::background(pass.deadline);
        let RemainingSites { scope, next, pages } = &*position;
        let page = match azure.sites_page(scope, next.as_ref(), *pages, &call).await {
            Ok(page) => page,
            Err(error) if error.is_deadline_exceeded() || pass.deadline.has_passed() => {
                return false;
            }
            // It has no sites.
            Err(error) if error.is_not_found() => {
                summary.problem(error_chain(&error));
                remaining.remove(0);
                continue;
            }
            Err(error) => {
                summary.problem(error_chain(&error));
                progress.unlisted.push(remaining.remove(0));
                continue;
            }
        };
        let link = page.next.clone();
        let Some(apps) = with_slots(pass, page, comparison, summary).await else {
            return false;
        };
        let apps = apps.into_iter();
        let now = pass.services.now();
        let apps = apps.filter(|app| !comparison.leaves_to_work(progress, app, now));
        let apps = apps.map(|app| (app, Vec::new())).collect();
        if !compare_apps(pass, apps, &mut progress.after, comparison, summary).await {
            return false;
        }
        match link {
            Some(link) => *position = position.after_page(link),
            None => drop(remaining.remove(0)),
        }
    }
    true
}
