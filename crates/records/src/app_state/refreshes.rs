//! The refreshes of an app, for each secret: the evidence where Azure names no version, and the
//! count that limits them across instances and restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_model::{Event, MAX_REFRESHES, PastRefresh, RefreshProgress};
use serde::{Deserialize, Serialize};

use super::{new_version, secret};

/// Largest number of versions of one secret whose refreshes are kept.
const KEPT: usize = 8;

/// The refreshes of an app.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Refreshes {
    /// By secret, then by version, or by the id of an event that announces none.
    #[serde(default)]
    by_secret: BTreeMap<String, BTreeMap<String, VersionRefreshes>>,
    /// The beginning of the last refresh that Azure accepted, for any secret.
    #[serde(default)]
    last: Option<Timestamp>,
}

/// The refreshes for one version of one secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct VersionRefreshes {
    /// The time at which keyrelay learned of it.
    known: Timestamp,
    /// Oldest first, at most [`MAX_REFRESHES`].
    refreshes: Vec<RecordedRefresh>,
}

/// One refresh, or one write of settings, which makes Azure resolve all references too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedRefresh {
    /// The time at which it began.
    at: Timestamp,
    /// Whether Azure accepted it. It is recorded before it is sent.
    accepted: bool,
}

impl Refreshes {
    /// Notes that an event is known, and returns the refreshes for it. Those for an earlier version
    /// do not count.
    pub(super) fn learn(&mut self, event: &Event, now: Timestamp) -> RefreshProgress {
        let refreshes = self.of(event, now);
        let age = |at: Timestamp| Duration::try_from(now.duration_since(at)).unwrap_or_default();
        RefreshProgress {
            known_for: age(refreshes.known),
            refreshes: refreshes
                .refreshes
                .iter()
                .map(|it| PastRefresh {
                    age: age(it.at),
                    is_accepted: it.accepted,
                })
                .collect(),
        }
    }

    /// Starts the count again: an operator has resubmitted the event.
    pub(super) fn forget(&mut self, event: &Event) {
        if let Some(versions) = self.by_secret.get_mut(&secret(event)) {
            versions.remove(&key(event));
        }
    }

    /// Records a refresh that is about to begin at `now`, for these events and for every other
    /// secret of the app that waits for another one.
    pub(super) fn begin(&mut self, events: &[&Event], now: Timestamp, between: Duration) {
        for event in events {
            self.of(event, now).push(now);
        }
        for refreshes in self.all() {
            if refreshes.waits_for_another(now, between) {
                refreshes.push(now);
            }
        }
    }

    /// Records that Azure accepted the refresh that began at `began`.
    pub(super) fn accept(&mut self, began: Timestamp) {
        for refresh in self.all().flat_map(|it| &mut it.refreshes) {
            refresh.accepted |= refresh.at == began;
        }
        self.last = Some(began);
    }

    /// Records that the refresh that began at `began` was refused: it does not count.
    pub(super) fn withdraw(&mut self, began: Timestamp) {
        for refreshes in self.all() {
            refreshes.refreshes.retain(|it| it.at != began);
        }
    }

    /// Whether the refreshes for a version of a secret have begun, or any refresh of the app came
    /// after `since`.
    pub(super) fn cover(&self, secret: &str, version: &str, since: Timestamp) -> bool {
        let versions = self.by_secret.get(secret);
        let of_version = versions
            .and_then(|versions| versions.get(version))
            .is_some_and(|it| !it.refreshes.is_empty());
        of_version || self.last.is_some_and(|last| last > since)
    }

    fn all(&mut self) -> impl Iterator<Item = &mut VersionRefreshes> {
        self.by_secret.values_mut().flat_map(BTreeMap::values_mut)
    }

    fn of(&mut self, event: &Event, now: Timestamp) -> &mut VersionRefreshes {
        let (of, versions) = (key(event), self.by_secret.entry(secret(event)).or_default());
        if versions.len() >= KEPT && !versions.contains_key(&of) {
            let oldest = versions.iter().min_by_key(|(_, it)| it.known);
            if let Some(oldest) = oldest.map(|(of, _)| of.clone()) {
                versions.remove(&oldest);
            }
        }
        versions.entry(of).or_insert_with(|| VersionRefreshes {
            known: now,
            refreshes: Vec::new(),
        })
    }
}

