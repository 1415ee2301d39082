//! What is looked at to find out why something does not work: rights, and event subscriptions. Nothing here changes
//! anything, and a rotation needs none of it.

use keyrelay_model::AppId;
use serde::Deserialize;
use url::Url;

use super::ResourceManager;
use crate::call::Call;
use crate::error::AzureError;
use crate::request_log::Operation;
use crate::rights::{Permission, Rights};
use crate::transport::{Action, Request};

/// The api-version of Microsoft.Authorization.
const AUTHORIZATION: &str = "2022-04-01";
/// The api-version of Microsoft.EventGrid.
const EVENT_GRID: &str = "2025-02-15";

/// A system topic: the events of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemTopic {
    /// Its id.
    pub id: String,
    /// The id of the resource whose events these are.
    pub source: String,
}

/// Which events of a topic are delivered to which endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSubscription {
    /// Its id, which begins with that of its topic.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where events go: the id of a function, or what else Azure calls the endpoint.
    pub endpoint: String,
    /// `Succeeded`, unless it is being made or waits for its endpoint to be validated.
    pub state: String,
    /// The event types that are delivered; none means all.
    pub included_event_types: Vec<String>,
    /// What the subject of an event has to begin with; capital letters do not count.
    pub subject_begins_with: String,
    /// What the subject of an event has to end with; capital letters do not count.
    pub subject_ends_with: String,
    /// The fields of an event, such as `data.ObjectName`, that advanced filters look at. Event Grid delivers only what
    /// all of those let pass.
    pub advanced_filter_keys: Vec<String>,
    /// Whether events that cannot be delivered are kept.
    pub has_dead_letter: bool,
    /// When it ends, if it does.
    pub expires: Option<String>,
}

impl ResourceManager {
    /// What whoever asks may do at a place: an app, a scope. Needs `Microsoft.Authorization/permissions/read`.
    pub async fn rights(&self, at: &str, call: &Call) -> Result<Rights, AzureError> {
        let path = format!("{at}/providers/Microsoft.Authorization/permissions");
        let request = self.look(Operation::ReadRights, at, &path, AUTHORIZATION);
        let permissions = self
            .transport
            .list(request, call, |permission: Permission| Some(permission))
            .await?;
        Ok(Rights::new(permissions))
    }

    /// What somebody else may do at a place, by the object id of the identity.
    /// Needs `Microsoft.Authorization/roleAssignments/read` and `.../roleDefinitions/read`.
    pub async fn rights_of(
        &self,
        principal: &str,
        at: &str,
        call: &Call,
    ) -> Result<Rights, AzureError> {
        let path = format!("{at}/providers/Microsoft.Authorization/roleAssignments");
        let mut request = self.look(Operation::ReadRights, at, &path, AUTHORIZATION);
        request
            .url
            .query_pairs_mut()
            .append_pair("$filter", &format!("assignedTo('{principal}')"));
        let role = |row: Row<Assignment>| Some(row.properties?.role_definition_id);
        let mut roles = self.transport.list(request, call, role).await?;
        roles.sort();
        roles.dedup();
        let mut permissions = Vec::new();
        for role in roles {
            let request = self.look(Operation::ReadRights, at, &role, AUTHORIZATION);
            let body = self.transport.send(&request, call).await?;
            let role: Row<Role> =
                crate::paging::read_json(&body).map_err(|failure| request.failed(failure))?;
            permissions.extend(
                role.properties
                    .map(|role| role.permissions)
                    .unwrap_or_default(),
            );
        }
        Ok(Rights::new(permissions))
    }

    /// The system topics of a subscription. Needs `Microsoft.EventGrid/systemTopics/read`.
    pub async fn system_topics(
        &self,
        subscription: &str,
        call: &Call,
    ) -> Result<Vec<SystemTopic>, AzureError> {
        let path =
            format!("/subscriptions/{subscription}/providers/Microsoft.EventGrid/systemTopics");
        let request = self.look(
            Operation::ListTopics,
            &format!("/subscriptions/{subscription}"),
            &path,
            EVENT_GRID,
        );
        let topic = |row: Row<Topic>| {
            Some(SystemTopic {
                id: row.id?,
                source: row.properties?.source,
            })
        };
        self.transport.list(request, call, topic).await
    }

    /// The event subscriptions of a system topic. Needs `Microsoft.EventGrid/systemTopics/eventSubscriptions/read`.
    pub async fn event_subscriptions(
        &self,
        topic: &SystemTopic,
        call: &Call,
    ) -> Result<Vec<EventSubscription>, AzureError> {
        let path = format!("{}/eventSubscriptions", topic.id);
        let request = self.look(Operation::ListSubscriptions, &topic.id, &path, EVENT_GRID);
        self.transport.list(request, call, subscription).await
    }

    /// The system-assigned identity of an app, by its object id; none if it has none. Needs `sites/Read`.
    pub async fn principal(&self, app: &AppId, call: &Call) -> Result<Option<String>, AzureError> {
        let request = self.request(Operation::ListSites, app, &app.to_string(), Action::Get);
        let body = self.transport.send(&request, call).await?;
        let row: SiteIdentity =
            crate::paging::read_json(&body).map_err(|failure| request.failed(failure))?;
        let identity = row.identity.unwrap_or_default();
        let assigned = identity.user_assigned_identities.unwrap_or_default();
        let of_user = assigned.into_values().next().and_then(|it| it.principal_id);
        Ok(of_user.or(identity.principal_id))
    }

    fn look(&self, operation: Operation, at: &str, path: &str, version: &str) -> Request<'static> {
        let mut url: Url = self.url(path);
        url.set_query(Some(&format!("api-version={version}")));
        let lane = at.split('/').nth(2).unwrap_or_default().to_owned();
        Request {
            operation,
            subject: at.to_owned(),
            lane,
            url,
            action: Action::Get,
            is_admitted: false,
        }
    }
}

/// A resource, as Resource Manager writes it.
#[derive(Deserialize)]
struct Row<T> {
    id: Option<String>,
    name: Option<String>,
    properties: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assignment {
    role_definition_id: String,
}

#[derive(Deserialize)]
struct Role {
    #[serde(default)]
    permissions: Vec<Permission>,
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
    filter: Option<Filter>,
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
struct Filter {
    included_event_types: Option<Vec<String>>,
    subject_begins_with: Option<String>,
    subject_ends_with: Option<String>,
    advanced_filters: Option<Vec<AdvancedFilter>>,
}

#[derive(Deserialize)]
struct AdvancedFilter {
    key: Option<String>,
}

#[derive(Deserialize)]
struct SiteIdentity {
    identity: Option<AppIdentity>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AppIdentity {
    principal_id: Option<String>,
    user_assigned_identities: Option<std::collections::BTreeMap<String, UserAssigned>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserAssigned {
    principal_id: Option<String>,
}

fn subscription(row: Row<Subscription>) -> Option<EventSubscription> {
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
    fn knows_what_advanced_filters_look_at() {
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
    fn no_filters_are_none_however_they_are_written() {
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
