//! Microsoft.EventGrid: system topics and their event subscriptions, for diagnostics.

use serde::Deserialize;

use super::client::ResourceManager;
use super::resource::Resource;
use crate::call::Call;
use crate::error::AzureError;
use crate::request_log::Operation;

const API_VERSION: &str = "2025-02-15";

/// A system topic, which publishes the events of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemTopic {
    /// Its id.
    pub id: String,
    /// The id of the resource that it publishes the events of.
    pub source: String,
}

/// The delivery of a topic's events to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSubscription {
    /// Its id, which begins with that of its topic.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The endpoint: the id of a function, a base URL, or the type of any other endpoint.
    pub endpoint: String,
    /// The provisioning state: `Succeeded`, unless it is being created or awaits the validation of
    /// its endpoint.
    pub state: String,
    /// The event types that are delivered; an empty list means all.
    pub included_event_types: Vec<String>,
    /// The required prefix of an event's subject, case-insensitive.
    pub subject_begins_with: String,
    /// The required suffix of an event's subject, case-insensitive.
    pub subject_ends_with: String,
    /// The fields of an event, such as `data.ObjectName`, that the advanced filters examine. Event
    /// Grid delivers an event only if all advanced filters match.
    pub advanced_filter_keys: Vec<String>,
    /// Whether undeliverable events are stored (dead-lettered).
    pub has_dead_letter: bool,
    /// The expiration time, if there is one.
    pub expires: Option<String>,
}

impl ResourceManager {
    /// Lists the system topics of a subscription. Needs `Microsoft.EventGrid/systemTopics/read`.
    pub async fn system_topics(
        &self,
        subscription: &str,
        call: &Call,
    ) -> Result<Vec<SystemTopic>, AzureError> {
        let path =
            format!("/subscriptions/{subscription}/providers/Microsoft.EventGrid/systemTopics");
        let request = self.resource_request(
            Operation::ListTopics,
            &format!("/subscriptions/{subscription}"),
            &path,
            API_VERSION,
        );
        let topic = |row: Resource<Topic>| {
            Some(SystemTopic {
                id: row.id?,
                source: row.properties?.source,
            })
        };
        self.transport.list(request, call, topic).await
    }

    /// Lists the event subscriptions of a system topic. Needs
    /// `Microsoft.EventGrid/systemTopics/eventSubscriptions/read`.
    pub async fn event_subscriptions(
        &self,
        topic: &SystemTopic,
        call: &Call,
    ) -> Result<Vec<EventSubscription>, AzureError> {
        let path = format!("{}/eventSubscriptions", topic.id);
        let request =
            self.resource_request(Operation::ListSubscriptions, &topic.id, &path, API_VERSION);
        self.transport.list(request, call, subscription).await
    }
}

#[derive(Deserialize)]
struct Topic {
    source: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    destination: Option<Destination>,
    provisioning_state: Option<String>,
    filter: Option<SubscriptionFilter>,
    dead_letter_destination: Option<serde_json::Value>,
    dead_letter_with_resource_identity: Option<serde_json::Value>,
    expiration_time_utc: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Destination {
    endpoint_type: Option<String>,
    properties: Option<Endpoint>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    resource_id: Option<String>,
    endpoint_base_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionFilter {
    included_event_types: Option<Vec<String>>,
    subject_begins_with: Option<String>,
    subject_ends_with: Option<String>,
    advanced_filters: Option<Vec<AdvancedFilter>>,
}

#[derive(Deserialize)]
struct AdvancedFilter {
    key: Option<String>,
}

fn subscription(row: Resource<Subscription>) -> Option<EventSubscription> {
    let properties = row.properties?;
    let destination = properties.destination?;
    let endpoint = destination.properties.unwrap_or_default();
    let filter = properties.filter.unwrap_or_default();
    Some(EventSubscription {
        id: row.id?,
        name: row.name?,
        endpoint: endpoint
            .resource_id
            .or(endpoint.endpoint_base_url)
            .or(destination.endpoint_type)
            .unwrap_or_default(),
        state: properties.provisioning_state.unwrap_or_default(),
        included_event_types: filter.included_event_types.unwrap_or_default(),
        subject_begins_with: filter.subject_begins_with.unwrap_or_default(),
        subject_ends_with: filter.subject_ends_with.unwrap_or_default(),
        advanced_filter_keys: filter
            .advanced_filters
            .unwrap_or_default()
            .into_iter()
            .filter_map(|it| it.key)
            .collect(),
        has_dead_letter: properties
            .dead_letter_destination
            .or(properties.dead_letter_with_resource_identity)
            .is_some(),
        expires: properties.expiration_time_utc,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(filter: Value) -> EventSubscription {
        let row = json!({
            "id": "/subscriptions/s/topics/t/eventSubscriptions/keyrelay",
            "name": "keyrelay",
            "properties": { "destination": { "endpointType": "AzureFunction" }, "filter": filter },
        });
        subscription(serde_json::from_value(row).unwrap()).unwrap()
    }

    #[test]
    fn the_fields_of_advanced_filters_are_read() {
        let filters = json!([
            { "operatorType": "StringBeginsWith", "key": "data.ObjectName", "values": ["sql"] },
            { "operatorType": "NumberGreaterThan", "key": "data.EXP", "value": 0 },
        ]);
        assert_eq!(
            read(json!({ "advancedFilters": filters })).advanced_filter_keys,
            ["data.ObjectName", "data.EXP"]
        );
    }

    #[test]
    fn missing_filters_are_empty() {
        for filter in [
            Value::Null,
            json!({}),
            json!({ "advancedFilters": null, "includedEventTypes": null }),
        ] {
            let it = read(filter);
            assert!(
                it.advanced_filter_keys.is_empty() && it.included_event_types.is_empty(),
                "{it:?}"
            );
        }
    }
}
