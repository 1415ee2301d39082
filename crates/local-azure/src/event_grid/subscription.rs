//! Event subscriptions: filters, endpoint and delivery options.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::error::SubscribeError;
use super::retry;
use super::schema::{self, DeliverySchema};
use crate::published_event::PublishedEvent;

/// The maximum number of events in a batch.
const MAX_BATCH: usize = 5_000;

/// A subscription to the events of a topic.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSubscription {
    /// The name, sent in the headers of every delivery.
    pub name: String,
    /// The Resource Manager id of the vault, compared case-insensitively.
    pub topic: String,
    /// The URL that the events are posted to.
    pub endpoint: Url,
    /// The schema of the delivered events.
    #[serde(default)]
    pub schema: DeliverySchema,
    /// The event types to deliver. An empty list means all.
    #[serde(default)]
    pub included_event_types: Vec<String>,
    /// The prefix that the subject must have.
    #[serde(default)]
    pub subject_begins_with: String,
    /// The suffix that the subject must have.
    #[serde(default)]
    pub subject_ends_with: String,
    /// Whether the two filters on the subject are case-sensitive. Event Grid's default is no.
    #[serde(default)]
    pub subject_case_sensitive: bool,
    /// The maximum number of events in a batch, 1 to 5,000.
    #[serde(default = "one")]
    pub max_events_per_batch: usize,
    /// The maximum number of delivery attempts, 1 to 30.
    #[serde(default = "max_attempts")]
    pub max_delivery_attempts: u32,
}

impl EventSubscription {
    /// Subscribes to all events of a topic, one per batch, in Event Grid's schema, with 30
    /// attempts.
    pub fn new(name: impl Into<String>, topic: impl Into<String>, endpoint: Url) -> Self {
        Self {
            name: name.into(),
            topic: topic.into(),
            endpoint,
            schema: DeliverySchema::default(),
            included_event_types: Vec::new(),
            subject_begins_with: String::new(),
            subject_ends_with: String::new(),
            subject_case_sensitive: false,
            max_events_per_batch: one(),
            max_delivery_attempts: max_attempts(),
        }
    }

    pub(super) fn check(&self) -> Result<(), SubscribeError> {
        let wrong = |field, expected| SubscribeError::Field {
            subscription: self.name.clone(),
            field,
            expected,
        };
        // Azure's rule. The name is also the name of a folder for dead letters.
        let name_fits = (3..=64).contains(&self.name.len());
        if !name_fits
            || !self
                .name
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || it == '-')
        {
            return Err(wrong("name", "3 to 64 letters, digits and hyphens"));
        }
        if !(1..=MAX_BATCH).contains(&self.max_events_per_batch) {
            return Err(wrong("max_events_per_batch", "between 1 and 5000"));
        }
        if !(1..=retry::MAX_ATTEMPTS).contains(&self.max_delivery_attempts) {
            return Err(wrong("max_delivery_attempts", "between 1 and 30"));
        }
        Ok(())
    }

    pub(super) fn wants(&self, published: &PublishedEvent) -> bool {
        self.topic
            .trim_end_matches('/')
            .eq_ignore_ascii_case(published.topic.trim_end_matches('/'))
            && self.wants_type(&published.event)
            && self.wants_subject(schema::subject(&published.event))
    }

    fn wants_type(&self, event: &Value) -> bool {
        let event_type = schema::event_type(event);
        self.included_event_types.is_empty()
            || self
                .included_event_types
                .iter()
                .any(|wanted| wanted == event_type)
    }

    fn wants_subject(&self, subject: &str) -> bool {
        let fold = |text: &str| {
            if self.subject_case_sensitive {
                text.to_owned()
            } else {
                text.to_lowercase()
            }
        };
        let subject = fold(subject);
        subject.starts_with(&fold(&self.subject_begins_with))
            && subject.ends_with(&fold(&self.subject_ends_with))
    }
}

fn one() -> usize {
    1
}

fn max_attempts() -> u32 {
    retry::MAX_ATTEMPTS
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOPIC: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv";

    fn subscription(filters: Value) -> EventSubscription {
        let mut all = json!({ "name": "sub", "topic": TOPIC, "endpoint": "http://127.0.0.1/" });
        all.as_object_mut()
            .unwrap()
            .extend(filters.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn check(filters: Value, wanted: bool) {
        let event = json!({ "id": "1", "eventType": "Microsoft.KeyVault.SecretExpired", "subject": "Sql-Password" });
        let published = PublishedEvent {
            topic: TOPIC.to_uppercase(),
            event,
        };
        assert_eq!(
            subscription(filters.clone()).wants(&published),
            wanted,
            "{filters}"
        );
    }

    #[test]
    fn accepts_every_event_of_its_topic_without_filters() {
        check(json!({}), true);
        check(json!({ "topic": "/subscriptions/s/other" }), false);
    }

    #[test]
    fn filters_by_type() {
        check(
            json!({ "included_event_types": ["a", "Microsoft.KeyVault.SecretExpired"] }),
            true,
        );
        check(
            json!({ "included_event_types": ["Microsoft.KeyVault.SecretNearExpiry"] }),
            false,
        );
    }

    #[test]
    fn filters_by_subject() {
        check(
            json!({ "subject_begins_with": "sql-", "subject_ends_with": "WORD" }),
            true,
        );
        check(json!({ "subject_begins_with": "password" }), false);
        check(json!({ "subject_ends_with": "sql" }), false);
    }

    #[test]
    fn compares_case_on_request() {
        check(
            json!({ "subject_begins_with": "Sql-", "subject_case_sensitive": true }),
            true,
        );
        check(
            json!({ "subject_begins_with": "sql-", "subject_case_sensitive": true }),
            false,
        );
    }

    #[test]
    fn filters_cloud_events_by_type() {
        let event = json!({ "specversion": "1.0", "type": "t", "subject": "x" });
        let published = PublishedEvent {
            topic: TOPIC.to_owned(),
            event,
        };
        assert!(subscription(json!({ "included_event_types": ["t"] })).wants(&published));
        assert!(!subscription(json!({ "included_event_types": ["u"] })).wants(&published));
    }

    #[test]
    fn reads_the_names_that_resource_manager_uses() {
        let cloud_events = subscription(json!({ "schema": "CloudEventSchemaV1_0" }));
        assert_eq!(cloud_events.schema, DeliverySchema::CloudEventSchemaV10);
    }

    #[test]
    fn rejects_out_of_range_fields() {
        for (field, filters) in [
            ("name", json!({ "name": "../x" })),
            ("max_events_per_batch", json!({ "max_events_per_batch": 0 })),
            (
                "max_delivery_attempts",
                json!({ "max_delivery_attempts": 31 }),
            ),
        ] {
            let error = subscription(filters).check().unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
    }
}
