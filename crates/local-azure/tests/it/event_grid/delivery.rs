//! The content and the order of deliveries.

use std::time::Duration;

use keyrelay_local_azure::event_grid::{DeliverySchema, EventSubscription, Misbehaviour};
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::{Grid, TOPIC, event};
use crate::handler_app::{self, AppFolder};

/// A delay that queues all events published at once.
const HELD_BACK: Duration = Duration::from_millis(200);

#[tokio::test]
async fn an_event_is_delivered_in_an_array_with_the_headers_of_event_grid() {
    let endpoint = Endpoint::start(&[]).await;
    let grid = Grid::start();
    grid.grid.subscribe(endpoint.subscription()).await.unwrap();
    grid.publish(event("e-1"));
    grid.settled().await;
    let arrived = endpoint.arrived().pop().unwrap();
    assert_eq!(arrived.body, json!([event("e-1")]));
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        ("accept-encoding", "gzip"),
        ("max-forwards", "10"),
        ("aeg-subscription-name", "MY-SUBSCRIPTION"),
        ("aeg-delivery-count", "0"),
        ("aeg-data-version", "1"),
        ("aeg-metadata-version", "1"),
        ("aeg-event-type", "Notification"),
    ] {
        assert_eq!(arrived.headers[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_cloud_event_is_delivered_by_itself() {
    let endpoint = Endpoint::start(&[]).await;
    let grid = Grid::start();
    let mut subscription = endpoint.subscription();
    subscription.schema = DeliverySchema::CloudEventSchemaV10;
    grid.grid.subscribe(subscription).await.unwrap();
    grid.publish(event("e-1"));
    grid.settled().await;
    let arrived = endpoint.arrived().pop().unwrap();
    assert_eq!(
        arrived.headers["content-type"],
        "application/cloudevents+json; charset=utf-8"
    );
    assert_eq!(arrived.body["specversion"], "1.0");
    assert_eq!(arrived.body["source"], TOPIC);
    assert_eq!(
        arrived.body["type"],
        "Microsoft.KeyVault.SecretNewVersionCreated"
    );
}

#[tokio::test]
async fn only_matching_events_are_delivered() {
    let endpoint = Endpoint::start(&[]).await;
    let grid = Grid::start();
    let mut subscription = endpoint.subscription();
    subscription.subject_begins_with = "sql-".to_owned();
    grid.grid.subscribe(subscription).await.unwrap();
    let mut other = event("e-2");
    other["subject"] = json!("storage-key");
    grid.publish(other);
    grid.publish(event("e-1"));
    grid.settled().await;
    assert_eq!(grid.attempts(), [("e-1".to_owned(), 1)]);
}

#[tokio::test]
async fn every_subscription_gets_its_own_delivery() {
    let (first, second) = (Endpoint::start(&[]).await, Endpoint::start(&[]).await);
    let grid = Grid::start();
    grid.grid.subscribe(first.subscription()).await.unwrap();
    grid.grid
        .subscribe(EventSubscription {
            name: "another".to_owned(),
            ..second.subscription()
        })
        .await
        .unwrap();
    grid.publish(event("e-1"));
    grid.settled().await;
    assert_eq!((first.arrived().len(), second.arrived().len()), (1, 1));
}

#[tokio::test]
async fn a_subscription_of_the_same_name_replaces_the_first() {
    let (first, second) = (Endpoint::start(&[]).await, Endpoint::start(&[]).await);
    let grid = Grid::start();
    grid.grid.subscribe(first.subscription()).await.unwrap();
    grid.grid.subscribe(second.subscription()).await.unwrap();
    grid.publish(event("e-1"));
    grid.settled().await;
    assert_eq!((first.arrived().len(), second.arrived().len()), (0, 1));
}

#[tokio::test]
async fn queued_events_are_delivered_in_one_batch() {
    for (schema, content_type) in [
        (
            DeliverySchema::EventGridSchema,
            "application/json; charset=utf-8",
        ),
        (
            DeliverySchema::CloudEventSchemaV10,
            "application/cloudevents-batch+json; charset=utf-8",
        ),
    ] {
        let endpoint = Endpoint::start(&[]).await;
        let grid = Grid::start();
        grid.grid.misbehave(Misbehaviour {
            delay: HELD_BACK,
            ..Misbehaviour::default()
        });
        let subscription = EventSubscription {
            max_events_per_batch: 2,
            schema,
            ..endpoint.subscription()
        };
        grid.grid.subscribe(subscription).await.unwrap();
        for id in ["a", "b", "c"] {
            grid.publish(event(id));
        }
        grid.settled().await;
        let mut sizes: Vec<usize> = endpoint
            .arrived()
            .iter()
            .map(|it| it.body.as_array().unwrap().len())
            .collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 2]);
        assert!(
            endpoint
                .arrived()
                .iter()
                .all(|it| it.headers["content-type"] == content_type)
        );
    }
}

#[tokio::test]
async fn events_can_be_delivered_twice() {
    let endpoint = Endpoint::start(&[]).await;
    let grid = Grid::start();
    grid.grid.misbehave(Misbehaviour {
        twice: true,
        ..Misbehaviour::default()
    });
    grid.grid.subscribe(endpoint.subscription()).await.unwrap();
    grid.publish(event("e-1"));
    grid.settled().await;
    assert_eq!(
        grid.attempts(),
        [("e-1".to_owned(), 1), ("e-1".to_owned(), 1)]
    );
}

#[tokio::test]
async fn events_can_be_delivered_in_reverse_order() {
    let endpoint = Endpoint::start(&[]).await;
    let grid = Grid::start();
    grid.grid.misbehave(Misbehaviour {
        reverse: true,
        delay: HELD_BACK,
        ..Misbehaviour::default()
    });
    grid.grid.subscribe(endpoint.subscription()).await.unwrap();
    for id in ["a", "b", "c"] {
        grid.publish(event(id));
    }
    grid.settled().await;
    let ids: Vec<Value> = endpoint
        .arrived()
        .iter()
        .map(|it| it.body[0]["id"].clone())
        .collect();
    assert_eq!(ids, ["c", "b", "a"]);
}

#[tokio::test]
async fn the_functions_host_gets_the_event_and_accepts_it() {
    let app = AppFolder::new();
    let host = handler_app::start(app.options()).await;
    let grid = Grid::start();
    let endpoint = host.event_grid_endpoint("Event");
    grid.grid
        .subscribe(EventSubscription::new("my-subscription", TOPIC, endpoint))
        .await
        .unwrap();
    grid.publish(event("e-1"));
    grid.settled().await;
    let invocation = host.invocations().pop().unwrap();
    assert_eq!(
        invocation.outcome.unwrap()["ReturnValue"]["body"]["Data"]["event"],
        event("e-1")
    );
    assert!(grid.grid.deliveries()[0].outcome.is_success());
}

#[tokio::test]
async fn a_failed_invocation_is_delivered_again() {
    let app = AppFolder::new();
    let host = handler_app::start(app.options()).await;
    let grid = Grid::start();
    let mut subscription =
        EventSubscription::new("my-subscription", TOPIC, host.event_grid_endpoint("Event"));
    subscription.max_delivery_attempts = 3;
    grid.grid.subscribe(subscription).await.unwrap();
    grid.publish(handler_app::event("status 404"));
    grid.settled().await;
    assert_eq!(host.invocations().len(), 3);
}
