//! The state of an app: the versions of secrets that were applied to it. It is the document of the
//! app's lease.

mod refreshes;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_model::{
    Announced, AppId, Event, Occurrence, RefreshProgress, Relation, SecretVersion, Versions,
};
use serde::{Deserialize, Serialize};

use crate::pending::app_key;
use crate::run_id::RunId;
pub use refreshes::RefreshCoverage;
use refreshes::Refreshes;

/// The largest difference between the times of two instances: both are of the clock of the store.
const CLOCKS: Duration = Duration::from_secs(60);

/// The document beside an app's lease, `apps/<app>.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct AppState {
    /// By secret: `contoso-kv.vault.azure.net/sql`, in lower case.
    #[serde(default)]
    applied: BTreeMap<String, AppliedVersion>,
    /// By secret: the version that was rolled back last, because it did not resolve.
    #[serde(default, alias = "taken_back")]
    rolled_back: BTreeMap<String, String>,
    #[serde(default)]
    refreshes: Refreshes,
}

/// The newest version of one secret that was applied to the app.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct AppliedVersion {
    version: String,
    /// The time of its event: seconds since 1970, and nanoseconds after them.
    time: u64,
    nanoseconds: u32,
    /// The time at which it was applied, and the run.
    at: Timestamp,
    run: RunId,
    /// The version that was applied before. It counts again if this one is rolled back.
    #[serde(default)]
    before: Option<Box<AppliedVersion>>,
}

/// Returns the key of the lease and the state of an app.
pub fn key(app: &AppId) -> String {
    format!("apps/{}.json", app_key(app))
}

impl AppState {
    /// Returns the version that was applied before, if it is newer than the event's.
    ///
    /// The vault's list of versions decides where it can. A version that is disabled or deleted
    /// supersedes nothing. One that is missing from the list and was applied after `listed_at`, the
    /// time of the list, is not deleted: it is newer than the list.
    pub fn newer_than(
        &self,
        event: &Event,
        versions: &Versions,
        listed_at: Timestamp,
    ) -> Option<String> {
        let applied = self.applied.get(&secret(event))?;
        let event = announced(event)?;
        applied
            .supersedes(&event, versions, listed_at)
            .then(|| applied.version.clone())
    }

    /// Whether the event's version was rolled back, and nothing has been applied since; or another
    /// one of the same second, which the vault does not order against it.
    pub fn was_rolled_back(&self, event: &Event, versions: &Versions) -> bool {
        let rolled_back = self.rolled_back.get(&secret(event));
        let rolled_back = rolled_back.and_then(|it| it.parse::<SecretVersion>().ok());
        let Some((rolled_back, version)) = rolled_back.zip(new_version(event)) else {
            return false;
        };
        let is_unordered =
            || versions.relation(version, &rolled_back, u64::MAX) == Relation::SameSecond;
        rolled_back == *version || is_unordered()
    }

    /// Records that the event's version was applied, or was found in the app, at this time of the
    /// store's clock.
    pub fn record_applied(&mut self, event: &Event, run: &RunId, at: Timestamp) {
        let Some(version) = new_version(event) else {
            return;
        };
        let key = secret(event);
        let (same, before) = match self.applied.remove(&key) {
            Some(known) if known.version == version.as_str() => {
                ((known.time, known.nanoseconds), known.before)
            }
            Some(mut other) => {
                // A rollback goes one step back.
                other.before = None;
                ((0, 0), Some(Box::new(other)))
            }
            None => ((0, 0), None),
        };
        // Of several events for one version, the latest orders it best against the next version.
        let (time, nanoseconds) = same.max(event.moment());
        let (version, run) = (version.to_string(), run.clone());
        self.rolled_back.remove(&key);
        self.applied.insert(
            key,
            AppliedVersion {
                version,
                time,
                nanoseconds,
                at,
                run,
                before,
            },
        );
    }

