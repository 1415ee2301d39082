//! The versions of secrets for a comparison, each read once. A vault that does not respond is asked
//! once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use keyrelay_azure::Call;
use keyrelay_model::{Retryability, SecretName, VaultHost, Versions, error_chain};

use super::comparison::Comparison;
use super::pass::Pass;
use super::summary::Summary;
use crate::index::{SecretOf, secret_key};
use crate::versions::versions;

/// Largest number of secrets of one vault whose versions are requested at once.
const AT_ONCE: usize = 16;

/// Reads the versions of these secrets side by side: of each vault one first, and if it responds the
/// others.
pub(super) async fn fetch_all(
    pass: &Pass<'_>,
    secrets: Vec<SecretOf>,
    comparison: &mut Comparison,
    summary: &mut Summary,
) {
    let mut by_vault: BTreeMap<String, Vec<SecretOf>> = BTreeMap::new();
    for secret in secrets {
        if !comparison.versions.contains_key(&secret_key(&secret)) {
            let vault = secret.0.as_str().to_lowercase();
            by_vault.entry(vault).or_default().push(secret);
        }
    }
    for (_, secrets) in by_vault {
        let Some((first, others)) = secrets.split_first() else {
            continue;
        };
        versions_of(pass, first, comparison, summary).await;
        if comparison.unreachable.contains(&first.0) {
            continue;
        }
        let listing = stream::iter(others.to_vec())
            .map(|secret| async move { (list(pass, &secret.0, &secret.1).await, secret) });
        let mut listing = listing.buffer_unordered(AT_ONCE);
        while let Some((listed, secret)) = listing.next().await {
            keep(&secret, listed, comparison, summary);
        }
    }
}

/// The versions of a secret. Empty if they are unknown.
pub(super) async fn versions_of(
    pass: &Pass<'_>,
    secret: &SecretOf,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Arc<Versions> {
    if let Some(versions) = comparison.versions.get(&secret_key(secret)) {
        return Arc::clone(versions);
    }
    if comparison.unreachable.contains(&secret.0) {
        return Arc::default();
    }
    let listed = list(pass, &secret.0, &secret.1).await;
    keep(secret, listed, comparison, summary)
}

/// The versions, or the reason why they are unknown, if another request may succeed.
type Listed = Result<Arc<Versions>, String>;

async fn list(pass: &Pass<'_>, vault: &VaultHost, secret: &SecretName) -> Listed {
    let call = Call::background(pass.run_deadline());
    match versions(pass.services, vault, secret, Duration::ZERO, &call).await {
        Err(error) if error.retryability() == Retryability::Transient => Err(error_chain(&error)),
        listed => Ok(listed.unwrap_or_default()),
    }
}

fn keep(
    secret: &SecretOf,
    listed: Listed,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Arc<Versions> {
    let listed = listed.unwrap_or_else(|problem| {
        if comparison.unreachable.insert(secret.0.clone()) {
            summary.problem(problem);
        }
        Arc::default()
    });
    let versions = &mut comparison.versions;
    versions.insert(secret_key(secret), Arc::clone(&listed));
    listed
}
