//! The identities that keyrelay can act as.

use std::path::PathBuf;

/// The identity whose permissions keyrelay uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The managed identity of the app that keyrelay runs in.
    Managed {
        /// The client id of a user-assigned identity; `None` selects the system-assigned one.
        client_id: Option<String>,
    },
    /// The workload identity of a Kubernetes pod, whose token is exchanged for one of an Entra
    /// identity.
    Workload {
        /// The client id of that identity; `None` takes it from the pod's environment.
        client_id: Option<String>,
        /// The file in which Kubernetes keeps a valid token of the pod.
        token_file: PathBuf,
    },
    /// The user who is logged in to the Azure CLI or the Azure Developer CLI.
    Developer,
}
