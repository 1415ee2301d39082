//! The resolution of a reference, as App Service does it: with the app's identity, against the
//! vault.

use std::sync::Arc;

use jiff::Timestamp;

use super::reference::{ParsedReference, SecretTarget};
use super::resolve_status::ResolveStatus;
use crate::audit::{AuditEntry, AuditLog};
use crate::azure_cloud::AzureCloud;
use crate::faults::Faults;
use crate::hidden::Hidden;
use crate::identity::ManagedIdentity;
use crate::vaults::{NewSecrets, Vaults};

/// The result of a resolution.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolution {
    pub(super) status: ResolveStatus,
    pub(super) details: String,
    pub(super) version: Option<String>,
    pub(super) value: Option<Hidden>,
}

/// Resolves references against the vaults.
#[derive(Debug)]
pub(crate) struct Resolver {
    pub(crate) cloud: AzureCloud,
    pub(crate) vaults: Arc<Vaults>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) audit: Arc<AuditLog>,
}

impl Resolver {
    /// Resolves the reference at `path` with an app's identity.
    pub(super) fn resolve(
        &self,
        identity: Option<&ManagedIdentity>,
        path: &str,
        value: &str,
        now: Timestamp,
    ) -> Resolution {
        let resolved = match self.faults.of_reference(path) {
            Some(status) => Err((status, "A fault is switched on.".to_owned())),
            None => ParsedReference::parse(value)
                .map_err(|reason| {
                    (
                        ResolveStatus::InvalidSyntax,
                        format!("The reference has a syntax error: {reason}."),
                    )
                })
                .and_then(|reference| self.fetch(identity, &reference.target, now)),
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

    /// Whether a value is a reference to one of these secrets.
    pub(super) fn names_one_of(&self, secrets: &NewSecrets, value: &str) -> bool {
        ParsedReference::parse(value).is_ok_and(|reference| {
            let target = &reference.target;
            target.cloud.is_none_or(|cloud| cloud == self.cloud)
                && secrets.contains(&target.vault, &target.secret)
        })
    }

    /// Reads a version's id and value from the vault.
    fn fetch(
        &self,
        identity: Option<&ManagedIdentity>,
        target: &SecretTarget,
        now: Timestamp,
    ) -> Result<(String, Hidden), (ResolveStatus, String)> {
        let fail = |status, details: &str| Err((status, details.to_owned()));
        let Some(identity) = identity else {
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
        if vault.refusal(&identity.name, "get").is_some() {
            return fail(
                ResolveStatus::AccessToKeyVaultDenied,
                "The identity has no access to the vault.",
            );
        }
        if vault.secret(&target.secret).is_err() {
            return fail(ResolveStatus::SecretNotFound, "The secret was not found.");
        }
        let Ok((secret, version)) = vault.version(&target.secret, target.version.as_deref()) else {
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
            .is_some_and(|begin| begin > now)
        {
            return fail(
                ResolveStatus::OtherReasons,
                "The version of the secret is not valid yet.",
            );
        }
        self.audit.add(AuditEntry {
            time: now,
            secret: format!("{}/secrets/{}/{}", vault.url, secret.name, version.id),
            principal: identity.principal_id.clone(),
        });
        Ok((version.id, version.value))
    }
}
