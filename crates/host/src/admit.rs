//! Whether an event is handled at all: mode, vault, kind, and how its version stands among the others.

use jiff::Timestamp;
use keyrelay_azure::{Call, Deadline, SecretVersionInfo};
use keyrelay_model::{Event, Occurrence, SecretVersion, Standing, Verdict, VersionAttributes, Versions};

use crate::config::Mode;
use crate::outcome::{Outcome, chain};
use crate::relay::Relay;

/// What becomes of an event.
pub(crate) enum Admission {
    /// It is handled, with this known of the secret's versions.
    Admitted(Versions),
    /// It ends here.
    Ended(Outcome),
}

/// Decides whether an event is handled.
pub(crate) async fn admit(relay: &Relay, event: &Event, mode: Mode, deadline: Deadline) -> Admission {
    if let Some(outcome) = without_asking(relay, event, mode) {
        return Admission::Ended(outcome);
    }
    let versions = known_versions(relay, event, deadline).await;
    match by_version(event, &versions) {
        Some(outcome) => Admission::Ended(outcome),
        None => Admission::Admitted(versions),
    }
}

fn without_asking(relay: &Relay, event: &Event, mode: Mode) -> Option<Outcome> {
    let vault = event.vault_host.vault();
    let vaults = &relay.config.vaults;
    if mode == Mode::Off {
        return Some(Outcome::new(Verdict::Unchanged, "not handled: the mode is `off`"));
    }
    if event.vault_host.suffix() != relay.config.cloud.vault_suffix {
        let message = format!("not handled: `{}` is not a vault of the configured cloud", event.vault_host);
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
async fn known_versions(relay: &Relay, event: &Event, deadline: Deadline) -> Versions {
    let call = Call::until(deadline);
    match relay.key_vault.versions(&event.vault_host, &event.name, &call).await {
        Ok(versions) => versions.into_iter().filter_map(known_version).collect(),
        Err(error) => {
            tracing::debug!(
                event.id = event.id,
                vault.host = event.vault_host.as_str(),
                secret.name = event.name.as_str(),
                "the versions of the secret are not known: {}",
                chain(&error)
            );
            Versions::default()
        }
    }
}

/// A version of unknown age cannot be put in order, so it counts as unknown.
fn known_version(info: SecretVersionInfo) -> Option<(SecretVersion, VersionAttributes)> {
    let SecretVersionInfo { version, enabled, created, not_before, expires } = info;
    Some((version, VersionAttributes { enabled, created: created?, not_before, expires }))
}

fn by_version(event: &Event, versions: &Versions) -> Option<Outcome> {
    // Only a new version moves anything. Near expiry and expired events are about the version that is in use.
    let version = event.version.as_ref().filter(|_| event.occurrence == Occurrence::NewVersionCreated)?;
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    let standing = match (versions.standing(version, now), event.not_before) {
        // The event itself says so too, in case the vault may not be asked.
        (Standing::Current, Some(not_before)) if not_before > now => Standing::NotYet { not_before },
        (standing, _) => standing,
    };
    match standing {
        Standing::Current => None,
        Standing::Superseded { by } => {
            let message = format!("not handled: version {by} is newer, and no app goes backwards");
            Some(Outcome::new(Verdict::Unchanged, message))
        }
        Standing::Disabled => {
            let message = "not handled: the version is disabled; enable it and resubmit the event";
            Some(Outcome::new(Verdict::Refused, message))
        }
        // Event Grid delivers again for 24 hours, and keeps the event as a dead letter after that.
        Standing::NotYet { not_before } => {
            let message = format!("the version is not valid before {}: deliver the event again", time(not_before));
            Some(Outcome::transient(message))
        }
    }
}

fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("second {seconds}"), |time| time.to_string())
}
