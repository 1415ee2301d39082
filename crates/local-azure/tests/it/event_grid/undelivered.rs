//! Retries and dead letters.

use std::fs;
use std::time::Duration;

use keyrelay_local_azure::event_grid::{
    DeliveryOutcome, DeliverySchema, EventGridOptions, EventSubscription, Misbehaviour,
};
use serde_json::Value;
use tempfile::TempDir;

use super::endpoint::Endpoint;
use super::{Grid, event, options};

/// The content of the only dead letter after these statuses.
async fn dead_letter(folder: &TempDir, statuses: &[u16], subscription: EventSubscription) -> Value {
    let endpoint = Endpoint::start(statuses).await;
    let grid = Grid::with(EventGridOptions {
        dead_letter: Some(folder.path().to_owned()),
        ..options()
    });
    grid.grid.misbehave(Misbehaviour {
        delay: Duration::from_millis(100),
        ..Misbehaviour::default()
    });
    let endpoint = endpoint.subscription().endpoint;
    grid.grid
        .subscribe(EventSubscription {
            endpoint,
            ..subscription
        })
        .await
        .unwrap();
    grid.publish(event("e-1"));
    grid.publish(event("e-2"));
    grid.settled().await;
    let files = grid.grid.dead_letters();
    assert_eq!(files.len(), 1);
    let name = files[0].strip_prefix(folder.path()).unwrap();
    assert!(name.starts_with("MY-SUBSCRIPTION"), "{}", name.display());
    assert_eq!(
        name.components().count(),
        6,
        "name, year, month, day, hour, file"
    );
    serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap()
}

async fn batch_of_two() -> EventSubscription {
    let nowhere = Endpoint::start(&[]).await;
    EventSubscription {
        max_events_per_batch: 2,
        max_delivery_attempts: 2,
        ..nowhere.subscription()
    }
}

#[tokio::test]
async fn retries_until_accepted() {
    let endpoint = Endpoint::start(&[500, 404, 503, 302]).await;
    let grid = Grid::start();
    grid.grid.subscribe(endpoint.subscription()).await.unwrap();
    grid.publish(event("e-1"));
    grid.settled().await;
    let outcomes: Vec<DeliveryOutcome> = grid
        .grid
        .deliveries()
        .iter()
        .map(|delivery| delivery.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [500, 404, 503, 302, 200].map(DeliveryOutcome::Status)
    );
    let counts: Vec<String> = endpoint
        .arrived()
        .iter()
        .map(|it| {
            it.headers["aeg-delivery-count"]
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(counts, ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn the_whole_batch_is_retried() {
    let endpoint = Endpoint::start(&[500]).await;
    let grid = Grid::start();
    grid.grid.misbehave(Misbehaviour {
        delay: Duration::from_millis(100),
        ..Misbehaviour::default()
    });
    let subscription = EventSubscription {
        max_events_per_batch: 5,
        ..endpoint.subscription()
    };
    grid.grid.subscribe(subscription).await.unwrap();
    grid.publish(event("a"));
    grid.publish(event("b"));
    grid.settled().await;
    assert_eq!(
        grid.attempts(),
        [("a b".to_owned(), 1), ("a b".to_owned(), 2)]
    );
}

#[tokio::test]
async fn a_timed_out_attempt_is_retried() {
    let endpoint = Endpoint::start(&[0]).await;
    // This clock shortens an event's day to 86 ms, which must not apply to the duration of
    // attempts.
    let attempt_timeout = Some(Duration::from_millis(500));
    let grid = Grid::with(EventGridOptions {
        clock: 1_000_000.0,
        attempt_timeout,
        ..options()
    });
    grid.grid.subscribe(endpoint.subscription()).await.unwrap();
    grid.publish(event("e-1"));
    grid.settled().await;
    let deliveries = grid.grid.deliveries();
    assert_eq!(deliveries[0].outcome, DeliveryOutcome::TimedOut);
    assert!(
        deliveries.last().unwrap().outcome.is_success(),
        "{deliveries:?}"
    );
}

#[tokio::test]
async fn an_unreachable_endpoint_is_retried() {
    let endpoint = Endpoint::start(&[]).await;
    let grid = Grid::start();
    let subscription = EventSubscription {
        max_delivery_attempts: 2,
        ..endpoint.subscription()
    };
    grid.grid.subscribe(subscription).await.unwrap();
    drop(endpoint);
    grid.publish(event("e-1"));
    grid.settled().await;
    let outcomes: Vec<DeliveryOutcome> = grid
        .grid
        .deliveries()
        .iter()
        .map(|delivery| delivery.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [DeliveryOutcome::Unreachable, DeliveryOutcome::Unreachable]
    );
}

#[tokio::test]
async fn undeliverable_events_become_a_dead_letter() {
    let folder = TempDir::new().unwrap();
    let events = dead_letter(&folder, &[500, 404], batch_of_two().await).await;
    assert_eq!(events.as_array().unwrap().len(), 2);
    let dead = &events[0];
    assert_eq!(dead["id"], "e-1");
    assert_eq!(dead["data"], event("e-1")["data"]);
    assert_eq!(dead["deadLetterReason"], "MaxDeliveryAttemptsExceeded");
    assert_eq!(dead["deliveryAttempts"], 2);
    assert_eq!(dead["lastDeliveryOutcome"], "NotFound");
    assert!(
        dead["publishTime"].as_str().unwrap() <= dead["lastDeliveryAttemptTime"].as_str().unwrap()
    );
}

#[tokio::test]
async fn a_rejection_is_not_retried() {
    for (status, outcome) in [(400, "BadRequest"), (413, "PayloadTooLarge")] {
        let folder = TempDir::new().unwrap();
        let events = dead_letter(&folder, &[status], batch_of_two().await).await;
        assert_eq!(events[1]["deliveryAttempts"], 1);
        assert_eq!(events[1]["lastDeliveryOutcome"], outcome);
    }
}

#[tokio::test]
async fn a_dead_lettered_cloud_event_has_lower_case_attributes() {
    let folder = TempDir::new().unwrap();
    let subscription = EventSubscription {
        schema: DeliverySchema::CloudEventSchemaV10,
        ..batch_of_two().await
    };
    let events = dead_letter(&folder, &[500, 500], subscription).await;
    assert_eq!(events[0]["deadletterreason"], "MaxDeliveryAttemptsExceeded");
    assert_eq!(events[0]["lastdeliveryoutcome"], "GenericError");
}

#[tokio::test]
async fn events_are_dropped_without_a_folder() {
    let endpoint = Endpoint::start(&[500, 500]).await;
    let grid = Grid::start();
    let subscription = EventSubscription {
        max_delivery_attempts: 1,
        ..endpoint.subscription()
    };
    grid.grid.subscribe(subscription).await.unwrap();
    grid.publish(event("e-1"));
    grid.settled().await;
    assert_eq!(grid.attempts(), [("e-1".to_owned(), 1)]);
    assert!(grid.grid.dead_letters().is_empty());
}

#[tokio::test]
async fn dropping_event_grid_stops_deliveries() {
    let endpoint = Endpoint::start(&[500]).await;
    let grid = Grid::with(EventGridOptions {
        clock: 1.0,
        ..options()
    });
    grid.grid.subscribe(endpoint.subscription()).await.unwrap();
    grid.publish(event("e-1"));
    crate::handler_app::eventually("the first attempt", || grid.grid.deliveries().pop()).await;
    let Grid { grid, events } = grid;
    drop(grid);
    // The channel closes with the dispatcher.
    tokio::time::timeout(crate::handler_app::DEADLINE, events.closed())
        .await
        .unwrap();
}
