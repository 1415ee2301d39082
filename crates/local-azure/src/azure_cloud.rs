//! The clouds of Azure and their host names.

use serde::{Deserialize, Serialize};

/// One of Azure's clouds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AzureCloud {
    /// The worldwide cloud.
    #[default]
    Public,
    /// The cloud of the US Government.
    UsGov,
    /// The cloud in China.
    China,
}

/// The audience of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    KeyVault,
    ResourceManager,
    Storage,
    LogAnalytics,
}

impl AzureCloud {
    /// The suffix of a vault's host: `vault.azure.net`.
    pub fn vault_suffix(self) -> &'static str {
        match self {
            Self::Public => "vault.azure.net",
            Self::UsGov => "vault.usgovcloudapi.net",
            Self::China => "vault.azure.cn",
        }
    }

    /// The cloud with this suffix of vault hosts.
    pub(crate) fn with_vault_suffix(suffix: &str) -> Option<Self> {
        [Self::Public, Self::UsGov, Self::China]
            .into_iter()
            .find(|cloud| suffix.eq_ignore_ascii_case(cloud.vault_suffix()))
    }

    /// The host of the authority in challenges.
    pub(crate) fn login_host(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::UsGov => "login.microsoftonline.us",
            Self::China => "login.partner.microsoftonline.cn",
        }
    }

    /// The host of the portal.
    pub(crate) fn portal_host(self) -> &'static str {
        match self {
            Self::Public => "portal.azure.com",
            Self::UsGov => "portal.azure.us",
            Self::China => "portal.azure.cn",
        }
    }

    /// The host of the issuer of tokens.
    pub(crate) fn issuer_host(self) -> &'static str {
        match self {
            Self::Public | Self::UsGov => "sts.windows.net",
            Self::China => "sts.chinacloudapi.cn",
        }
    }

    /// The audience of a token's resource. A trailing slash is ignored.
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
            // This host is the same in every cloud.
            Some(Audience::Storage)
        } else if host.eq_ignore_ascii_case(self.log_analytics_host()) {
            Some(Audience::LogAnalytics)
        } else {
            None
        }
    }

    /// The host of Log Analytics.
    pub(crate) fn log_analytics_host(self) -> &'static str {
        match self {
            Self::Public => "api.loganalytics.io",
            Self::UsGov => "api.loganalytics.us",
            Self::China => "api.loganalytics.azure.cn",
        }
    }

    /// The hosts of Resource Manager. The second is that of its predecessor. Tokens for either are
    /// valid.
    pub(crate) fn management_hosts(self) -> [&'static str; 2] {
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
