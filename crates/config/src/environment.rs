//! Facts that Azure sets in the environment of the process.

use std::collections::BTreeMap;

use keyrelay_azure::Identity;

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
