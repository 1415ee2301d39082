//! The versions of a secret. Nothing here reads a value, and no right to do so is needed: List is enough.

use std::sync::Arc;

use keyrelay_model::{SecretName, SecretVersion, VaultHost};
use serde::Deserialize;

use crate::call::Call;
use crate::cloud::{Cloud, CloudError};
use crate::credential::Credential;
use crate::error::{AzureError, Failure};
use crate::http::Http;
use crate::request_log::Operation;
use crate::transport::{Action, Request, Transport};

/// The vaults of a cloud.
#[derive(Debug, Clone)]
pub struct KeyVault {
    cloud: Cloud,
    transport: Transport,
}

/// What the vault tells about one version of a secret. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVersionInfo {
    /// The version.
    pub version: SecretVersion,
    /// Whether it may be used.
    pub enabled: bool,
    /// When it was made.
    pub created: Option<u64>,
    /// When it becomes valid.
    pub not_before: Option<u64>,
    /// When it expires.
    pub expires: Option<u64>,
}

impl KeyVault {
    /// The vaults of a cloud, asked as `credential`.
    pub fn new(cloud: &Cloud, credential: Arc<Credential>, http: Http) -> Result<Self, CloudError> {
        cloud.check()?;
        let transport = Transport::new(http, credential, cloud.vault_audience.clone());
        Ok(Self {
            cloud: cloud.clone(),
            transport,
        })
    }

    /// All versions of a secret, in no particular order; those of a certificate are those of its secret.
    ///
    /// A vault of another cloud is an error and is not asked: it would get our token.
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
        // 25 is as many as Key Vault gives at a time.
        url.query_pairs_mut()
            .append_pair("api-version", &self.cloud.vault_api_version)
            .append_pair("maxresults", "25");
        let request = Request {
            operation,
            subject,
            lane: vault.to_string(),
            url,
            action: Action::Get,
            is_admitted: false,
        };
        self.transport.list(request, call, read_version).await
    }
}

/// A row of the list of versions, as Key Vault writes it.
#[derive(Deserialize)]
struct VersionRow {
    /// `https://contoso-kv.vault.azure.net/secrets/sql/<version>`
    id: String,
    #[serde(default)]
    attributes: Option<Attributes>,
}

#[derive(Default, Deserialize)]
struct Attributes {
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
    let Attributes {
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
