//! Whether an event is handled at all: mode, vault, kind, and how its version stands among the others.

use std::sync::Arc;

use jiff::Timestamp;
use keyrelay_azure::{AzureError, Call, SecretVersionInfo};
use keyrelay_model::{
    Event, Occurrence, SecretName, SecretVersion, Standing, VaultHost, Verdict, VersionAttributes,
    Versions,
};
use tokio::time::Instant;

use crate::config::Mode;
use crate::outcome::{Outcome, chain};
use crate::relay::Relay;

/// What becomes of an event.
pub(crate) enum Admission {
    /// It is handled, with this known of the secret's versions.
    Admitted(Arc<Versions>),
    /// It is handled later: its version becomes valid at this time, in seconds since 1970.
    Postponed(u64),
    /// It ends here.
    Ended(Outcome),
}

/// Decides whether an event is handled.
pub(crate) async fn admit(relay: &Relay, event: &Event, mode: Mode, call: &Call) -> Admission {
    if let Some(outcome) = without_asking(relay, event, mode) {
        return Admission::Ended(outcome);
    }
    let versions = known_versions(relay, &event.vault_host, &event.name, call).await;
    match standing(event, &versions) {
        Standing::Current => Admission::Admitted(versions),
        Standing::Superseded { by } => {
            let message = format!("not handled: version {by} is newer, and no app goes backwards");
            Admission::Ended(Outcome::new(Verdict::Unchanged, message))
        }
        Standing::Disabled => {
            let message = "not handled: the version is disabled; enable it and resubmit the run";
            Admission::Ended(Outcome::new(Verdict::Refused, message))
        }
        Standing::NotYet { not_before } => Admission::Postponed(not_before),
    }
}

fn without_asking(relay: &Relay, event: &Event, mode: Mode) -> Option<Outcome> {
    let vault = event.vault_host.vault();
    let vaults = &relay.config.vaults;
    if mode == Mode::Off {
        return Some(Outcome::new(
            Verdict::Unchanged,
            "not handled: the mode is `off`",
        ));
    }
    if event.vault_host.suffix() != relay.config.cloud.vault_suffix {
        let message = format!(
            "not handled: `{}` is not a vault of the configured cloud",
            event.vault_host
        );
        return Some(Outcome::new(Verdict::Refused, message));
    }
    if !vaults.is_empty() && !vaults.iter().any(|allowed| allowed == vault) {
        let message = format!("not handled: `vaults` does not list `{vault}`");
        return Some(Outcome::new(Verdict::Refused, message));
    }
    if !event.can_be_referenced() {
        let message = "not handled: no app setting can reference a key";
        return Some(Outcome::new(Verdict::Unchanged, message));
    }
    None
}

/// Reads the vault's list of versions. Without the right to do so nothing is known, which is no reason to stop.
///
/// Events that come together share an answer that was asked for after all of them.
pub(crate) async fn known_versions(
    relay: &Relay,
    vault: &VaultHost,
    secret: &SecretName,
    call: &Call,
) -> Arc<Versions> {
    let arrived = Instant::now();
    let ask = async {
        let versions = relay.key_vault.versions(vault, secret, call).await?;
        Ok::<_, AzureError>(Arc::new(
            versions.into_iter().filter_map(known_version).collect(),
        ))
    };
    let memory = relay
        .versions
        .of(&format!("{vault}/{secret}").to_lowercase());
    memory
        .recall(|asked| asked.moment >= arrived, ask)
        .await
        .unwrap_or_else(|error| {
            tracing::debug!(
                vault.host = vault.as_str(),
                secret.name = secret.as_str(),
                "the versions of the secret are not known: {}",
                chain(&error)
            );
            Arc::default()
        })
}

/// A version of unknown age cannot be put in order, so it counts as unknown.
fn known_version(info: SecretVersionInfo) -> Option<(SecretVersion, VersionAttributes)> {
    let SecretVersionInfo {
        version,
        enabled,
        created,
        not_before,
        expires,
    } = info;
    Some((
        version,
        VersionAttributes {
            enabled,
            created: created?,
            not_before,
            expires,
        },
    ))
}

/// How the event's version stands. Only a new version moves anything: the other events are about the one that is in use.
fn standing(event: &Event, versions: &Versions) -> Standing {
    let is_new = event.occurrence == Occurrence::NewVersionCreated;
    let Some(version) = event.version.as_ref().filter(|_| is_new) else {
        return Standing::Current;
    };
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    match (versions.standing(version, now), event.not_before) {
        // The event itself says so too, in case the vault may not be asked.
        (Standing::Current, Some(not_before)) if not_before > now => {
            Standing::NotYet { not_before }
        }
        (standing, _) => standing,
    }
}
