//! Dead letters: events that could not be delivered.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::{DeliveryBatch, QueuedEvent};
use super::delivery::Delivery;
use super::schema;
use crate::journal::Journal;

/// The number of paths that are kept in memory.
const KEPT: usize = 10_000;

/// The folder for dead letters, and the files written to it.
#[derive(Debug)]
pub(super) struct DeadLetters {
    folder: Option<PathBuf>,
    files: Journal<PathBuf>,
}

impl DeadLetters {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            files: Journal::new(KEPT),
        }
    }

    /// The files, oldest first.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.files.snapshot()
    }

    /// Writes and logs a dead letter. Without a folder the events are dropped.
    pub(super) async fn give_up(&self, batch: &DeliveryBatch, last: &Delivery, reason: &str) {
        let Delivery {
            subscription,
            event_ids,
            outcome,
            ..
        } = last;
        let ids = event_ids.join(", ");
        let Some(folder) = &self.folder else {
            tracing::error!(%subscription, event.ids = ids, reason, %outcome, "events were dropped");
            return;
        };
        match write(folder, batch, last, reason).await {
            Ok(file) => {
                let path = file.display();
                tracing::error!(%subscription, event.ids = ids, reason, %outcome, %path, "events were dead-lettered");
                self.files.push(file);
            }
            Err(error) => {
                tracing::error!(%subscription, event.ids = ids, reason, %outcome, %error, "a dead letter was lost");
            }
        }
    }
}

/// Writes a dead letter under the name of Event Grid's blob:
/// `MY-SUBSCRIPTION/2026/3/1/9/<guid>.json`, in UTC.
async fn write(
    folder: &Path,
    batch: &DeliveryBatch,
    last: &Delivery,
    reason: &str,
) -> io::Result<PathBuf> {
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let hour = format!(
        "{}/{}/{}/{}",
        now.year(),
        now.month(),
        now.day(),
        now.hour()
    );
    let folder = folder.join(last.subscription.to_uppercase()).join(hour);
    tokio::fs::create_dir_all(&folder).await?;
    let events: Value = batch
        .events
        .iter()
        .map(|queued| dead_event(queued, last, reason))
        .collect();
    let file = folder.join(format!("{}.json", Uuid::new_v4()));
    // Renamed once complete, because a test may watch the folder.
    let unfinished = file.with_extension("unfinished");
    tokio::fs::write(&unfinished, events.to_string()).await?;
    tokio::fs::rename(&unfinished, &file).await?;
    Ok(file)
}

/// The event with the fields that Event Grid adds. Attribute names are lower case in `CloudEvents`.
fn dead_event(queued: &QueuedEvent, last: &Delivery, reason: &str) -> Value {
    let mut event = queued.event.clone();
    let added = [
        ("deadLetterReason", json!(reason)),
        ("deliveryAttempts", json!(last.attempt)),
        ("lastDeliveryOutcome", json!(last.outcome.as_str())),
        ("publishTime", json!(queued.published.to_string())),
        ("lastDeliveryAttemptTime", json!(last.time.to_string())),
    ];
    let lower_case = schema::is_cloud_event(&event);
    if let Some(fields) = event.as_object_mut() {
        fields.extend(added.into_iter().map(|(name, value)| {
            (
                if lower_case {
                    name.to_lowercase()
                } else {
                    name.to_owned()
                },
                value,
            )
        }));
    }
    event
}
