//! Admits an event: by mode, vault and kind, and by the position of its version among the others.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::Call;
use keyrelay_config::{Config, Mode, Route};
use keyrelay_model::{Event, Occurrence, Standing, Verdict, Versions};
use keyrelay_records::{NewestVersion, Outcome, SecretChange};

use super::time_budget::TimeBudget;
use super::trigger::Trigger;
use crate::index::secret_of;
use crate::services::Services;
use crate::versions::known_versions;

/// The result of admission.
pub(crate) enum Admission<'a> {
    /// The event is handled.
    Admitted(Admitted<'a>),
    /// The event is handled when its version becomes valid, in seconds since 1970.
    NotYetValid(u64),
    /// The event is not handled.
    Rejected(Outcome),
}

/// An event that is handled.
pub(crate) struct Admitted<'a> {
    pub(crate) event: &'a Event,
    pub(crate) trigger: &'a Trigger,
    pub(crate) route: Route<'a>,
    /// The vault's list of versions.
    pub(crate) versions: Arc<Versions>,
    /// The outcome if resumed work has written nothing: the event would be rejected by now.
    pub(crate) outcome_unless_written: Option<Outcome>,
}

/// Decides whether an event is handled.
pub(crate) async fn admit<'a>(
    services: &Services,
    event: &'a Event,
    trigger: &'a Trigger,
    route: Route<'a>,
    budget: TimeBudget,
    call: &Call,
) -> Admission<'a> {
    let rejected = rejection(services, event, route.mode);
    if let (Some(outcome), false) = (&rejected, trigger.owes_verification()) {
        return Admission::Rejected(outcome.clone());
    }
    let call = call.with_deadline(budget.versions());
    // The apps that one event has left are resumed one by one, within a few seconds.
    let age = match trigger.resumed {
        Some(_) => services.config.refresh_timing.written(),
        None => Duration::ZERO,
    };
    let versions = known_versions(services, &event.vault_host, &event.name, age, &call).await;
    note_newest(services, event, &versions);
    let rejected = match rejected {
        Some(outcome) => Err(outcome),
        None => check_version(event, &versions, services.now()),
    };
    let outcome_unless_written = match rejected {
        Ok(Some(not_before)) => return Admission::NotYetValid(not_before),
        Ok(None) => None,
        Err(outcome) if trigger.owes_verification() => Some(outcome),
        Err(outcome) => return Admission::Rejected(outcome),
    };
    Admission::Admitted(Admitted {
        event,
        trigger,
        route,
        versions,
        outcome_unless_written,
    })
}

/// Notes the newest version for the index: that of the vault's list, or else that of the event.
fn note_newest(services: &Services, event: &Event, versions: &Versions) {
    let now = u64::try_from(services.now().as_second()).unwrap_or_default();
    let change = match versions.is_empty() {
        true => NewestVersion::announced(event, now).map(SecretChange::Announced),
        false => NewestVersion::of(versions, now).map(SecretChange::Newest),
    };
    if let Some(change) = change {
        services.index.note_secret(&secret_of(event), change);
    }
}

/// The outcome of an event that is rejected without any request.
fn rejection(services: &Services, event: &Event, mode: Mode) -> Option<Outcome> {
    if mode == Mode::Off {
        let message = "not handled: the mode is `off`";
        return Some(Outcome::new(Verdict::Unchanged, message));
    }
    if let Some(refused) = refused_vault(&services.config, event) {
        return Some(refused);
    }
    if !event.can_be_referenced() {
        let message = "not handled: no app setting can reference a key";
        return Some(Outcome::new(Verdict::Unchanged, message));
    }
    None
}

/// The outcome of an event whose vault is not allowed.
pub(crate) fn refused_vault(config: &Config, event: &Event) -> Option<Outcome> {
    let vault = event.vault_host.vault();
    let message = if event.vault_host.suffix() != config.cloud.vault_suffix {
        let host = &event.vault_host;
        format!("not handled: `{host}` is not a vault of the configured cloud")
    } else if !config.accepts_vault(vault) {
        format!("not handled: `vaults` does not list `{vault}`")
    } else {
        return None;
    };
    Some(Outcome::new(Verdict::Refused, message))
}

/// Checks the event's version against the vault's list. Returns the time before which it is not
/// valid, in seconds since 1970, and an error if it is not to be applied at all.
fn check_version(
    event: &Event,
    versions: &Versions,
    now: Timestamp,
) -> Result<Option<u64>, Outcome> {
    match standing(event, versions, now) {
        Standing::Current => Ok(None),
        Standing::NotYet { not_before } => Ok(Some(not_before)),
        Standing::Superseded { by } => {
            let message = format!(
                "not handled: version {by} is newer, and keyrelay never moves an app to an older version"
            );
            Err(Outcome::new(Verdict::Unchanged, message))
        }
        Standing::Disabled => {
            let message = "not handled: the version is disabled; enable it and resubmit the run";
            Err(Outcome::new(Verdict::Refused, message))
        }
    }
}

/// The position of the event's version. Only a new version changes an app: the other events are
/// about the version in use.
fn standing(event: &Event, versions: &Versions, now: Timestamp) -> Standing {
    let is_new = event.occurrence == Occurrence::NewVersionCreated;
    let Some(version) = event.version.as_ref().filter(|_| is_new) else {
        return Standing::Current;
    };
    let now = u64::try_from(now.as_second()).unwrap_or_default();
    if let Some(by) = versions.newest_without(version, event.time, now) {
        return Standing::Superseded { by: by.clone() };
    }
    match (versions.standing(version, now), event.not_before) {
        // The event has the date too, and the list may be unreadable.
        (Standing::Current, Some(not_before)) if not_before > now => {
            Standing::NotYet { not_before }
        }
        (standing, _) => standing,
    }
}
