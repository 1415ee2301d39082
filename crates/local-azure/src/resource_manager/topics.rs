//! System topics and event subscriptions, as Resource Manager shows them.

use axum::http::Method;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{Keyed, list};
use crate::answer::Response;
use crate::backend::{Backend, Subscribed};
use crate::call::Call;

/// What is asked of Microsoft.EventGrid in a subscription.
pub(super) fn in_subscription(
    backend: &Backend,
    call: &Call,
    rest: &[&str],
) -> Result<Response, Refusal> {
    match (&call.method, rest) {
        (&Method::GET, ["systemtopics"]) => {
            let rows = backend
                .subscribed()
                .iter()
                .map(|it| (it.vault.clone(), topic(backend, it)))
                .collect();
            Ok(list(backend, call, rows))
        }
        _ => Err(Refusal::NoOperation),
    }
}

/// What is asked of Microsoft.EventGrid in a resource group.
pub(super) fn in_group(backend: &Backend, call: &Call, rest: &[&str]) -> Result<Response, Refusal> {
    match (&call.method, rest) {
        (&Method::GET, ["systemtopics", name, "eventsubscriptions"]) => {
            let all = backend.subscribed();
            let of_topic = all.iter().filter(|it| it.vault.eq_ignore_ascii_case(name));
            let rows: Vec<Keyed> = of_topic
                .map(|it| (it.vault.clone(), subscription(backend, it)))
                .collect();
            Ok(list(backend, call, rows))
        }
        _ => Err(Refusal::NoOperation),
    }
}

fn topic_id(backend: &Backend, it: &Subscribed) -> String {
    let group = it.topic.split('/').nth(4).unwrap_or_default();
    let subscription = &backend.subscription;
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.EventGrid/systemTopics/{}",
        it.vault
    )
}

fn topic(backend: &Backend, it: &Subscribed) -> Value {
    json!({
        "id": topic_id(backend, it),
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

fn subscription(backend: &Backend, it: &Subscribed) -> Value {
    let types = if it.event_types.is_empty() {
        Value::Null
    } else {
        json!(it.event_types)
    };
    json!({
        "id": format!("{}/eventSubscriptions/{}", topic_id(backend, it), it.name),
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
