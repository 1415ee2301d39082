//! What is kept about an app: which version of which secret was applied to it. It belongs to the app's lease.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_model::{Announced, AppId, Event, SecretVersion, Versions};
use serde::{Deserialize, Serialize};

use crate::order::Order;
use crate::pending::app_key;
use crate::run_id::RunId;

/// How far the clocks of two instances may be apart.
const CLOCKS: Duration = Duration::from_secs(60);

/// The document beside an app's lease, `apps/<app>.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct AppState {
    /// By secret: `contoso-kv.vault.azure.net/sql`, in lower case.
    #[serde(default)]
    applied: BTreeMap<String, Applied>,
    /// By secret: the version that was taken back last, because it did not resolve.
    #[serde(default)]
    taken_back: BTreeMap<String, String>,
}

/// The newest version of one secret that was applied to the app.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Applied {
    version: String,
    /// When its event happened: seconds since 1970, and nanoseconds after them.
    time: u64,
    nanoseconds: u32,
    /// When it was applied, and in which run.
    at: Timestamp,
    run: RunId,
    /// What was applied before: what counts again if this one is taken back.
    #[serde(default)]
    before: Option<Box<Applied>>,
}

/// Where the lease and the state of an app are.
pub(crate) fn key(app: &AppId) -> String {
    format!("apps/{}.json", app_key(app))
}

impl AppState {
    /// The version that was applied before and is newer than the event's. The vault's list decides where it can; a
    /// version that is disabled, or gone, holds nothing back. One that was applied since the list was asked for is not
    /// gone: it was made since.
    pub(crate) fn newer_than(&self, order: &Order) -> Option<String> {
        let applied = self.applied.get(&secret(&order.event))?;
        let event = announced(order)?;
        applied
            .holds_back(&event, &order.versions, order.began)
            .then(|| applied.version.clone())
    }

    /// Whether the event's version was taken back, and nothing has been applied since.
    pub(crate) fn was_taken_back(&self, order: &Order) -> bool {
        let version = order.new_version().map(ToString::to_string);
        version.is_some() && self.taken_back.get(&secret(&order.event)) == version.as_ref()
    }

    /// Notes that the event's version was applied, or was found there.
    pub(crate) fn note(&mut self, order: &Order) {
        let Some(version) = order.new_version() else {
            return;
        };
        let key = secret(&order.event);
        let (same, before) = match self.applied.remove(&key) {
            Some(known) if known.version == version.as_str() => {
                ((known.time, known.nanoseconds), known.before)
            }
            Some(mut other) => {
                // One step back is what a patch that fails takes.
                other.before = None;
                ((0, 0), Some(Box::new(other)))
            }
            None => ((0, 0), None),
        };
        // Of several events for one version, the latest tells best what comes after it.
        let (time, nanoseconds) = same.max(order.event.moment());
        let (version, at, run) = (version.to_string(), Timestamp::now(), order.run.clone());
        self.taken_back.remove(&key);
        self.applied.insert(
            key,
            Applied {
                version,
                time,
                nanoseconds,
                at,
                run,
                before,
            },
        );
    }

    /// Notes that the event's version was taken back: what was applied before counts again.
    pub(crate) fn take_back(&mut self, order: &Order) {
        let Some(version) = order.new_version() else {
            return;
        };
        let key = secret(&order.event);
        if let Some(applied) = self.applied.remove(&key) {
            if applied.version != version.as_str() {
                self.applied.insert(key, applied);
                return;
            }
            if let Some(before) = applied.before {
                self.applied.insert(key.clone(), *before);
            }
        }
        self.taken_back.insert(key, version.to_string());
    }
}

impl Applied {
    /// Whether the event's version is older. `asked` is when the list was asked for, or earlier.
    fn holds_back(&self, event: &Announced<'_>, versions: &Versions, asked: Timestamp) -> bool {
        let Ok(version) = self.version.parse::<SecretVersion>() else {
            return false;
        };
        let list_is_older = || self.at > asked.checked_sub(CLOCKS).unwrap_or(Timestamp::MIN);
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

/// The event's version with the event's moment.
pub(crate) fn announced(order: &Order) -> Option<Announced<'_>> {
    Some(Announced {
        version: order.new_version()?,
        moment: order.event.moment(),
    })
}

/// A secret, in a text that compares as secrets do.
pub(crate) fn secret(event: &Event) -> String {
    format!("{}/{}", event.vault_host, event.name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use keyrelay_model::VersionAttributes;

    use super::*;

    const OLD: &str = "00000000000000000000000000000001";
    const NEW: &str = "00000000000000000000000000000002";

    /// Whether the newer version, applied at ten o'clock, holds the older one back, for a list that was asked for then.
    fn holds_back(list: &[(&str, bool)], asked: &str) -> bool {
        let at = |text: &str| format!("2026-11-23T{text}Z").parse().unwrap();
        let applied = Applied {
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
        applied.holds_back(
            &Announced {
                version: &old,
                moment: (10, 0),
            },
            &list.collect(),
            at(asked),
        )
    }

    #[test]
    fn an_older_version_is_held_back_with_a_list_and_without() {
        assert!(holds_back(&[(OLD, true), (NEW, true)], "11:00:00"));
        assert!(holds_back(&[], "11:00:00"));
    }

    #[test]
    fn a_version_that_is_disabled_or_gone_holds_nothing_back() {
        assert!(!holds_back(&[(OLD, true), (NEW, false)], "11:00:00"));
        assert!(!holds_back(&[(OLD, true)], "11:00:00"));
    }

    #[test]
    fn a_version_that_was_made_since_the_list_was_asked_for_is_not_gone() {
        assert!(holds_back(&[(OLD, true)], "09:59:58"));
        // By another clock.
        assert!(holds_back(&[(OLD, true)], "10:00:40"));
    }
}
