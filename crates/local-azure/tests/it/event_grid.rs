//! The stand-in for Event Grid, with an endpoint whose responses the test chooses.

mod delivery;
mod endpoint;
mod handshake;
mod undelivered;

use keyrelay_local_azure::PublishedEvent;
use keyrelay_local_azure::event_grid::{EventGrid, EventGridOptions};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::handler_app::DEADLINE;

const TOPIC: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv";

/// An Event Grid and the sender of its events.
struct Grid {
    grid: EventGrid,
    events: mpsc::UnboundedSender<PublishedEvent>,
}

impl Grid {
    /// Options with a clock ten thousand times faster than Azure, and an attempt timeout in real
    /// time.
    fn start() -> Self {
        Self::with(options())
    }

    fn with(options: EventGridOptions) -> Self {
        let (events, receiver) = mpsc::unbounded_channel();
        Self {
            grid: EventGrid::start(options, receiver).unwrap(),
            events,
        }
    }

    fn publish(&self, event: Value) {
        self.events
            .send(PublishedEvent {
                topic: TOPIC.to_owned(),
                event,
            })
            .unwrap();
    }

    async fn settled(&self) {
        tokio::time::timeout(DEADLINE, self.grid.settled())
            .await
            .unwrap();
    }

    /// The ids and the attempt of every delivery, in the order of completion.
    fn attempts(&self) -> Vec<(String, u32)> {
        self.grid
            .deliveries()
            .iter()
            .map(|delivery| (delivery.event_ids.join(" "), delivery.attempt))
            .collect()
    }
}

fn options() -> EventGridOptions {
    EventGridOptions {
        clock: 10_000.0,
        attempt_timeout: Some(DEADLINE),
        dead_letter: None,
    }
}

fn event(id: &str) -> Value {
    json!({
        "id": id, "topic": TOPIC, "subject": "sql-password", "eventType": "Microsoft.KeyVault.SecretNewVersionCreated",
        "eventTime": "2026-03-01T10:20:30.1234567Z", "data": { "ObjectName": "sql-password" },
        "dataVersion": "1", "metadataVersion": "1",
    })
}
