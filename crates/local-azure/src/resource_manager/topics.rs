//! System topics and event subscriptions, as Resource Manager lists them.

use serde_json::{Value, json};

use super::event_subscription::ListedSubscription;
use super::request::{ManagerRequest, OperationResult};
use crate::paging::Keyed;

/// Lists the system topics.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let manager = request.manager;
    let rows = manager
        .event_subscriptions()
        .iter()
        .filter(|it| is_in(it, request.target.subscription))
        .map(|it| (it.vault.clone(), topic(it)))
        .collect();
    Ok(manager.list(request.call, rows))
}

/// Lists the event subscriptions of a system topic.
pub(super) fn subscriptions(request: &ManagerRequest<'_>) -> OperationResult {
    let (manager, name) = (request.manager, request.part(3));
    request.group()?;
    let all = manager.event_subscriptions();
    let of_topic = all
        .iter()
        .filter(|it| it.vault.eq_ignore_ascii_case(name) && is_in(it, request.target.subscription));
    let rows: Vec<Keyed> = of_topic
        .map(|it| (it.vault.clone(), subscription(it)))
        .collect();
    Ok(manager.list(request.call, rows))
}

/// Whether the topic is in this subscription, which is that of its vault.
fn is_in(it: &ListedSubscription, subscription: Option<&str>) -> bool {
    let own = it.topic.split('/').nth(2).unwrap_or_default();
    subscription.is_some_and(|wanted| own.eq_ignore_ascii_case(wanted))
}

fn topic_id(it: &ListedSubscription) -> String {
    let group = it.topic.split('/').nth(4).unwrap_or_default();
    let subscription = it.topic.split('/').nth(2).unwrap_or_default();
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.EventGrid/systemTopics/{}",
        it.vault
    )
}

fn topic(it: &ListedSubscription) -> Value {
    json!({
        "id": topic_id(it),
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

fn subscription(it: &ListedSubscription) -> Value {
    let types = if it.event_types.is_empty() {
        Value::Null
    } else {
        json!(it.event_types)
    };
    json!({
        "id": format!("{}/eventSubscriptions/{}", topic_id(it), it.name),
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