    /// Returns the version of a secret, `<vault host>/<name>` in lower case, that was applied last,
    /// with the time and the run.
    pub fn last_applied(&self, secret: &str) -> Option<(&str, Timestamp, &RunId)> {
        let applied = self.applied.get(secret)?;
        Some((&applied.version, applied.at, &applied.run))
    }

    /// Returns the refreshes for an event so far, and notes that the event is known.
    pub fn refresh_progress(&mut self, event: &Event, now: Timestamp) -> RefreshProgress {
        self.refreshes.learn(event, now)
    }

    /// Starts the count of refreshes for an event again, for an operator who resubmits it, unless one
    /// is due anyway.
    pub fn restart_refreshes(&mut self, event: &Event, between: Duration) {
        self.refreshes.restart(event, between);
    }

    /// Records, before it is sent, a refresh for these events. Other secrets whose second refresh is
    /// due, `between` after their first, share it. A write of settings counts as one.
    pub fn begin_refresh(&mut self, events: &[&Event], now: Timestamp, between: Duration) {
        self.refreshes.begin(events, now, between);
    }

    /// Records that Azure accepted the refresh that began at `began`, at the time `now`.
    pub fn accept_refresh(&mut self, began: Timestamp, now: Timestamp) {
        self.refreshes.accept(began, now);
    }

    /// Records that Azure refused the refresh that began at `began`.
    pub fn withdraw_refresh(&mut self, began: Timestamp) {
        self.refreshes.withdraw(began);
    }

    /// What the refreshes say about a version of a secret, `<vault host>/<name>` in lower case, that
    /// exists `since`. A refresh for another secret counts, too, if it came at least `between` after
    /// that.
    pub fn refresh_coverage(
        &self,
        secret: &str,
        version: &SecretVersion,
        since: Timestamp,
        between: Duration,
    ) -> RefreshCoverage {
        self.refreshes
            .coverage(secret, version.as_str(), since, between)
    }

    /// Records that the event's version was rolled back. The version that was applied before counts
    /// again.
    pub fn roll_back(&mut self, event: &Event) {
        let Some(version) = new_version(event) else {
            return;
        };
        let key = secret(event);
        if let Some(applied) = self.applied.remove(&key) {
            if applied.version != version.as_str() {
                self.applied.insert(key, applied);
                return;
            }
            if let Some(before) = applied.before {
                self.applied.insert(key.clone(), *before);
            }
        }
        self.rolled_back.insert(key, version.to_string());
    }
}

impl AppliedVersion {
    /// Whether the event's version is older. `listed_at` is the time of the list, or an earlier
    /// one.
    fn supersedes(&self, event: &Announced<'_>, versions: &Versions, listed_at: Timestamp) -> bool {
        let Ok(version) = self.version.parse::<SecretVersion>() else {
            return false;
        };
        let list_is_older = || self.at > listed_at.checked_sub(CLOCKS).unwrap_or(Timestamp::MIN);
        let is_usable = versions.is_empty()
            || versions
                .get(&version)
                .map_or_else(list_is_older, |attributes| attributes.enabled);
        is_usable
            && version != *event.version
            && versions.comes_after(&self.announced(&version), event)
    }

    fn announced<'a>(&self, version: &'a SecretVersion) -> Announced<'a> {
        Announced {
            version,
            moment: (self.time, self.nanoseconds),
        }
    }
}

/// Returns the new version that an event announces. None for other events.
pub fn new_version(event: &Event) -> Option<&SecretVersion> {
    event
        .version
        .as_ref()
        .filter(|_| event.occurrence == Occurrence::NewVersionCreated)
}

/// Returns the event's version with the time of the event.
pub fn announced(event: &Event) -> Option<Announced<'_>> {
    Some(Announced {
        version: new_version(event)?,
        moment: event.moment(),
    })
}

