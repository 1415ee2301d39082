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

/// Largest number of refreshes that are kept for one version. There are more than [`MAX_REFRESHES`]
/// only if the app was written for other reasons.
const RECORDED: usize = 2 * MAX_REFRESHES;

/// What the refreshes of an app say about a version of a secret, from the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefreshCoverage {
    /// Another refresh is due.
    Missing,
    /// No other refresh is allowed, and Azure has not confirmed enough of them.
    Exhausted,
    /// Azure has confirmed enough of them: they are evidence.
    Refreshed,
}

/// The refreshes of an app.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Refreshes {
    /// By secret, then by version, or by the id of an event that announces none.
    #[serde(default)]
    by_secret: BTreeMap<String, BTreeMap<String, VersionRefreshes>>,
    /// The time at which Azure accepted the last refresh, for any secret.
    #[serde(default)]
    last: Option<Timestamp>,
}

/// The refreshes for one version of one secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct VersionRefreshes {
    /// The time at which keyrelay learned of it.
    known: Timestamp,
    /// Oldest first, at most [`RECORDED`].
    refreshes: Vec<RecordedRefresh>,
}

/// One refresh, or one write of settings, which makes Azure resolve all references too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedRefresh {
    /// The time at which it began, or at which Azure accepted it.
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

    /// Starts the count again if no other refresh is due: an operator has resubmitted the event. If
    /// one is due, the count goes on, so that a run that begins twice does not start it twice.
    pub(super) fn restart(&mut self, event: &Event, between: Duration) {
        if let Some(versions) = self.by_secret.get_mut(&secret(event)) {
            versions.retain(|version, it| {
                *version != key(event) || it.coverage(between) == RefreshCoverage::Missing
            });
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

    /// Records that Azure accepted the refresh that began at `began`, at the time `now`: it counts
    /// from then, because the request may have waited for its turn.
    pub(super) fn accept(&mut self, began: Timestamp, now: Timestamp) {
        for refresh in self.all().flat_map(|it| &mut it.refreshes) {
            if refresh.at == began {
                *refresh = RecordedRefresh {
                    at: now,
                    accepted: true,
                };
            }
        }
        self.last = Some(now);
    }

    /// Records that the refresh that began at `began` was refused: it does not count.
    pub(super) fn withdraw(&mut self, began: Timestamp) {
        for refreshes in self.all() {
            refreshes.refreshes.retain(|it| it.at != began);
        }
    }

    /// What the refreshes say about a version of a secret that exists `since`: its own ones, or any
    /// refresh of the app that came well after that.
    pub(super) fn coverage(
        &self,
        secret: &str,
        version: &str,
        since: Timestamp,
        between: Duration,
    ) -> RefreshCoverage {
        let is_late = |last: Timestamp| is_later(since, last, between);
        if self.last.is_some_and(is_late) {
            return RefreshCoverage::Refreshed;
        }
        let versions = self.by_secret.get(secret);
        let of_version = versions.and_then(|versions| versions.get(version));
        of_version.map_or(RefreshCoverage::Missing, |it| it.coverage(between))
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
    /// Adds a refresh. Several events of one version share it. There may be more than the limit: a
    /// write for another secret counts, too.
    fn push(&mut self, now: Timestamp) {
        if self.refreshes.last().is_some_and(|last| last.at == now) {
            return;
        }
        // The first one and the last ones are the evidence.
        if self.refreshes.len() >= RECORDED {
            self.refreshes.remove(1);
        }
        self.refreshes.push(RecordedRefresh {
            at: now,
            accepted: false,
        });
    }

    fn coverage(&self, between: Duration) -> RefreshCoverage {
        let accepted = self.refreshes.iter().filter(|it| it.accepted);
        let mut times = accepted.map(|it| it.at);
        let (first, last) = (times.next(), times.next_back());
        let last = last.or(first);
        let is_evidence =
            |since: Timestamp| last.is_some_and(|last| is_later(since, last, between));
        if is_evidence(self.known) || first.is_some_and(is_evidence) {
            RefreshCoverage::Refreshed
        } else if self.refreshes.len() >= MAX_REFRESHES {
            RefreshCoverage::Exhausted
        } else {
            RefreshCoverage::Missing
        }
    }

    /// Whether a single refresh has begun, and another one is due.
    fn waits_for_another(&self, now: Timestamp, between: Duration) -> bool {
        matches!(self.refreshes.as_slice(), [only] if is_later(only.at, now, between))
    }
}

/// Whether `later` comes at least `between` after `since`.
fn is_later(since: Timestamp, later: Timestamp, between: Duration) -> bool {
    let elapsed = Duration::try_from(later.duration_since(since));
    elapsed.is_ok_and(|elapsed| elapsed >= between)
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
            is_time_of_arrival: false,
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
        refreshes.accept(at(1), at(2));
        refreshes.begin(&[&first], at(6), BETWEEN);
        refreshes.withdraw(at(6));
        assert_eq!(ages(&mut refreshes, &first, 9), [(7, true)]);
        assert_eq!(refreshes.learn(&first, at(9)).known_for.as_secs(), 9);
        assert!(ages(&mut refreshes, &event("sql", Some("2")), 9).is_empty());
        // The other version is still known: two events do not make each other start again.
        assert_eq!(ages(&mut refreshes, &first, 9), [(7, true)]);
    }

    #[test]
    fn the_number_of_recorded_refreshes_is_limited() {
        let (mut refreshes, event) = (Refreshes::default(), event("sql", None));
        for second in 0..9 {
            refreshes.begin(&[&event], at(second), BETWEEN);
        }
        let recorded = ages(&mut refreshes, &event, 9);
        assert_eq!(recorded.len(), RECORDED);
        assert_eq!(
            (recorded[0], recorded[RECORDED - 1]),
            ((9, false), (1, false))
        );
        refreshes.restart(&event, BETWEEN);
        assert!(ages(&mut refreshes, &event, 9).is_empty());
        refreshes.begin(&[&event], at(10), BETWEEN);
        refreshes.restart(&event, BETWEEN);
        assert_eq!(ages(&mut refreshes, &event, 11).len(), 1);
    }

    #[test]
    fn a_write_for_another_secret_takes_nothing_away() {
        let (a, b) = (event("a", Some("1")), event("b", Some("1")));
        let mut refreshes = Refreshes::default();
        for (second, is_accepted) in [(0, false), (20, false), (40, true)] {
            refreshes.begin(&[&a], at(second), BETWEEN);
            if is_accepted {
                refreshes.accept(at(second), at(second));
            }
        }
        refreshes.begin(&[&a, &b], at(58), BETWEEN);
        let with_write = [(58, false), (38, false), (18, true), (0, false)];
        assert_eq!(ages(&mut refreshes, &a, 58), with_write);
        refreshes.withdraw(at(58));
        assert_eq!(ages(&mut refreshes, &a, 58), with_write[..3]);
    }

    #[test]
    fn three_that_azure_has_not_confirmed_are_no_evidence_and_no_other_is_due() {
        let (sql, secret) = (event("sql", Some("1")), "contoso-kv.vault.azure.net/sql");
        let mut refreshes = Refreshes::default();
        for second in [0, 20, 40] {
            refreshes.begin(&[&sql], at(second), BETWEEN);
        }
        refreshes.accept(at(0), at(1));
        let coverage = refreshes.coverage(secret, "1", at(0), BETWEEN);
        assert_eq!(coverage, RefreshCoverage::Exhausted);
    }

    #[test]
    fn one_refresh_serves_every_secret_that_waits_for_it() {
        let (a, b) = (event("a", Some("1")), event("b", Some("1")));
        let mut refreshes = Refreshes::default();
        refreshes.begin(&[&a], at(0), BETWEEN);
        refreshes.accept(at(0), at(0));
        refreshes.begin(&[&b], at(10), BETWEEN);
        assert_eq!(ages(&mut refreshes, &a, 10).len(), 1);
        refreshes.begin(&[&b], at(30), BETWEEN);
        assert_eq!(ages(&mut refreshes, &a, 30), [(30, true), (0, false)]);
        assert_eq!(ages(&mut refreshes, &b, 30).len(), 2);
    }

    #[test]
    fn several_events_of_one_version_are_one_refresh() {
        let (mut refreshes, event) = (Refreshes::default(), event("sql", Some("1")));
        refreshes.begin(&[&event, &event, &event], at(5), BETWEEN);
        assert_eq!(ages(&mut refreshes, &event, 5).len(), 1);
    }

    #[test]
    fn a_version_is_covered_by_its_own_refreshes_or_a_later_one() {
        let (sql, secret) = (event("sql", Some("1")), "contoso-kv.vault.azure.net/sql");
        let mut refreshes = Refreshes::default();
        let covers = |refreshes: &Refreshes, version: &str, since: i64| {
            let coverage = refreshes.coverage(secret, version, at(since), BETWEEN);
            assert_ne!(coverage, RefreshCoverage::Exhausted);
            coverage == RefreshCoverage::Refreshed
        };
        assert!(!covers(&refreshes, "1", 0));
        // One refresh may not have been sent, or may not have taken.
        refreshes.begin(&[&sql], at(5), BETWEEN);
        refreshes.accept(at(5), at(6));
        assert!(!covers(&refreshes, "1", 0));
        refreshes.begin(&[&sql], at(26), BETWEEN);
        refreshes.accept(at(26), at(27));
        assert!(covers(&refreshes, "1", 90));
        assert!(!covers(&refreshes, "2", 8));
        assert!(covers(&refreshes, "2", 7));
    }
}
