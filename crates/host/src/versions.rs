//! The versions of a secret, as its vault lists them.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::{AzureError, Call, SecretVersionInfo};
use keyrelay_model::{SecretName, VaultHost, Versions, error_chain};
use tokio::time::Instant;

use crate::services::Services;

/// Reads the vault's list of versions, without any value. The list is empty if the identity may not
/// read it, or if it does not arrive by the call's deadline: neither keeps an event from being
/// handled. A list of this age is new enough.
pub(crate) async fn known_versions(
    services: &Services,
    vault: &VaultHost,
    secret: &SecretName,
    age: Duration,
    call: &Call,
) -> Arc<Versions> {
    let listed = versions(services, vault, secret, age, call).await;
    listed.unwrap_or_else(|error| {
        tracing::debug!(
            vault.host = vault.as_str(),
            secret.name = secret.as_str(),
            "the versions of the secret are unknown: {}",
            error_chain(&error)
        );
        Arc::default()
    })
}

/// Reads the vault's list of versions, without any value. Concurrent callers share a list that was
/// requested after all of them arrived, or at most `age` earlier.
pub(crate) async fn versions(
    services: &Services,
    vault: &VaultHost,
    secret: &SecretName,
    age: Duration,
    call: &Call,
) -> Result<Arc<Versions>, AzureError> {
    let now = Instant::now();
    let arrived = now.checked_sub(age).unwrap_or(now);
    let fetch = async {
        let versions = services.key_vault.versions(vault, secret, call).await?;
        let versions = versions
            .into_iter()
            .filter_map(SecretVersionInfo::with_attributes);
        let versions = versions.collect();
        Ok(Arc::new(versions))
    };
    let flight = services
        .versions
        .of(&format!("{vault}/{secret}").to_lowercase());
    let fetched = flight.get_or_fetch(call.deadline, |at| at.moment >= arrived, fetch);
    fetched.await
}
