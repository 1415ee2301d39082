//! Events that could not be delivered.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use uuid::Uuid;

use super::delivery::{Batch, Deliveries, Delivery, QueuedEvent};
use super::schema;

impl Deliveries {
    /// Writes a batch into the folder for dead letters, or drops it if there is none, and says so in the log.
    pub(super) async fn give_up(&self, batch: &Batch, last: &Delivery, reason: &str) {
        let Delivery {
            subscription,
            event_ids,
            outcome,
            ..
        } = last;
        let ids = event_ids.join(", ");
        let Some(folder) = &self.dead_letter_folder else {
            tracing::error!(%subscription, event.ids = ids, reason, %outcome, "events were dropped");
            return;
        };
        match write(folder, batch, last, reason).await {
            Ok(file) => {
                let path = file.display();
                tracing::error!(%subscription, event.ids = ids, reason, %outcome, %path, "events were dead-lettered");
                self.dead_letters.push(file);
            }
            Err(error) => {
                tracing::error!(%subscription, event.ids = ids, reason, %outcome, %error, "a dead letter was lost");
            }
        }
    }
}

/// The file is named as Event Grid names the blob: `MY-SUBSCRIPTION/2026/3/1/9/<guid>.json`, in UTC.
async fn write(folder: &Path, batch: &Batch, last: &Delivery, reason: &str) -> io::Result<PathBuf> {
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
    // Under its own name only when it is whole: somebody may be watching the folder.
    let unfinished = file.with_extension("unfinished");
    tokio::fs::write(&unfinished, events.to_string()).await?;
    tokio::fs::rename(&unfinished, &file).await?;
    Ok(file)
}

/// The event with what Event Grid adds to it. In `CloudEvents` names of attributes are lower case.
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
