//! Resolves a reference as App Service does: with the app's identity, against the vault.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::App;
use super::reference::{Reference, Target};
use crate::azure_cloud::AzureCloud;
use crate::faults::Faults;
use crate::hidden::Hidden;
use crate::vaults::Vaults;

/// How resolving a reference ended, in the words of Microsoft.Web.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResolveStatus {
    /// It was not resolved yet.
    #[default]
    Initialized,
    /// The app has the value.
    Resolved,
    /// It cannot be read.
    InvalidSyntax,
    /// The app has no identity.
    #[serde(rename = "MSINotEnabled")]
    MsiNotEnabled,
    /// There is no such vault.
    VaultNotFound,
    /// There is no such secret in the vault.
    SecretNotFound,
    /// The secret has no such version.
    SecretVersionNotFound,
    /// The identity may not read the vault, or the version is disabled: the vault answers both with 403.
    AccessToKeyVaultDenied,
    /// The vault did not answer in time. Only by fault.
    FetchTimedOut,
    /// The identity got no token. Only by fault.
    UnauthorizedClient,
    /// Anything else: here, that the version is not valid yet.
    OtherReasons,
}

impl fmt::Display for ResolveStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MsiNotEnabled => f.write_str("MSINotEnabled"),
            other => fmt::Debug::fmt(other, f),
        }
    }
}

/// What an app has of one reference.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolution {
    pub(super) status: ResolveStatus,
    pub(super) details: String,
    pub(super) version: Option<String>,
    pub(super) value: Option<Hidden>,
}

/// What resolving depends on.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    pub(crate) cloud: AzureCloud,
    pub(crate) vaults: &'a Vaults,
    pub(crate) faults: &'a Faults,
    pub(crate) now: Timestamp,
}

impl Resolver<'_> {
    pub(super) fn resolve(&self, app: &App, setting: &str, value: &str) -> Resolution {
        let path = format!("{}/config/configreferences/appsettings/{setting}", app.id);
        let resolved = match self.faults.of_reference(&path) {
            Some(status) => Err((status, "A fault is switched on.".to_owned())),
            None => Reference::parse(value)
                .map_err(|reason| {
                    (
                        ResolveStatus::InvalidSyntax,
                        format!("The reference cannot be read: {reason}."),
                    )
                })
                .and_then(|reference| self.fetch(app, &reference.target)),
        };
        match resolved {
            Ok((version, value)) => Resolution {
                status: ResolveStatus::Resolved,
                details: "Reference has been successfully resolved.".into(),
                version: Some(version),
                value: Some(value),
            },
            Err((status, details)) => Resolution {
                status,
                details,
                version: None,
                value: None,
            },
        }
    }

    /// The version's id and value.
    fn fetch(
        &self,
        app: &App,
        target: &Target,
    ) -> Result<(String, Hidden), (ResolveStatus, String)> {
        let fail = |status, details: &str| Err((status, details.to_owned()));
        let Some(identity) = &app.identity else {
            return fail(
                ResolveStatus::MsiNotEnabled,
                "The app has no managed identity.",
            );
        };
        let vault = self
            .vaults
            .named(&target.vault)
            .filter(|_| target.cloud.is_none_or(|cloud| cloud == self.cloud));
        let Some(vault) = vault else {
            return fail(ResolveStatus::VaultNotFound, "The vault was not found.");
        };
        if vault.denies(&identity.name) {
            return fail(
                ResolveStatus::AccessToKeyVaultDenied,
                "The identity has no access to the vault.",
            );
        }
        if vault.secret(&target.secret).is_err() {
            return fail(ResolveStatus::SecretNotFound, "The secret was not found.");
        }
        let Ok((_, version)) = vault.version(&target.secret, target.version.as_deref()) else {
            return fail(
                ResolveStatus::SecretVersionNotFound,
                "The version of the secret was not found.",
            );
        };
        if !version.attributes.enabled {
            return fail(
                ResolveStatus::AccessToKeyVaultDenied,
                "The version of the secret is disabled.",
            );
        }
        if version
            .attributes
            .not_before
            .is_some_and(|begin| begin > self.now)
        {
            return fail(
                ResolveStatus::OtherReasons,
                "The version of the secret is not valid yet.",
            );
        }
        Ok((version.id, version.value))
    }
}
