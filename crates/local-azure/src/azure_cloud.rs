//! The clouds that Azure exists in, as far as their names reach clients.

use serde::{Deserialize, Serialize};

/// One of Azure's clouds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AzureCloud {
    /// The worldwide cloud.
    #[default]
    Public,
    /// The US Government's.
    UsGov,
    /// The one in China.
    China,
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    KeyVault,
    ResourceManager,
    Storage,
}

impl AzureCloud {
    /// What follows a vault's name in its host: `vault.azure.net`.
    pub fn vault_suffix(self) -> &'static str {
        match self {
            Self::Public => "vault.azure.net",
            Self::UsGov => "vault.usgovcloudapi.net",
            Self::China => "vault.azure.cn",
        }
    }

    /// Whether a host ends like the vaults of any cloud do.
    pub(crate) fn with_vault_suffix(suffix: &str) -> Option<Self> {
        [Self::Public, Self::UsGov, Self::China]
            .into_iter()
            .find(|cloud| suffix.eq_ignore_ascii_case(cloud.vault_suffix()))
    }

    /// The host that challenges send clients to for a token.
    pub(crate) fn login_host(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::UsGov => "login.microsoftonline.us",
            Self::China => "login.partner.microsoftonline.cn",
        }
    }

    /// What a token's resource gives access to. The trailing slash makes no difference.
    pub(crate) fn audience(self, resource: &str) -> Option<Audience> {
        let host = resource.strip_prefix("https://")?;
        let host = host.strip_suffix('/').unwrap_or(host);
        if host.eq_ignore_ascii_case(self.vault_suffix()) {
            Some(Audience::KeyVault)
        } else if self
            .management_hosts()
            .iter()
            .any(|it| host.eq_ignore_ascii_case(it))
        {
            Some(Audience::ResourceManager)
        } else if host.eq_ignore_ascii_case("storage.azure.com") {
            // The same in every cloud.
            Some(Audience::Storage)
        } else {
            None
        }
    }

    /// The hosts under which Resource Manager is known. The second is that of the service it replaced: tokens for
    /// either are good.
    fn management_hosts(self) -> [&'static str; 2] {
        match self {
            Self::Public => ["management.azure.com", "management.core.windows.net"],
            Self::UsGov => [
                "management.usgovcloudapi.net",
                "management.core.usgovcloudapi.net",
            ],
            Self::China => [
                "management.chinacloudapi.cn",
                "management.core.chinacloudapi.cn",
            ],
        }
    }
}
