//! The events of Resource Manager about apps that were written.

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::app::LocalApp;
use crate::published_event::PublishedEvent;
use crate::world::World;

/// The type of the events.
pub(crate) const EVENT_TYPE: &str = "Microsoft.Resources.ResourceWriteSuccess";

/// The system topic of a subscription, which publishes its events.
#[derive(Debug)]
pub(crate) struct News {
    subscription: String,
    tenant: String,
    events: mpsc::UnboundedSender<PublishedEvent>,
}

/// The topic of a subscription's events, which is its Resource Manager id.
pub(crate) fn topic(subscription: &str) -> String {
    format!("/subscriptions/{subscription}")
}

impl News {
    /// The topic of the world's subscription, if anyone is subscribed to it.
    pub(crate) fn of(
        world: &World,
        events: &mpsc::UnboundedSender<PublishedEvent>,
    ) -> Option<Self> {
        world.early_news.then(|| Self {
            subscription: world.subscription.clone(),
            tenant: world.tenant.clone(),
            events: events.clone(),
        })
    }

    /// Publishes the write of a part of an app's configuration, such as `appsettings`.
    pub(super) fn publish(&self, app: &LocalApp, part: &str, now: Timestamp) {
        let resource = format!("{}/config/{part}", app.id);
        let slots = app.slot.as_ref().map_or("", |_| "slots/");
        let topic = topic(&self.subscription);
        let event = json!({
            "id": Uuid::new_v4().to_string(),
            "topic": topic,
            "subject": resource,
            "eventType": EVENT_TYPE,
            "eventTime": format!("{now:.7}"),
            "data": {
                "resourceProvider": "Microsoft.Web",
                "resourceUri": resource,
                "operationName": format!("Microsoft.Web/sites/{slots}config/write"),
                "status": "Succeeded",
                "correlationId": Uuid::new_v4().to_string(),
                "subscriptionId": self.subscription,
                "tenantId": self.tenant,
            },
            "dataVersion": "2",
            "metadataVersion": "1",
        });
        // Without a receiver the event is lost, as those of vaults are.
        let _ = self.events.send(PublishedEvent { topic, event });
    }
}
