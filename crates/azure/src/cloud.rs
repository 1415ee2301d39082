//! Where Azure's services are.

use keyrelay_model::VaultHost;
use url::{Host, Url};

/// The endpoints and audiences of one cloud, and the versions of its interfaces.
///
/// A token goes wherever an endpoint points: plain http is for this machine only. [`check`](Self::check) says so, and
/// so does whatever is built with a cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// Resource Manager's endpoint: `https://management.azure.com/`.
    pub resource_manager: Url,
    /// What a token for Resource Manager is asked for: `https://management.azure.com`.
    pub resource_manager_audience: String,
    /// What the hosts of vaults end in: `vault.azure.net`. No other host is ever asked.
    pub vault_suffix: String,
    /// What a token for vaults is asked for: `https://vault.azure.net`.
    pub vault_audience: String,
    /// What the hosts of storage accounts end in: `core.windows.net`.
    pub storage_suffix: String,
    /// What a token for storage accounts is asked for: `https://storage.azure.com` in every cloud.
    pub storage_audience: String,
    /// Where a vault is: `{host}` stands for its host, `{vault}` for its name. `https://{host}` in every cloud;
    /// something like `http://127.0.0.1:4002/vaults/{vault}` on a laptop.
    pub vault_endpoint: String,
    /// The api-version of Microsoft.Web.
    pub web_api_version: String,
    /// The api-version of the refresh of references, which is documented with this one only.
    pub refresh_api_version: String,
    /// The api-version of Key Vault's data plane.
    pub vault_api_version: String,
}

/// Why a cloud cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// Tokens would cross a network in the clear.
    #[error("{field} is `{url}`: plain http is for 127.0.0.1, ::1 and localhost only, use https")]
    PlainHttp {
        /// Which endpoint.
        field: &'static str,
        /// Its URL.
        url: String,
    },
    /// A field holds something else than it should.
    #[error("{field} is `{value}`: {expected}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
}

impl Cloud {
    /// The public cloud.
    pub fn public() -> Self {
        Self::of("management.azure.com", "vault.azure.net", "core.windows.net")
    }

    /// The US Government's cloud.
    pub fn us_gov() -> Self {
        Self::of("management.usgovcloudapi.net", "vault.usgovcloudapi.net", "core.usgovcloudapi.net")
    }

    /// The cloud in China.
    pub fn china() -> Self {
        Self::of("management.chinacloudapi.cn", "vault.azure.cn", "core.chinacloudapi.cn")
    }

    fn of(resource_manager: &'static str, vault_suffix: &'static str, storage_suffix: &'static str) -> Self {
        let audience = format!("https://{resource_manager}");
        Self {
            resource_manager: Url::parse(&audience).expect("the names above are hosts"),
            resource_manager_audience: audience,
            vault_suffix: vault_suffix.to_owned(),
            vault_audience: format!("https://{vault_suffix}"),
            storage_suffix: storage_suffix.to_owned(),
            storage_audience: "https://storage.azure.com".to_owned(),
            vault_endpoint: "https://{host}".to_owned(),
            web_api_version: "2025-05-01".to_owned(),
            refresh_api_version: "2022-03-01".to_owned(),
            vault_api_version: "7.4".to_owned(),
        }
    }

    /// Whether the cloud can be used: every endpoint is https or on this machine, and no field is malformed.
    pub fn check(&self) -> Result<(), CloudError> {
        check_endpoint("resource_manager", &self.resource_manager)?;
        let sample = VaultHost::from_name("vault", &self.vault_suffix).map_err(|_| CloudError::Invalid {
            field: "vault_suffix",
            value: self.vault_suffix.clone(),
            expected: "it looks like `vault.azure.net`",
        })?;
        check_endpoint("vault_endpoint", &self.vault_url(&sample)?)?;
        let audiences = [
            ("resource_manager_audience", &self.resource_manager_audience),
            ("vault_audience", &self.vault_audience),
            ("storage_audience", &self.storage_audience),
        ];
        for (field, value) in audiences {
            if value.is_empty() || value.contains(char::is_whitespace) {
                let expected = "it looks like `https://management.azure.com`";
                return Err(CloudError::Invalid { field, value: value.clone(), expected });
            }
        }
        let versions = [
            ("web_api_version", &self.web_api_version),
            ("refresh_api_version", &self.refresh_api_version),
            ("vault_api_version", &self.vault_api_version),
        ];
        for (field, value) in versions {
            if value.is_empty() || !value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
                let expected = "it looks like `2025-05-01`";
                return Err(CloudError::Invalid { field, value: value.clone(), expected });
            }
        }
        Ok(())
    }

    /// Where a vault is.
    pub(crate) fn vault_url(&self, vault: &VaultHost) -> Result<Url, CloudError> {
        let invalid = || CloudError::Invalid {
            field: "vault_endpoint",
            value: self.vault_endpoint.clone(),
            expected: "it is a URL with `{host}` or `{vault}` in it",
        };
        let text = self.vault_endpoint.replace("{host}", vault.as_str()).replace("{vault}", vault.vault());
        if text == self.vault_endpoint {
            return Err(invalid());
        }
        Url::parse(&text).map_err(|_| invalid())
    }
}

fn check_endpoint(field: &'static str, url: &Url) -> Result<(), CloudError> {
    let invalid = |expected| CloudError::Invalid { field, value: url.to_string(), expected };
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    match url.scheme() {
        _ if !bare => Err(invalid("it has a host and a path, and nothing else")),
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err(CloudError::PlainHttp { field, url: url.to_string() }),
        _ => Err(invalid("it begins with `https://`")),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
