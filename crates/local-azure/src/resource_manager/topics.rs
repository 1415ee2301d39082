//! System topics and event subscriptions, as Resource Manager lists them.

use axum::http::Method;
use serde_json::{Value, json};

use super::event_subscription::ListedSubscription;
use super::refusal::ResourceManagerRefusal;
use super::state::ResourceManagerService;
use crate::call::ServiceCall;
use crate::paging::Keyed;
use crate::response::Response;

/// Executes an operation of Microsoft.EventGrid on the subscription.
pub(super) fn in_subscription(
    manager: &ResourceManagerService,
    call: &ServiceCall,
    rest: &[&str],
) -> Result<Response, ResourceManagerRefusal> {
    match (&call.method, rest) {
        (&Method::GET, ["systemtopics"]) => {
            let rows = manager
                .event_subscriptions()
                .iter()
                .map(|it| (it.vault.clone(), topic(manager, it)))
                .collect();
            Ok(manager.list(call, rows))
        }
        _ => Err(ResourceManagerRefusal::NoOperation),
    }
}

/// Executes an operation of Microsoft.EventGrid on a resource group.
pub(super) fn in_group(
    manager: &ResourceManagerService,
    call: &ServiceCall,
    rest: &[&str],
) -> Result<Response, ResourceManagerRefusal> {
    match (&call.method, rest) {
        (&Method::GET, ["systemtopics", name, "eventsubscriptions"]) => {
            let all = manager.event_subscriptions();
            let of_topic = all.iter().filter(|it| it.vault.eq_ignore_ascii_case(name));
            let rows: Vec<Keyed> = of_topic
                .map(|it| (it.vault.clone(), subscription(manager, it)))
                .collect();
            Ok(manager.list(call, rows))
        }
        _ => Err(ResourceManagerRefusal::NoOperation),
    }
}

fn topic_id(manager: &ResourceManagerService, it: &ListedSubscription) -> String {
    let group = it.topic.split('/').nth(4).unwrap_or_default();
    let subscription = &manager.subscription;
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.EventGrid/systemTopics/{}",
        it.vault
    )
}

fn topic(manager: &ResourceManagerService, it: &ListedSubscription) -> Value {
    json!({
        "id": topic_id(manager, it),
        "name": it.vault,
        "type": "Microsoft.EventGrid/systemTopics",
        "location": "westeurope",
        "properties": {
            "provisioningState": "Succeeded",
            "source": it.topic,
            "topicType": "Microsoft.KeyVault.vaults",
        },
    })
}

fn subscription(manager: &ResourceManagerService, it: &ListedSubscription) -> Value {
    let types = if it.event_types.is_empty() {
        Value::Null
    } else {
        json!(it.event_types)
    };
    json!({
        "id": format!("{}/eventSubscriptions/{}", topic_id(manager, it), it.name),
        "name": it.name,
        "type": "Microsoft.EventGrid/systemTopics/eventSubscriptions",
        "properties": {
            "provisioningState": "Succeeded",
            "destination": { "endpointType": "AzureFunction", "properties": { "resourceId": it.function } },
            "filter": { "includedEventTypes": types, "subjectBeginsWith": it.subject_begins_with },
            "eventDeliverySchema": "EventGridSchema",
            "deadLetterDestination": it.has_dead_letter.then(|| json!({ "endpointType": "StorageBlob" })),
        },
    })
}
