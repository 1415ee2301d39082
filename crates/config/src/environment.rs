//! Facts that Azure sets in the environment of the process.

use std::collections::BTreeMap;

use keyrelay_azure::Identity;
use keyrelay_model::AppId;

/// Returns the app that keyrelay runs in, from the variables that App Service sets. None outside of
/// Azure.
///
/// `WEBSITE_OWNER_NAME` is `<subscription>+<webspace>`.
pub fn own_app(environment: &BTreeMap<String, String>) -> Option<AppId> {
    let (subscription, _) = environment.get("WEBSITE_OWNER_NAME")?.split_once('+')?;
    let group = environment.get("WEBSITE_RESOURCE_GROUP")?;
    let site = environment.get("WEBSITE_SITE_NAME")?;
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/sites/{site}"
    )
    .parse()
    .ok()
}

/// Returns the identity to use, from the variables of App Service, Container Apps and the workload
/// identity of Kubernetes. Outside of Azure it is the developer's.
pub fn identity(client_id: Option<String>, environment: &BTreeMap<String, String>) -> Identity {
    match environment.get("AZURE_FEDERATED_TOKEN_FILE") {
        _ if environment.contains_key("IDENTITY_ENDPOINT") => Identity::Managed { client_id },
        Some(file) => Identity::Workload {
            client_id,
            token_file: file.into(),
        },
        None => Identity::Developer,
    }
}
