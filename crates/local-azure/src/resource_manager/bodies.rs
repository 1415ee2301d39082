//! The resources of Resource Manager: id, name, type, and the properties of Microsoft.Web's
//! contract.

use serde_json::{Map, Value, json};

use super::state::ResourceManagerService;
use super::tier;
use crate::apps::{ConnectionStrings, LocalApp, LocalSettings, ReferenceRow};

/// A site or a slot.
pub(super) fn app(manager: &ResourceManagerService, app: &LocalApp) -> Value {
    let host_name = host_name(app);
    let mut body = json!({
        "id": app.id,
        "name": app.short_name,
        "type": app_type(app),
        "kind": app.kind,
        "location": app.location,
        "properties": {
            "name": app.short_name,
            "state": if app.is_stopped() { "Stopped" } else { "Running" },
            "enabled": true,
            "usageState": "Normal",
            "availabilityState": "Normal",
            "hostNames": [host_name],
            "enabledHostNames": [host_name],
            "defaultHostName": host_name,
            "repositorySiteName": app.short_name.split('/').next(),
            "resourceGroup": app.resource_group,
            "serverFarmId": tier::plan_id(manager, app),
            "sku": tier::of(app).name,
            "reserved": is_linux(app),
            "isXenon": false,
            "hyperV": false,
            "outboundIpAddresses": "127.0.0.1",
            "possibleOutboundIpAddresses": "127.0.0.1",
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

/// A part of an app's configuration.
fn config(app: &LocalApp, name: &str, properties: impl Into<Value>) -> Value {
    json!({
        "id": format!("{}/config/{name}", app.id),
        "name": name,
        "type": format!("{}/config", app_type(app)),
        "location": app.location,
        "properties": properties.into(),
    })
}

/// An app's settings, current or requested.
pub(super) fn settings(app: &LocalApp, settings: &LocalSettings) -> Value {
    let properties: Map<String, Value> = settings
        .iter()
        .map(|(name, value)| (name.clone(), value.expose().into()))
        .collect();
    config(app, "appsettings", properties)
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
    config(app, "connectionstrings", properties)
}

/// The site configuration of an app.
pub(super) fn site_config(app: &LocalApp) -> Value {
    let mut properties = json!({
        "numberOfWorkers": 1,
        "defaultDocuments": [],
        "netFrameworkVersion": "v4.0",
        "linuxFxVersion": "",
        "alwaysOn": false,
        "appCommandLine": "",
        "ftpsState": "FtpsOnly",
        "http20Enabled": false,
        "minTlsVersion": "1.2",
        "use32BitWorkerProcess": false,
        "webSocketsEnabled": false,
        "experiments": { "rampUpRules": [] },
        "ipSecurityRestrictions": [],
        "scmIpSecurityRestrictions": [],
        // Settings are only in the responses of their own routes.
        "appSettings": null,
        "connectionStrings": null,
    });
    if let Some(properties) = properties.as_object_mut() {
        properties.extend(app.site_config());
    }
    json!({
        "id": format!("{}/config/web", app.id),
        "name": app.short_name,
        "type": format!("{}/config", app_type(app)),
        "location": app.location,
        "properties": properties,
    })
}

/// What App Service authentication does for an app. It is off unless it was set.
pub(super) fn authentication(app: &LocalApp) -> Value {
    let mut properties = json!({
        "platform": { "enabled": false, "runtimeVersion": "~1" },
        "globalValidation": {
            "requireAuthentication": false,
            "unauthenticatedClientAction": "AllowAnonymous",
        },
        "identityProviders": {},
        "login": { "tokenStore": { "enabled": false }, "preserveUrlFragmentsForLogins": false },
        "httpSettings": { "requireHttps": true, "routes": { "apiPrefix": "/.auth" } },
    });
    if let Some(properties) = properties.as_object_mut() {
        properties.extend(app.authentication());
    }
    config(app, "authsettingsV2", properties)
}

/// The names of the settings that stay with their slot.
pub(super) fn sticky_names(site: &LocalApp) -> Value {
    json!({
        "id": format!("{}/config/slotConfigNames", site.id),
        "name": "slotConfigNames",
        "type": "Microsoft.Web/sites/config",
        "location": site.location,
        "properties": site.sticky_names(),
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

/// The resource type of an app.
pub(super) fn app_type(app: &LocalApp) -> &'static str {
    if app.slot.is_some() {
        "Microsoft.Web/sites/slots"
    } else {
        "Microsoft.Web/sites"
    }
}

/// The identity of an app, if it has one.
pub(super) fn identity(manager: &ResourceManagerService, app: &LocalApp) -> Option<Value> {
    let principal_id = &app.identity.as_ref()?.principal_id;
    Some(
        json!({ "type": "SystemAssigned", "principalId": principal_id, "tenantId": manager.tenant }),
    )
}

/// Whether an app runs on Linux.
pub(super) fn is_linux(app: &LocalApp) -> bool {
    app.kind.contains("linux")
}

/// The default host name of an app.
pub(super) fn host_name(app: &LocalApp) -> String {
    let name = app.short_name.replace('/', "-").to_lowercase();
    format!("{name}.azurewebsites.net")
}
