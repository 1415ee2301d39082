//! Microsoft.KeyVault: vaults and what decides who may use them, for diagnostics.

use serde::Deserialize;

use super::client::ResourceManager;
use super::resource::Resource;
use crate::call::Call;
use crate::error::AzureError;
use crate::request_log::Operation;

const API_VERSION: &str = "2023-07-01";

/// The api-version of subscriptions.
const SUBSCRIPTIONS_VERSION: &str = "2022-12-01";

/// A vault, as Resource Manager describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What decides who may use its secrets.
    pub access: VaultAccess,
}

/// What decides who may use the secrets of a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultAccess {
    /// Roles.
    Roles,
    /// The access policies of the vault.
    Policies(Vec<AccessPolicy>),
}

/// An access policy of a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPolicy {
    /// The object id of the identity or group.
    pub object_id: String,
    /// The permissions for secrets, such as `List`.
    pub secrets: Vec<String>,
}

impl AccessPolicy {
    /// Whether it has this permission for secrets, by name or with all others.
    pub fn allows(&self, permission: &str) -> bool {
        let is_that =
            |it: &String| it.eq_ignore_ascii_case(permission) || it.eq_ignore_ascii_case("all");
        self.secrets.iter().any(is_that)
    }
}

impl ResourceManager {
    /// Lists the vaults of a subscription. Needs `Microsoft.KeyVault/vaults/read`.
    pub async fn vaults(&self, subscription: &str, call: &Call) -> Result<Vec<Vault>, AzureError> {
        let subject = format!("/subscriptions/{subscription}");
        let path = format!("{subject}/providers/Microsoft.KeyVault/vaults");
        let request = self.resource_request(Operation::ListVaults, &subject, &path, API_VERSION);
        self.transport.list(request, call, vault).await
    }

    /// Lists the ids of the subscriptions in which the identity has any right.
    pub async fn subscriptions(&self, call: &Call) -> Result<Vec<String>, AzureError> {
        let request = self.resource_request(
            Operation::ListAzureSubscriptions,
            "the tenant",
            "/subscriptions",
            SUBSCRIPTIONS_VERSION,
        );
        let id = |row: SubscriptionRow| row.subscription_id;
        self.transport.list(request, call, id).await
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionRow {
    subscription_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    enable_rbac_authorization: Option<bool>,
    access_policies: Option<Vec<PolicyRow>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyRow {
    object_id: Option<String>,
    permissions: Option<Permissions>,
}

#[derive(Deserialize)]
struct Permissions {
    secrets: Option<Vec<String>>,
}

fn vault(row: Resource<Properties>) -> Option<Vault> {
    let properties = row.properties?;
    // Vaults without the property have access policies: that was Azure's default.
    let access = match properties.enable_rbac_authorization {
        Some(true) => VaultAccess::Roles,
        Some(false) | None => {
            let rows = properties.access_policies.unwrap_or_default();
            VaultAccess::Policies(rows.into_iter().filter_map(policy).collect())
        }
    };
    Some(Vault {
        id: row.id?,
        name: row.name?,
        access,
    })
}

fn policy(row: PolicyRow) -> Option<AccessPolicy> {
    Some(AccessPolicy {
        object_id: row.object_id?,
        secrets: row
            .permissions
            .and_then(|it| it.secrets)
            .unwrap_or_default(),
    })
}
