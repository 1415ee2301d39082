//! Key Vault: the versions of a secret.
//!
//! Values are never read, so the permission to list is sufficient.

use std::sync::Arc;

use keyrelay_model::{SecretName, SecretVersion, VaultHost, VersionAttributes};
use serde::Deserialize;

use crate::call::Call;
use crate::cloud::{Cloud, CloudError};
use crate::credential::Credential;
use crate::error::AzureError;
use crate::failure::Failure;
use crate::http::Http;
use crate::request_log::Operation;
use crate::transport::{Action, Request, Transport};

/// The vaults of a cloud.
#[derive(Debug, Clone)]
pub struct KeyVault {
    cloud: Cloud,
    transport: Transport,
}

/// The attributes of one version of a secret. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVersionInfo {
    /// The version.
    pub version: SecretVersion,
    /// Whether the version is enabled.
    pub enabled: bool,
    /// The time of its creation.
    pub created: Option<u64>,
    /// The time from which it is valid.
    pub not_before: Option<u64>,
    /// The time of its expiry.
    pub expires: Option<u64>,
}

impl SecretVersionInfo {
    /// The version with its attributes. None: without the time of its creation it cannot be ordered.
    pub fn with_attributes(self) -> Option<(SecretVersion, VersionAttributes)> {
        let attributes = VersionAttributes {
            enabled: self.enabled,
            created: self.created?,
            not_before: self.not_before,
            expires: self.expires,
        };
        Some((self.version, attributes))
    }
}

impl KeyVault {
    /// Creates a client for the vaults of a cloud that authenticates with `credential`.
    pub fn new(cloud: &Cloud, credential: Arc<Credential>, http: Http) -> Result<Self, CloudError> {
        cloud.check()?;
        let transport = Transport::new(http, credential, cloud.vault_audience.clone());
        Ok(Self {
            cloud: cloud.clone(),
            transport,
        })
    }

    /// Lists all versions of a secret, in no particular order. For a certificate, these are the
    /// versions of its secret.
    ///
    /// A vault of another cloud is an error. No request is sent to it, because it would get the
    /// token.
    pub async fn versions(
        &self,
        vault: &VaultHost,
        secret: &SecretName,
        call: &Call,
    ) -> Result<Vec<SecretVersionInfo>, AzureError> {
        let subject = format!("{secret} in {vault}");
        let operation = Operation::ListVersions;
        let suffix = &self.cloud.vault_suffix;
        let base = match self.cloud.vault_url(vault) {
            Ok(base) if vault.suffix().eq_ignore_ascii_case(suffix) => base,
            _ => {
                let failure = Failure::ForeignVault {
                    suffix: suffix.clone(),
                };
                return Err(AzureError {
                    operation,
                    subject,
                    failure,
                });
            }
        };
        let mut url = base;
        url.set_path(&format!(
            "{}/secrets/{secret}/versions",
            url.path().trim_end_matches('/')
        ));
        // Key Vault returns at most 25 rows a page.
        url.query_pairs_mut()
            .append_pair("api-version", &self.cloud.vault_api_version)
            .append_pair("maxresults", "25");
        let request = Request {
            operation,
            subject,
            identity: 0,
            throttle: vault.to_string(),
            url,
            action: Action::Get,
            is_admitted: false,
        };
        self.transport.list(request, call, read_version).await
    }
}

/// A version in Key Vault's list.
#[derive(Deserialize)]
struct VersionRow {
    /// `https://contoso-kv.vault.azure.net/secrets/sql/<version>`
    id: String,
    #[serde(default)]
    attributes: Option<ListedAttributes>,
}

#[derive(Default, Deserialize)]
struct ListedAttributes {
    enabled: Option<bool>,
    created: Option<u64>,
    nbf: Option<u64>,
    exp: Option<u64>,
}

fn read_version(row: VersionRow) -> Option<SecretVersionInfo> {
    let version = row
        .id
        .trim_end_matches('/')
        .rsplit('/')
        .next()?
        .parse()
        .ok()?;
    let ListedAttributes {
        enabled,
        created,
        nbf,
        exp,
    } = row.attributes.unwrap_or_default();
    Some(SecretVersionInfo {
        version,
        enabled: enabled.unwrap_or(true),
        created,
        not_before: nbf,
        expires: exp,
    })
}
