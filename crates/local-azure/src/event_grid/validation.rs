//! The handshakes with which an endpoint proves that it wants the events.
//!
//! Sources: Event Grid's documentation of endpoint validation, and the webhook specification of `CloudEvents`.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::delivery::Deliveries;
use super::{DeliverySchema, EventSubscription};

/// What Event Grid calls itself in the handshake of `CloudEvents`.
const ORIGIN: &str = "eventgrid.azure.net";

/// Why an endpoint is not validated.
#[derive(Debug, thiserror::Error)]
pub enum ValidationError {
    /// There was no answer.
    #[error("there was no answer to the handshake")]
    Unreachable(#[source] reqwest::Error),
    /// There was no answer in time.
    #[error("there was no answer to the handshake in time")]
    TimedOut,
    /// An answer with another status than 200.
    #[error("the answer to the handshake has status {0}")]
    Status(u16),
    /// The code was not sent back.
    #[error(
        "the answer to the handshake does not hold the validation code in `validationResponse`"
    )]
    NoCode,
    /// The origin was not allowed.
    #[error("the answer to the handshake has no `WebHook-Allowed-Origin` for `{ORIGIN}`")]
    NotAllowed,
}

impl Deliveries {
    /// The handshake of the schema in which the events will come.
    pub(super) async fn validate(
        &self,
        subscription: &EventSubscription,
    ) -> Result<(), ValidationError> {
        let handshake = async {
            match subscription.schema {
                DeliverySchema::EventGridSchema => self.send_code(subscription).await,
                DeliverySchema::CloudEventSchemaV10 => self.ask_for_permission(subscription).await,
            }
        };
        tokio::time::timeout(self.attempt_timeout, handshake)
            .await
            .map_err(|_| ValidationError::TimedOut)?
    }

    async fn send_code(&self, subscription: &EventSubscription) -> Result<(), ValidationError> {
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
        let request = self
            .client
            .post(subscription.endpoint.clone())
            .header("aeg-event-type", "SubscriptionValidation")
            .header("aeg-subscription-name", subscription.name.to_uppercase())
            .json(&event);
        let answer = accepted(request)
            .await?
            .bytes()
            .await
            .map_err(ValidationError::Unreachable)?;
        let answer = serde_json::from_slice::<Value>(&answer).unwrap_or_default();
        let sent_back = answer.get("validationResponse").and_then(Value::as_str) == Some(&code);
        if sent_back {
            Ok(())
        } else {
            Err(ValidationError::NoCode)
        }
    }

    async fn ask_for_permission(
        &self,
        subscription: &EventSubscription,
    ) -> Result<(), ValidationError> {
        let request = self
            .client
            .request(Method::OPTIONS, subscription.endpoint.clone())
            .header("WebHook-Request-Origin", ORIGIN);
        let answer = accepted(request).await?;
        let allowed = answer
            .headers()
            .get("webhook-allowed-origin")
            .and_then(|origin| origin.to_str().ok());
        if matches!(allowed, Some("*" | ORIGIN)) {
            Ok(())
        } else {
            Err(ValidationError::NotAllowed)
        }
    }
}

async fn accepted(request: reqwest::RequestBuilder) -> Result<reqwest::Response, ValidationError> {
    // The URL holds the key of the endpoint, and an error is printed.
    let answer = request
        .send()
        .await
        .map_err(|error| ValidationError::Unreachable(error.without_url()))?;
    match answer.status().as_u16() {
        200 => Ok(answer),
        status => Err(ValidationError::Status(status)),
    }
}
