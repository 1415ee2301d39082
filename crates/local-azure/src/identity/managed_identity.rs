//! Managed identities.

use uuid::Uuid;

use crate::hidden::Hidden;

/// A managed identity, system-assigned or user-assigned.
#[derive(Debug, Clone)]
pub(crate) struct ManagedIdentity {
    /// `site`, `site/slot`, or the name of a user-assigned identity.
    pub(crate) name: String,
    /// The id of the app, or of the user-assigned identity.
    pub(super) resource_id: String,
    pub(crate) principal_id: String,
    pub(super) client_id: String,
    /// The value of `IDENTITY_HEADER`, which authenticates the app.
    pub(crate) header: Hidden,
}

impl ManagedIdentity {
    pub(crate) fn new(name: &str, resource_id: &str) -> Self {
        Self {
            name: name.to_owned(),
            resource_id: resource_id.to_owned(),
            principal_id: Uuid::new_v4().to_string(),
            client_id: Uuid::new_v4().to_string(),
            header: Uuid::new_v4().simple().to_string().into(),
        }
    }

    /// The same identity with a given client id.
    pub(super) fn with_client_id(self, client_id: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            ..self
        }
    }
}
