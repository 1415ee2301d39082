//! The validation of endpoints.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use keyrelay_local_azure::event_grid::{
    DeliverySchema, EventGridOptions, EventSubscription, SubscribeError, ValidationError,
};
use tokio::net::TcpListener;
use url::Url;

use super::endpoint::Endpoint;
use super::{Grid, TOPIC, options};
use crate::handler_app::{AppFolder, start};

/// The error of a subscription whose endpoint sends this response to everything.
async fn error_with(
    response: impl IntoResponse + Clone + Send + Sync + 'static,
    schema: DeliverySchema,
) -> ValidationError {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let router = Router::new().fallback(move || std::future::ready(response));
    tokio::spawn(async move { axum::serve(listener, router).await });
    error_at(url, schema).await
}

async fn error_at(url: Url, schema: DeliverySchema) -> ValidationError {
    let mut subscription = EventSubscription::new("my-subscription", TOPIC, url);
    subscription.schema = schema;
    match Grid::start()
        .grid
        .subscribe(subscription)
        .await
        .unwrap_err()
    {
        SubscribeError::Validation { source, .. } => source,
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn both_handshakes_succeed() {
    let endpoint = Endpoint::start(&[]).await;
    let grid = Grid::start();
    for schema in [
        DeliverySchema::EventGridSchema,
        DeliverySchema::CloudEventSchemaV10,
    ] {
        let mut subscription = endpoint.subscription();
        subscription.schema = schema;
        grid.grid.subscribe(subscription).await.unwrap();
    }
}

#[tokio::test]
async fn the_functions_host_is_validated_with_its_key_only() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    for schema in [
        DeliverySchema::EventGridSchema,
        DeliverySchema::CloudEventSchemaV10,
    ] {
        let mut subscription =
            EventSubscription::new("my-subscription", TOPIC, host.event_grid_endpoint("Event"));
        subscription.schema = schema;
        Grid::start()
            .grid
            .subscribe(subscription.clone())
            .await
            .unwrap();
        subscription
            .endpoint
            .set_query(Some("functionName=Event&code=wrong"));
        let error = error_at(subscription.endpoint, schema).await;
        assert!(matches!(error, ValidationError::Status(401)), "{error}");
    }
}

#[tokio::test]
async fn an_endpoint_must_return_the_code() {
    let error = error_with(
        r#"{"validationResponse":"another"}"#,
        DeliverySchema::EventGridSchema,
    )
    .await;
    assert!(matches!(error, ValidationError::NoCode), "{error}");
}

#[tokio::test]
async fn an_endpoint_must_allow_the_origin() {
    for response in [
        [("webhook-allowed-origin", "example.org")],
        [("other", "x")],
    ] {
        let error = error_with(response, DeliverySchema::CloudEventSchemaV10).await;
        assert!(matches!(error, ValidationError::NotAllowed), "{error}");
    }
}

#[tokio::test]
async fn an_endpoint_must_respond_with_200() {
    let error = error_with(StatusCode::ACCEPTED, DeliverySchema::EventGridSchema).await;
    assert!(matches!(error, ValidationError::Status(202)), "{error}");
}

#[tokio::test]
async fn an_endpoint_must_be_reachable() {
    let url = Url::parse("http://127.0.0.1:1/?code=planted-key").unwrap();
    let error = error_at(url, DeliverySchema::EventGridSchema).await;
    assert!(matches!(error, ValidationError::Unreachable(_)), "{error}");
    assert!(!format!("{error:?}").contains("planted-key"));
}

#[tokio::test]
async fn an_endpoint_must_respond_in_time() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let grid = Grid::with(EventGridOptions {
        attempt_timeout: Some(Duration::from_millis(50)),
        ..options()
    });
    let error = grid
        .grid
        .subscribe(EventSubscription::new("my-subscription", TOPIC, url))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SubscribeError::Validation {
                source: ValidationError::TimedOut,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn an_invalid_subscription_is_rejected() {
    let mut subscription = Endpoint::start(&[]).await.subscription();
    subscription.max_events_per_batch = 0;
    let error = Grid::start()
        .grid
        .subscribe(subscription)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            SubscribeError::Field {
                field: "max_events_per_batch",
                ..
            }
        ),
        "{error}"
    );
}
