//! The handshakes that validate an endpoint.
//!
//! Sources: Event Grid's documentation of endpoint validation, and the webhook specification of
//! `CloudEvents`.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::{ORIGIN, ValidationError};
use super::schema::DeliverySchema;
use super::subscription::EventSubscription;

/// Runs the handshake of the event subscription's schema.
pub(super) async fn validate(
    client: &Client,
    timeout: Duration,
    subscription: &EventSubscription,
) -> Result<(), ValidationError> {
    let handshake = async {
        match subscription.schema {
            DeliverySchema::EventGridSchema => send_code(client, subscription).await,
            DeliverySchema::CloudEventSchemaV10 => request_permission(client, subscription).await,
        }
    };
    tokio::time::timeout(timeout, handshake)
        .await
        .map_err(|_| ValidationError::TimedOut)?
}

async fn send_code(
    client: &Client,
    subscription: &EventSubscription,
) -> Result<(), ValidationError> {
    let code = Uuid::new_v4().to_string();
    let event = json!([{
        "id": Uuid::new_v4().to_string(),
        "topic": subscription.topic,
        "subject": "",
        "data": { "validationCode": code },
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": Timestamp::now().to_string(),
        "metadataVersion": "1",
        "dataVersion": "2",
    }]);
    let request = client
        .post(subscription.endpoint.clone())
        .header("aeg-event-type", "SubscriptionValidation")
        .header("aeg-subscription-name", subscription.name.to_uppercase())
        .json(&event);
    let body = send(request)
        .await?
        .bytes()
        .await
        .map_err(ValidationError::Unreachable)?;
    let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    if body.get("validationResponse").and_then(Value::as_str) == Some(&code) {
        Ok(())
    } else {
        Err(ValidationError::NoCode)
    }
}

async fn request_permission(
    client: &Client,
    subscription: &EventSubscription,
) -> Result<(), ValidationError> {
    let request = client
        .request(Method::OPTIONS, subscription.endpoint.clone())
        .header("WebHook-Request-Origin", ORIGIN);
    let response = send(request).await?;
    let allowed = response
        .headers()
        .get("webhook-allowed-origin")
        .and_then(|origin| origin.to_str().ok());
    if matches!(allowed, Some("*" | ORIGIN)) {
        Ok(())
    } else {
        Err(ValidationError::NotAllowed)
    }
}

/// Sends a request and requires the status 200.
async fn send(request: reqwest::RequestBuilder) -> Result<reqwest::Response, ValidationError> {
    // The error is printed, and the URL holds the endpoint's key.
    let response = request
        .send()
        .await
        .map_err(|error| ValidationError::Unreachable(error.without_url()))?;
    match response.status().as_u16() {
        200 => Ok(response),
        status => Err(ValidationError::Status(status)),
    }
}
