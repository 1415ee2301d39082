//! Microsoft.Authorization: the permissions of an identity, for diagnostics.

use serde::Deserialize;

use super::client::ResourceManager;
use super::resource::Resource;
use crate::call::Call;
use crate::error::AzureError;
use crate::paging::read_json;
use crate::request_log::Operation;
use crate::rights::{Permission, Rights};

const API_VERSION: &str = "2022-04-01";

impl ResourceManager {
    /// Reads the caller's own permissions on an app or a scope. Needs
    /// `Microsoft.Authorization/permissions/read`.
    pub async fn rights(&self, at: &str, call: &Call) -> Result<Rights, AzureError> {
        let path = format!("{at}/providers/Microsoft.Authorization/permissions");
        let request = self.resource_request(Operation::ReadRights, at, &path, API_VERSION);
        let permissions = self
            .transport
            .list(request, call, |permission: Permission| Some(permission))
            .await?;
        Ok(Rights::new(permissions))
    }

    /// Reads the permissions of another identity, given by its object id, on an app or a scope.
    /// Needs `Microsoft.Authorization/roleAssignments/read` and `.../roleDefinitions/read`.
    pub async fn rights_of(
        &self,
        principal: &str,
        at: &str,
        call: &Call,
    ) -> Result<Rights, AzureError> {
        let path = format!("{at}/providers/Microsoft.Authorization/roleAssignments");
        let mut request = self.resource_request(Operation::ReadRights, at, &path, API_VERSION);
        request
            .url
            .query_pairs_mut()
            .append_pair("$filter", &format!("assignedTo('{principal}')"));
        let role = |row: Resource<RoleAssignment>| Some(row.properties?.role_definition_id);
        let mut roles = self.transport.list(request, call, role).await?;
        roles.sort();
        roles.dedup();
        let mut permissions = Vec::new();
        for role in roles {
            let request = self.resource_request(Operation::ReadRights, at, &role, API_VERSION);
            let body = self.transport.send(&request, call).await?;
            let role: Resource<RoleDefinition> =
                read_json(&body).map_err(|failure| request.failed(failure))?;
            permissions.extend(
                role.properties
                    .map(|role| role.permissions)
                    .unwrap_or_default(),
            );
        }
        Ok(Rights::new(permissions))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleAssignment {
    role_definition_id: String,
}

#[derive(Deserialize)]
struct RoleDefinition {
    #[serde(default)]
    permissions: Vec<Permission>,
}