/// Returns a text for the secret of an event that compares as secrets do.
pub fn secret(event: &Event) -> String {
    format!("{}/{}", event.vault_host, event.name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use keyrelay_model::VersionAttributes;

    use super::*;

    const OLD: &str = "00000000000000000000000000000001";
    const NEW: &str = "00000000000000000000000000000002";

    /// Whether the newer version, applied at ten o'clock, supersedes the older one, for a list read
    /// at `listed_at`.
    fn supersedes(list: &[(&str, bool)], listed_at: &str) -> bool {
        let at = |text: &str| format!("2026-11-23T{text}Z").parse().unwrap();
        let applied = AppliedVersion {
            version: NEW.to_owned(),
            time: 20,
            nanoseconds: 0,
            at: at("10:00:00"),
            run: RunId::at(at("10:00:00")),
            before: None,
        };
        let attributes = |enabled| VersionAttributes {
            enabled,
            created: 10,
            not_before: None,
            expires: None,
        };
        let list = list
            .iter()
            .map(|(version, enabled)| (version.parse().unwrap(), attributes(*enabled)));
        let old: SecretVersion = OLD.parse().unwrap();
        applied.supersedes(
            &Announced {
                version: &old,
                moment: (10, 0),
            },
            &list.collect(),
            at(listed_at),
        )
    }

    #[test]
    fn an_older_version_is_superseded_with_a_list_and_without() {
        assert!(supersedes(&[(OLD, true), (NEW, true)], "11:00:00"));
        assert!(supersedes(&[], "11:00:00"));
    }

    #[test]
    fn a_version_that_is_disabled_or_deleted_supersedes_nothing() {
        assert!(!supersedes(&[(OLD, true), (NEW, false)], "11:00:00"));
        assert!(!supersedes(&[(OLD, true)], "11:00:00"));
    }

    #[test]
    fn a_version_that_is_newer_than_the_list_is_not_deleted() {
        assert!(supersedes(&[(OLD, true)], "09:59:58"));
        // By another clock.
        assert!(supersedes(&[(OLD, true)], "10:00:40"));
    }

    #[test]
    fn the_state_of_an_earlier_version_is_read() {
        let event = |version: &str| Event {
            id: "e-1".to_owned(),
            vault_host: "contoso-kv.vault.azure.net".parse().unwrap(),
            kind: keyrelay_model::ObjectKind::Secret,
            name: "sql".parse().unwrap(),
            occurrence: Occurrence::NewVersionCreated,
            version: Some(version.parse().unwrap()),
            time: 10,
            nanoseconds: 0,
            is_time_of_arrival: false,
            not_before: None,
            expires: None,
        };
        // As keyrelay 0.1.0 wrote it before "taken_back" became `rolled_back`.
        let before = serde_json::json!({
            "applied": {
                "contoso-kv.vault.azure.net/sql": {
                    "version": OLD,
                    "time": 10,
                    "nanoseconds": 0,
                    "at": "2026-11-23T10:00:00Z",
                    "run": "20261123T100000000Z-1f3a9c2d",
                    "before": null
                }
            },
            "taken_back": { "contoso-kv.vault.azure.net/sql": NEW }
        });
        let mut state: AppState = serde_json::from_value(before).unwrap();
        let none = Versions::default();
        assert!(
            state.was_rolled_back(&event(NEW), &none) && !state.was_rolled_back(&event(OLD), &none)
        );
        let run = RunId::at(Timestamp::UNIX_EPOCH);
        state.record_applied(&event(NEW), &run, Timestamp::now());
        assert!(!state.was_rolled_back(&event(NEW), &none));
        state.roll_back(&event(NEW));
        let written = serde_json::to_value(&state).unwrap();
        assert_eq!(
            written["rolled_back"]["contoso-kv.vault.azure.net/sql"],
            NEW
        );
        assert_eq!(
            written["applied"]["contoso-kv.vault.azure.net/sql"]["version"],
            OLD
        );
        assert!(written.get("taken_back").is_none());
    }
}
