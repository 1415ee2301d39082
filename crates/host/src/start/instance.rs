//! The name of this process.

use std::collections::BTreeMap;

/// The variables in which the Functions host passes its port: the current name and the older one.
pub(super) const PORT_VARIABLES: [&str; 2] =
    ["FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"];

/// The variables that hold the name of a replica: in Container Apps, and in Kubernetes.
const REPLICA_VARIABLES: [&str; 2] = ["CONTAINER_APP_REPLICA_NAME", "HOSTNAME"];

/// Longest part of a name that is used, in characters.
const MAX_LENGTH: usize = 16;

/// The name of this process in leases, records and telemetry: the instance of the function app or
/// the replica, and the process id. A restarted process has another name.
pub(super) fn instance(environment: &BTreeMap<String, String>) -> String {
    let variable = |names: &[&str]| names.iter().find_map(|name| environment.get(*name));
    // The name of a developer's own machine would say no more than `local`.
    let replica = variable(&REPLICA_VARIABLES).filter(|_| variable(&PORT_VARIABLES).is_none());
    let instance: String = match (environment.get("WEBSITE_INSTANCE_ID"), replica) {
        // Those of Azure have 64 characters.
        (Some(instance), _) => instance.chars().take(MAX_LENGTH).collect(),
        // The name of the deployment comes first, and what distinguishes its replicas last.
        (None, Some(replica)) => {
            let extra = replica.chars().count().saturating_sub(MAX_LENGTH);
            replica.chars().skip(extra).collect()
        }
        (None, None) => "local".to_owned(),
    };
    format!("{instance}-{}", std::process::id())
}
