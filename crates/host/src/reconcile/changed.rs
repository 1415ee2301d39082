//! Reads the references of apps that were changed, as events have reported.

use futures::{StreamExt, TryStreamExt, stream};
use keyrelay_azure::Deadline;
use keyrelay_records::{ChangedApp, ComparisonProgress, PendingKeys};
use keyrelay_store::StoreError;

use super::COMPARE_FOR;
use super::compare_apps::compare_apps;
use super::comparison::{Apps, Comparison};
use super::pass::Pass;
use super::summary::Summary;

/// The number of apps that are read together.
const CHUNK: usize = 50;

/// The number of notes that are taken concurrently.
const AT_ONCE: usize = 16;

/// Reads the references of the apps that were changed, and repairs those that are behind. An app is
/// noted in the index with all its references. What there is no time for, and what fails for a passing
/// reason, is left to the next invocation.
///
/// keyrelay's own writes are such changes, too: then nothing is behind.
pub(super) async fn read_changed(
    pass: &Pass<'_>,
    pending: &PendingKeys,
    summary: &mut Summary,
) -> Result<(), StoreError> {
    if pending.changed.is_empty() {
        return Ok(());
    }
    let part = Pass::new(pass.services, pass.invocation, Deadline::after(COMPARE_FOR));
    let mut comparison =
        Comparison::begin(&part, pending, &progress(&part, pending).await?).await?;
    // What the comparison could not read is no matter of these apps.
    comparison.unread.clear();
    for keys in pending.changed.chunks(CHUNK) {
        if part.deadline.has_passed() {
            break;
        }
        let begun = stream::iter(keys.to_vec()).map(|key| {
            let pending = part.pending.clone();
            async move { pending.begin_reading(&key).await }
        });
        let begun: Vec<Option<ChangedApp>> = begun.buffer_unordered(AT_ONCE).try_collect().await?;
        let changed: Vec<ChangedApp> = begun.into_iter().flatten().collect();
        let apps = changed.iter().map(|it| (it.app.clone(), Vec::new()));
        let apps: Apps = apps.collect();
        let is_read = compare_apps(&part, apps, &mut None, &mut comparison, summary).await;
        part.flush_index().await?;
        if !is_read {
            break;
        }
        let unread = &comparison.unread;
        let is_read = |it: &ChangedApp| !unread.contains(&it.app.to_string().to_lowercase());
        let read: Vec<ChangedApp> = changed.into_iter().filter(is_read).collect();
        let ended = stream::iter(read).map(|changed| {
            let pending = part.pending.clone();
            async move { pending.end_reading(&changed).await }
        });
        ended.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    }
    summary.changed += comparison.compared;
    Ok(())
}

/// The progress of the comparison, which tells when this installation first compared: pins that are
/// older are not repaired.
async fn progress(
    pass: &Pass<'_>,
    pending: &PendingKeys,
) -> Result<ComparisonProgress, StoreError> {
    let found = match &pending.comparison {
        Some(key) => pass.pending.comparison(key).await?,
        None => None,
    };
    Ok(found.unwrap_or_else(|| ComparisonProgress {
        first: Some(pass.services.now()),
        ..ComparisonProgress::default()
    }))
}
