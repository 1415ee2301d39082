//! Events of Resource Manager about apps, for early news of their references.

use crate::app::AppId;

/// The type of the events about written resources.
pub(crate) const RESOURCE_WRITTEN: &str = "Microsoft.Resources.ResourceWriteSuccess";

/// A write of an app, or of a part of it, such as its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppChange {
    /// The app.
    pub app: AppId,
}

impl AppChange {
    /// The app whose id this resource id is, or begins with. None for another resource.
    pub(crate) fn of_resource(id: &str) -> Option<Self> {
        let ends = id.match_indices('/').map(|(at, _)| at);
        let ends: Vec<usize> = ends.chain([id.len()]).collect();
        // The id of a site ends before its ninth slash, and that of a slot before its eleventh.
        let begin = |slashes: usize| id.get(..*ends.get(slashes)?)?.parse().ok();
        let slot = begin(10).filter(|app: &AppId| app.slot().is_some());
        slot.or_else(|| begin(8)).map(|app| Self { app })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::event::EventErrorReason;

    const SITE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders";

    #[track_caller]
    fn check(id: &str, expected: Option<&str>) {
        let change = AppChange::of_resource(id);
        let app = change.map(|change| change.app.to_string());
        assert_eq!(app.as_deref(), expected, "{id}");
    }

    #[test]
    fn the_id_of_a_part_begins_with_that_of_its_app() {
        let slot = format!("{SITE}/slots/staging");
        for part in ["", "/config/appsettings", "/slots", "/"] {
            check(&format!("{SITE}{part}"), Some(SITE));
        }
        for part in ["", "/config/connectionstrings", "/"] {
            check(&format!("{slot}{part}"), Some(&slot));
        }
    }

    /// Decodes an event, and returns the app that was written.
    fn decoded(event: &Value) -> Option<String> {
        let events = crate::decode_events(event, Timestamp::UNIX_EPOCH);
        let [Err(error)] = events.as_slice() else {
            panic!("{events:?}");
        };
        let EventErrorReason::ResourceWritten(change) = &error.reason else {
            panic!("{error}");
        };
        change.as_ref().map(|change| change.app.to_string())
    }

    #[test]
    fn both_schemas_name_the_app() {
        let settings = format!("{SITE}/config/appsettings");
        let of_event_grid = |subject: &str, resource: &str| {
            json!({
                "id": "e-1",
                "topic": "/subscriptions/s",
                "subject": subject,
                "eventType": "Microsoft.Resources.ResourceWriteSuccess",
                "data": { "resourceUri": resource, "operationName": "Microsoft.Web/sites/config/write" },
            })
        };
        let cloud_event = json!({
            "specversion": "1.0",
            "id": "e-1",
            "source": "/subscriptions/s",
            "subject": settings,
            "type": "microsoft.resources.resourcewritesuccess",
        });
        let app = Some(SITE.to_owned());
        assert_eq!(decoded(&of_event_grid(&settings, &settings)), app);
        assert_eq!(decoded(&of_event_grid("", &settings)), app);
        assert_eq!(decoded(&of_event_grid(&settings, "")), app);
        assert_eq!(decoded(&cloud_event), app);
        assert_eq!(decoded(&of_event_grid("/subscriptions/s", "")), None);
    }

    #[test]
    fn other_resources_are_no_apps() {
        for id in [
            "",
            "/",
            "orders",
            "/subscriptions/s/resourceGroups/g",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/serverFarms/plan",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a",
        ] {
            check(id, None);
        }
    }
}
