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
    /// Where Entra signs in, and says with which keys its tokens are signed: `https://login.microsoftonline.com`.
    pub login: Url,
    /// What Entra calls itself in tokens of its first version, before the tenant: `https://sts.windows.net`. In those of the
    /// second version it is `login`.
    pub token_issuer: Url,
    /// The api-version of Microsoft.Web.
    pub web_api_version: String,
    /// The api-version of the refresh of references, which is documented with this one only.
    pub refresh_api_version: String,
    /// The api-version of Key Vault's data plane.
    pub vault_api_version: String,
}

/// The hosts by which one cloud differs from another.
struct Names {
    resource_manager: &'static str,
    vault_suffix: &'static str,
    storage_suffix: &'static str,
    login: &'static str,
    token_issuer: &'static str,
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
        Self::of(Names {
            resource_manager: "management.azure.com",
            vault_suffix: "vault.azure.net",
            storage_suffix: "core.windows.net",
            login: "login.microsoftonline.com",
            token_issuer: "sts.windows.net",
        })
    }

    /// The US Government's cloud.
    pub fn us_gov() -> Self {
        Self::of(Names {
            resource_manager: "management.usgovcloudapi.net",
            vault_suffix: "vault.usgovcloudapi.net",
            storage_suffix: "core.usgovcloudapi.net",
            login: "login.microsoftonline.us",
            token_issuer: "sts.windows.net",
        })
    }

    /// The cloud in China.
    pub fn china() -> Self {
        Self::of(Names {
            resource_manager: "management.chinacloudapi.cn",
            vault_suffix: "vault.azure.cn",
            storage_suffix: "core.chinacloudapi.cn",
            login: "login.partner.microsoftonline.cn",
            token_issuer: "sts.chinacloudapi.cn",
        })
    }

    fn of(names: Names) -> Self {
        let Names {
            resource_manager,
            vault_suffix,
            storage_suffix,
            login,
            token_issuer,
        } = names;
        let url = |host| Url::parse(&format!("https://{host}")).expect("the names above are hosts");
        Self {
            resource_manager: url(resource_manager),
            resource_manager_audience: format!("https://{resource_manager}"),
            vault_suffix: vault_suffix.to_owned(),
            vault_audience: format!("https://{vault_suffix}"),
            storage_suffix: storage_suffix.to_owned(),
            storage_audience: "https://storage.azure.com".to_owned(),
            vault_endpoint: "https://{host}".to_owned(),
            login: url(login),
            token_issuer: url(token_issuer),
            web_api_version: "2025-05-01".to_owned(),
            refresh_api_version: "2022-03-01".to_owned(),
            vault_api_version: "7.4".to_owned(),
        }
    }

    /// Whether the cloud can be used: every endpoint is https or on this machine, and no field is malformed.
    pub fn check(&self) -> Result<(), CloudError> {
        check_endpoint("resource_manager", &self.resource_manager)?;
        check_endpoint("login", &self.login)?;
        check_endpoint("token_issuer", &self.token_issuer)?;
        let sample =
            VaultHost::from_name("vault", &self.vault_suffix).map_err(|_| CloudError::Invalid {
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
                return Err(CloudError::Invalid {
                    field,
                    value: value.clone(),
                    expected,
                });
            }
        }
        let versions = [
            ("web_api_version", &self.web_api_version),
            ("refresh_api_version", &self.refresh_api_version),
            ("vault_api_version", &self.vault_api_version),
        ];
        for (field, value) in versions {
            if value.is_empty()
                || !value
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
            {
                let expected = "it looks like `2025-05-01`";
                return Err(CloudError::Invalid {
                    field,
                    value: value.clone(),
                    expected,
                });
            }
        }
        Ok(())
    }

    /// What Entra calls itself in the tokens of a tenant, in their first and their second version.
    pub fn token_issuers(&self, tenant: &str) -> [String; 2] {
        let base = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        [
            format!("{}/{tenant}/", base(&self.token_issuer)),
            format!("{}/{tenant}/v2.0", base(&self.login)),
        ]
    }

    /// Where a vault is.
    pub(crate) fn vault_url(&self, vault: &VaultHost) -> Result<Url, CloudError> {
        let invalid = || CloudError::Invalid {
            field: "vault_endpoint",
            value: self.vault_endpoint.clone(),
            expected: "it is a URL with `{host}` or `{vault}` in it",
        };
        let text = self
            .vault_endpoint
            .replace("{host}", vault.as_str())
            .replace("{vault}", vault.vault());
        if text == self.vault_endpoint {
            return Err(invalid());
        }
        Url::parse(&text).map_err(|_| invalid())
    }
}

fn check_endpoint(field: &'static str, url: &Url) -> Result<(), CloudError> {
    let invalid = |expected| CloudError::Invalid {
        field,
        value: url.to_string(),
        expected,
    };
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        _ if !bare => Err(invalid("it has a host and a path, and nothing else")),
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err(CloudError::PlainHttp {
            field,
            url: url.to_string(),
        }),
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
