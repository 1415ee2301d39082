//! What is kept about an app: which version of which secret was applied to it. It belongs to the app's lease.

use std::collections::BTreeMap;

use jiff::Timestamp;
use keyrelay_model::{Announced, AppId, Event, SecretVersion, Versions};
use serde::{Deserialize, Serialize};

use crate::order::Order;
use crate::pending::app_key;
use crate::run_id::RunId;

/// The document beside an app's lease, `apps/<app>.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct AppState {
    /// By secret: `contoso-kv.vault.azure.net/sql`, in lower case.
    #[serde(default)]
    applied: BTreeMap<String, Applied>,
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
}

/// Where the lease and the state of an app are.
pub(crate) fn key(app: &AppId) -> String {
    format!("apps/{}.json", app_key(app))
}

impl AppState {
    /// The version that was applied before and is newer than the event's. The vault's list decides where it can; a
    /// version that is disabled, or gone, holds nothing back.
    pub(crate) fn newer_than(&self, order: &Order) -> Option<String> {
        let version = order.new_version()?;
        let applied = self.applied.get(&secret(&order.event))?;
        let newer: SecretVersion = applied.version.parse().ok()?;
        let usable =
            order.versions.is_empty() || order.versions.get(&newer).is_some_and(|attributes| attributes.enabled);
        (usable && newer != *version && is_later(&order.versions, applied.announced(&newer), order))
            .then_some(applied.version.clone())
    }

    /// Notes that the event's version was applied, or was found there.
    pub(crate) fn note(&mut self, order: &Order) {
        let Some(version) = order.new_version() else { return };
        let known = self.applied.get(&secret(&order.event)).filter(|known| known.version == version.as_str());
        // Of several events for one version, the latest tells best what comes after it.
        let (time, nanoseconds) =
            known.map_or((0, 0), |known| (known.time, known.nanoseconds)).max(order.event.moment());
        let applied =
            Applied { version: version.to_string(), time, nanoseconds, at: Timestamp::now(), run: order.run.clone() };
        self.applied.insert(secret(&order.event), applied);
    }

    /// Notes that the event's version was taken back.
    pub(crate) fn forget(&mut self, order: &Order) {
        let key = secret(&order.event);
        let version = order.new_version().map(ToString::to_string);
        if self.applied.get(&key).is_some_and(|applied| Some(&applied.version) == version.as_ref()) {
            self.applied.remove(&key);
        }
    }
}

impl Applied {
    fn announced<'a>(&self, version: &'a SecretVersion) -> Announced<'a> {
        Announced { version, moment: (self.time, self.nanoseconds) }
    }
}

fn is_later(versions: &Versions, applied: Announced<'_>, order: &Order) -> bool {
    announced(order).is_some_and(|event| versions.comes_after(&applied, &event))
}

/// The event's version with the event's moment.
pub(crate) fn announced(order: &Order) -> Option<Announced<'_>> {
    Some(Announced { version: order.new_version()?, moment: order.event.moment() })
}

/// A secret, in a text that compares as secrets do.
pub(crate) fn secret(event: &Event) -> String {
    format!("{}/{}", event.vault_host, event.name).to_lowercase()
}
