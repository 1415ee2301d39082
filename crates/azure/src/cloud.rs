//! The endpoints of Azure's clouds.

use keyrelay_model::VaultHost;
use url::{Host, Url};

/// The endpoints, audiences and API versions of one cloud.
///
/// Tokens are sent to these endpoints, so plain http is allowed for loopback only.
/// [`check`](Self::check) verifies that, and every constructor that takes a cloud calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// Resource Manager's endpoint: `https://management.azure.com/`.
    pub resource_manager: Url,
    /// The audience of tokens for Resource Manager: `https://management.azure.com`.
    pub resource_manager_audience: String,
    /// The host suffix of vaults: `vault.azure.net`. No request goes to a vault with another
    /// suffix.
    pub vault_suffix: String,
    /// The audience of tokens for vaults: `https://vault.azure.net`.
    pub vault_audience: String,
    /// The host suffix of storage accounts: `core.windows.net`.
    pub storage_suffix: String,
    /// The audience of tokens for storage accounts: `https://storage.azure.com` in every cloud.
    pub storage_audience: String,
    /// The URL template of a vault: `{host}` stands for its host, `{vault}` for its name. It is
    /// `https://{host}` in every cloud; a local emulation uses one such as
    /// `http://127.0.0.1:4002/vaults/{vault}`.
    pub vault_endpoint: String,
    /// The endpoint of Log Analytics' query API: `https://api.loganalytics.azure.com/`.
    ///
    /// Those of the public cloud and of China are documented; that of US Government is in the
    /// source of Azure PowerShell (`AzureOperationalInsightsEndpoint`).
    pub log_analytics: Url,
    /// The audience of tokens for Log Analytics: `https://api.loganalytics.io`, which differs from
    /// the endpoint in the public cloud only. All three are in the source of Azure's SDK for .NET
    /// (`LogsQueryAudience`).
    pub log_analytics_audience: String,
    /// Entra's login endpoint, which also publishes its signing keys:
    /// `https://login.microsoftonline.com`.
    pub login: Url,
    /// The issuer of v1.0 tokens, without the tenant: `https://sts.windows.net`. The issuer of v2.0
    /// tokens is `login`.
    pub token_issuer: Url,
    /// The api-version of Microsoft.Web.
    pub web_api_version: String,
    /// The api-version for refreshing references, which is documented with this version only.
    pub refresh_api_version: String,
    /// The api-version of Key Vault's data plane.
    pub vault_api_version: String,
}

/// The hosts that differ between clouds.
struct CloudHosts {
    resource_manager: &'static str,
    vault_suffix: &'static str,
    storage_suffix: &'static str,
    log_analytics: &'static str,
    log_analytics_audience: &'static str,
    login: &'static str,
    token_issuer: &'static str,
}

/// The reason for which a cloud cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// Tokens would cross a network unencrypted.
    #[error(
        "{field} is `{url}`: plain http is allowed for 127.0.0.1, ::1 and localhost only; use https"
    )]
    PlainHttp {
        /// The name of the endpoint.
        field: &'static str,
        /// Its URL.
        url: String,
    },
    /// A field has an invalid value.
    #[error("{field} is `{value}`: {expected}")]
    Invalid {
        /// The name of the field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The expected form.
        expected: &'static str,
    },
}

impl Cloud {
    /// Azure's public cloud.
    pub fn public() -> Self {
        Self::of(CloudHosts {
            resource_manager: "management.azure.com",
            vault_suffix: "vault.azure.net",
            storage_suffix: "core.windows.net",
            log_analytics: "api.loganalytics.azure.com",
            log_analytics_audience: "api.loganalytics.io",
            login: "login.microsoftonline.com",
            token_issuer: "sts.windows.net",
        })
    }

    /// Azure Government (US).
    pub fn us_gov() -> Self {
        Self::of(CloudHosts {
            resource_manager: "management.usgovcloudapi.net",
            vault_suffix: "vault.usgovcloudapi.net",
            storage_suffix: "core.usgovcloudapi.net",
            log_analytics: "api.loganalytics.us",
            log_analytics_audience: "api.loganalytics.us",
            login: "login.microsoftonline.us",
            token_issuer: "sts.windows.net",
        })
    }

    /// Azure operated by 21Vianet (China).
    pub fn china() -> Self {
        Self::of(CloudHosts {
            resource_manager: "management.chinacloudapi.cn",
            vault_suffix: "vault.azure.cn",
            storage_suffix: "core.chinacloudapi.cn",
            log_analytics: "api.loganalytics.azure.cn",
            log_analytics_audience: "api.loganalytics.azure.cn",
            login: "login.partner.microsoftonline.cn",
            token_issuer: "sts.chinacloudapi.cn",
        })
    }

    fn of(hosts: CloudHosts) -> Self {
        let CloudHosts {
            resource_manager,
            vault_suffix,
            storage_suffix,
            log_analytics,
            log_analytics_audience,
            login,
            token_issuer,
        } = hosts;
        let url =
            |host| Url::parse(&format!("https://{host}")).expect("the constants above are hosts");
        Self {
            resource_manager: url(resource_manager),
            resource_manager_audience: format!("https://{resource_manager}"),
            vault_suffix: vault_suffix.to_owned(),
            vault_audience: format!("https://{vault_suffix}"),
            storage_suffix: storage_suffix.to_owned(),
            storage_audience: "https://storage.azure.com".to_owned(),
            vault_endpoint: "https://{host}".to_owned(),
            log_analytics: url(log_analytics),
            log_analytics_audience: format!("https://{log_analytics_audience}"),
            login: url(login),
            token_issuer: url(token_issuer),
            web_api_version: "2025-05-01".to_owned(),
            refresh_api_version: "2022-03-01".to_owned(),
            vault_api_version: "7.4".to_owned(),
        }
    }

    /// Verifies that every endpoint uses https or is loopback, and that no field is malformed.
    pub fn check(&self) -> Result<(), CloudError> {
        check_endpoint("resource_manager", &self.resource_manager)?;
        check_endpoint("log_analytics", &self.log_analytics)?;
        check_endpoint("login", &self.login)?;
        check_endpoint("token_issuer", &self.token_issuer)?;
        let sample =
            VaultHost::from_name("vault", &self.vault_suffix).map_err(|_| CloudError::Invalid {
                field: "vault_suffix",
                value: self.vault_suffix.clone(),
                expected: "expected a suffix like `vault.azure.net`",
            })?;
        check_endpoint("vault_endpoint", &self.vault_url(&sample)?)?;
        let audiences = [
            ("resource_manager_audience", &self.resource_manager_audience),
            ("vault_audience", &self.vault_audience),
            ("storage_audience", &self.storage_audience),
            ("log_analytics_audience", &self.log_analytics_audience),
        ];
        for (field, value) in audiences {
            if value.is_empty() || value.contains(char::is_whitespace) {
                let expected = "expected a URL like `https://management.azure.com`";
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
                let expected = "expected a date like `2025-05-01`";
                return Err(CloudError::Invalid {
                    field,
                    value: value.clone(),
                    expected,
                });
            }
        }
        Ok(())
    }

    /// The issuers of a tenant's tokens, for v1.0 and v2.0.
    pub fn token_issuers(&self, tenant: &str) -> [String; 2] {
        let base = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        [
            format!("{}/{tenant}/", base(&self.token_issuer)),
            format!("{}/{tenant}/v2.0", base(&self.login)),
        ]
    }

    /// The URL of a vault.
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