/// The version that an event announces, or else its id.
fn key(event: &Event) -> String {
    new_version(event).map_or_else(|| event.id.clone(), ToString::to_string)
}

impl VersionRefreshes {
    fn push(&mut self, now: Timestamp) {
        if self.refreshes.len() < MAX_REFRESHES {
            self.refreshes.push(RecordedRefresh {
                at: now,
                accepted: false,
            });
        }
    }

    /// Whether a single refresh has begun, and another one is due.
    fn waits_for_another(&self, now: Timestamp, between: Duration) -> bool {
        match self.refreshes.as_slice() {
            [only] => {
                let age = Duration::try_from(now.duration_since(only.at));
                age.is_ok_and(|age| age >= between)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use keyrelay_model::{ObjectKind, Occurrence};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn event(secret: &str, version: Option<&str>) -> Event {
        Event {
            id: format!("event-{secret}"),
            vault_host: "contoso-kv.vault.azure.net".parse().unwrap(),
            kind: ObjectKind::Secret,
            name: secret.parse().unwrap(),
            occurrence: Occurrence::NewVersionCreated,
            version: version.map(|version| version.parse().unwrap()),
            time: 0,
            nanoseconds: 0,
            not_before: None,
            expires: None,
        }
    }

    fn ages(refreshes: &mut Refreshes, event: &Event, now: i64) -> Vec<(u64, bool)> {
        let progress = refreshes.learn(event, at(now));
        progress
            .refreshes
            .iter()
            .map(|it| (it.age.as_secs(), it.is_accepted))
            .collect()
    }

    const BETWEEN: Duration = Duration::from_secs(20);

    #[test]
    fn refreshes_are_counted_for_each_version() {
        let (mut refreshes, first) = (Refreshes::default(), event("sql", Some("1")));
        assert_eq!(refreshes.learn(&first, at(0)), RefreshProgress::default());
        refreshes.begin(&[&first], at(1), BETWEEN);
        assert_eq!(ages(&mut refreshes, &first, 5), [(4, false)]);
        refreshes.accept(at(1));
        refreshes.begin(&[&first], at(6), BETWEEN);
        refreshes.withdraw(at(6));
        assert_eq!(ages(&mut refreshes, &first, 9), [(8, true)]);
        assert_eq!(refreshes.learn(&first, at(9)).known_for.as_secs(), 9);
        assert!(ages(&mut refreshes, &event("sql", Some("2")), 9).is_empty());
        // The other version is still known: two events do not make each other start again.
        assert_eq!(ages(&mut refreshes, &first, 9), [(8, true)]);
    }

    #[test]
    fn never_more_than_three_are_recorded() {
        let (mut refreshes, event) = (Refreshes::default(), event("sql", None));
        for second in 0..9 {
            refreshes.begin(&[&event], at(second), BETWEEN);
        }
        assert_eq!(ages(&mut refreshes, &event, 9).len(), MAX_REFRESHES);
        refreshes.forget(&event);
        assert!(ages(&mut refreshes, &event, 9).is_empty());
    }

    #[test]
    fn one_refresh_serves_every_secret_that_waits_for_it() {
        let (a, b) = (event("a", Some("1")), event("b", Some("1")));
        let mut refreshes = Refreshes::default();
        refreshes.begin(&[&a], at(0), BETWEEN);
        refreshes.accept(at(0));
        refreshes.begin(&[&b], at(10), BETWEEN);
        assert_eq!(ages(&mut refreshes, &a, 10).len(), 1);
        refreshes.begin(&[&b], at(30), BETWEEN);
        assert_eq!(ages(&mut refreshes, &a, 30), [(30, true), (0, false)]);
        assert_eq!(ages(&mut refreshes, &b, 30).len(), 2);
    }

    #[test]
    fn a_version_is_covered_by_its_own_refresh_or_a_later_one() {
        let (sql, secret) = (event("sql", Some("1")), "contoso-kv.vault.azure.net/sql");
        let mut refreshes = Refreshes::default();
        assert!(!refreshes.cover(secret, "1", at(0)));
        refreshes.begin(&[&sql], at(5), BETWEEN);
        assert!(refreshes.cover(secret, "1", at(9)));
        assert!(!refreshes.cover(secret, "2", at(0)));
        refreshes.accept(at(5));
        assert!(refreshes.cover(secret, "2", at(0)));
        assert!(!refreshes.cover(secret, "2", at(5)));
    }
}
