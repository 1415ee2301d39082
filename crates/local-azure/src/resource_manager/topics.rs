//! System topics and event subscriptions, as Resource Manager lists them.

use serde_json::{Value, json};

use super::event_subscription::ListedSubscription;
use super::request::{ManagerRequest, OperationResult};
use super::state::ResourceManagerService;
use crate::paging::Keyed;

/// Lists the system topics.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let manager = request.manager;
    let rows = manager
        .event_subscriptions()
        .iter()
        .map(|it| (it.vault.clone(), topic(manager, it)))
        .collect();
    Ok(manager.list(request.call, rows))
}

/// Lists the event subscriptions of a system topic.
pub(super) fn subscriptions(request: &ManagerRequest<'_>) -> OperationResult {
    let (manager, name) = (request.manager, request.part(3));
    request.group()?;
    let all = manager.event_subscriptions();
    let of_topic = all.iter().filter(|it| it.vault.eq_ignore_ascii_case(name));
    let rows: Vec<Keyed> = of_topic
        .map(|it| (it.vault.clone(), subscription(manager, it)))
        .collect();
    Ok(manager.list(request.call, rows))
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
