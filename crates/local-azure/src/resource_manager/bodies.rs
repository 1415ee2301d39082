//! The resources of Resource Manager: id, name, type, and the properties of Microsoft.Web's
//! contract.

use serde_json::{Map, Value, json};

use super::state::ResourceManagerService;
use crate::apps::{ConnectionStrings, LocalApp, LocalSettings, ReferenceRow};

/// A site or a slot.
pub(super) fn app(manager: &ResourceManagerService, app: &LocalApp) -> Value {
    let host_name = format!(
        "{}.azurewebsites.net",
        app.short_name.replace('/', "-").to_lowercase()
    );
    let plan = format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Web/serverfarms/local",
        manager.subscription, app.resource_group
    );
    let mut body = json!({
        "id": app.id,
        "name": app.short_name,
        "type": app_type(app),
        "kind": app.kind,
        "location": app.location,
        "properties": {
            "name": app.short_name,
            "state": "Running",
            "enabled": true,
            "usageState": "Normal",
            "availabilityState": "Normal",
            "hostNames": [host_name],
            "enabledHostNames": [host_name],
            "defaultHostName": host_name,
            "repositorySiteName": app.short_name.split('/').next(),
            "resourceGroup": app.resource_group,
            "serverFarmId": plan,
            "reserved": app.kind.contains("linux"),
            "lastModifiedTimeUtc": format!("{:.7}", app.modified()),
            "keyVaultReferenceIdentity": "SystemAssigned",
            "httpsOnly": true,
        },
    });
    if let (Some(identity), Some(body)) = (identity(manager, app), body.as_object_mut()) {
        body.insert("identity".into(), identity);
    }
    body
}

/// An app's settings, current or requested.
pub(super) fn settings(app: &LocalApp, settings: &LocalSettings) -> Value {
    let properties: Map<String, Value> = settings
        .iter()
        .map(|(name, value)| (name.clone(), value.expose().into()))
        .collect();
    json!({
        "id": format!("{}/config/appsettings", app.id),
        "name": "appsettings",
        "type": format!("{}/config", app_type(app)),
        "location": app.location,
        "properties": properties,
    })
}

/// An app's connection strings, current or requested.
pub(super) fn connection_strings(app: &LocalApp, connection_strings: &ConnectionStrings) -> Value {
    let properties: Map<String, Value> = connection_strings
        .iter()
        .map(|(name, it)| {
            let body = json!({ "value": it.value.expose(), "type": it.kind() });
            (name.clone(), body)
        })
        .collect();
    json!({
        "id": format!("{}/config/connectionstrings", app.id),
        "name": "connectionstrings",
        "type": format!("{}/config", app_type(app)),
        "location": app.location,
        "properties": properties,
    })
}

/// The response that a reference appears in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowForm {
    /// The reference alone.
    Single,
    /// A list of references.
    Listed,
    /// The response to a refresh.
    Refreshed,
}

/// The status of one reference.
pub(super) fn reference(
    manager: &ResourceManagerService,
    app: &LocalApp,
    row: ReferenceRow,
    form: RowForm,
) -> Value {
    let profile = &manager.options.profile;
    let as_captured = profile.lists_rows_as_captured && form != RowForm::Single;
    let (vault, secret, version) = match row.target {
        Some(target) => (Some(target.vault), Some(target.secret), target.version),
        None => (None, None, None),
    };
    let mut properties = Map::new();
    properties.insert("reference".into(), row.reference.into());
    properties.insert("status".into(), json!(row.status));
    properties.insert("vaultName".into(), vault.into());
    properties.insert("secretName".into(), secret.into());
    properties.insert("identityType".into(), identity(manager, app).into());
    if version.is_some() || profile.names_active_version && !as_captured {
        properties.insert("secretVersion".into(), version.into());
    }
    if !as_captured {
        properties.insert("details".into(), row.details.into());
        properties.insert("source".into(), "KeyVault".into());
    }
    let active = row.active_version.filter(|_| profile.names_active_version);
    let has_null = !profile.names_active_version && (!as_captured || form == RowForm::Refreshed);
    if active.is_some() || has_null {
        properties.insert("activeVersion".into(), active.into());
    }
    let id = app.reference_path(row.kind, &row.setting);
    json!({
        "id": (!as_captured).then_some(id),
        "name": row.setting,
        "type": format!("{}/config/configreferences", app_type(app)),
        "location": app.location,
        "properties": properties,
    })
}

/// A resource group.
pub(super) fn resource_group(manager: &ResourceManagerService, name: &str) -> Value {
    json!({
        "id": format!("/subscriptions/{}/resourceGroups/{name}", manager.subscription),
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": "westeurope",
        "properties": { "provisioningState": "Succeeded" },
    })
}

fn app_type(app: &LocalApp) -> &'static str {
    if app.slot.is_some() {
        "Microsoft.Web/sites/slots"
    } else {
        "Microsoft.Web/sites"
    }
}

fn identity(manager: &ResourceManagerService, app: &LocalApp) -> Option<Value> {
    let principal_id = &app.identity.as_ref()?.principal_id;
    Some(
        json!({ "type": "SystemAssigned", "principalId": principal_id, "tenantId": manager.tenant }),
    )
}
