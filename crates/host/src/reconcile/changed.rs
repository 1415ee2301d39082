//! Reads the references of apps that were changed, as events have reported.

use futures::{StreamExt, TryStreamExt, stream};
use keyrelay_azure::Deadline;
use keyrelay_model::AppId;
use keyrelay_records::{ComparisonProgress, PendingKeys};
use keyrelay_store::StoreError;

use super::COMPARE_FOR;
use super::compare_apps::compare_apps;
use super::comparison::{Apps, Comparison};
use super::pass::Pass;
use super::summary::Summary;

/// The number of apps that are read together.
const CHUNK: usize = 200;

/// The number of notes that are taken concurrently.
const AT_ONCE: usize = 16;

/// Reads the references of the apps that were changed, and repairs those that are behind. An app is
/// noted in the index with all its references. What there is no time for is left to the next
/// invocation.
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
    for keys in pending.changed.chunks(CHUNK) {
        if part.deadline.has_passed() {
            break;
        }
        // A change from here on is noted once more, before the app is read.
        let taken = stream::iter(keys.to_vec()).map(|key| {
            let pending = part.pending.clone();
            async move { pending.take_changed(&key).await }
        });
        let taken: Vec<Option<AppId>> = taken.buffer_unordered(AT_ONCE).try_collect().await?;
        let changed: Apps = taken
            .into_iter()
            .flatten()
            .map(|app| (app, Vec::new()))
            .collect();
        let again: Vec<AppId> = changed.keys().cloned().collect();
        let is_read = compare_apps(&part, changed, &mut None, &mut comparison, summary).await;
        let is_written = part.flush_index().await;
        if !is_read || is_written.is_err() {
            for app in &again {
                part.pending.mark_changed(app).await?;
            }
        }
        is_written?;
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
        Some(key) => {
            pass.pending
                .read::<ComparisonProgress>(key.as_str())
                .await?
        }
        None => None,
    };
    Ok(found.map_or_else(
        || ComparisonProgress {
            first: Some(pass.services.now()),
            ..ComparisonProgress::default()
        },
        |entry| entry.value,
    ))
}
