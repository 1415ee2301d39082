//! The state of a use, by what the index, the pending work and the last run tell.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{LastRun, OfSecret, State, Use, UseKey, use_key};
use crate::index::{CurrentVersion, IndexedRule, NewestVersion};
use crate::pending::PendingRotation;

/// The verdicts of a run that has left an app without the version.
const BROKEN: [&str; 3] = ["failed", "refused", "rolled back"];

/// Time before its expiry in which a version counts as expiring: the first reminder of Key Vault itself
/// comes 30 days before.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The reasons for which an app is behind, if nothing is pending.
const OTHER_APPS: &str = "other apps have a newer version";
const VAULT: &str = "the vault has a newer version";

/// Age of a version from which an app without it is behind, although nothing else tells that: its event has
/// been handled by then, and the comparison, once an hour, has noted what the apps have.
const MISSED_AFTER: Duration = Duration::from_hours(2);

/// The uses of one secret at this time.
pub(super) fn uses_of(
    of_secret: OfSecret,
    pending: &HashMap<UseKey, PendingRotation>,
    last: &HashMap<UseKey, LastRun>,
    runs_since: Timestamp,
    now: Timestamp,
) -> Vec<Use> {
    let OfSecret {
        vault,
        name: secret,
        newest: of_vault,
        rule,
        apps,
    } = of_secret;
    // Versions have no order of their own: the one that an app has got last is the newest.
    let current = apps.iter().filter_map(|app| app.current.as_ref());
    let newest = current.max_by_key(|current| current.at).cloned();
    let first_with_it = newest.as_ref().and_then(|newest| {
        let current = apps.iter().filter_map(|app| app.current.as_ref());
        let with_it = current.filter(|current| current.version == newest.version);
        with_it.map(|current| current.at).min()
    });
    let expiry = of_vault
        .as_ref()
        .and_then(|newest| expiry(newest.expires?, now));
    let mut uses = Vec::new();
    for app in apps {
        let key = use_key(&vault, &secret, app.id.to_string());
        let is_newest = match (&newest, &app.current) {
            (Some(newest), Some(current)) => newest.version == current.version,
            (newest, _) => newest.is_none(),
        };
        let handled = app.current.as_ref().map(|current| current.at);
        let broken = last
            .get(&key)
            .filter(|run| BROKEN.contains(&run.verdict) && handled.is_none_or(|at| at < run.at));
        let (state, behind_since, reason) = if let Some(work) = pending.get(&key) {
            (State::Behind, Some(work.since), work.reason.clone())
        } else if let Some(run) = broken {
            (State::Broken, Some(run.at), run.message.clone())
        } else if let Some(version) = &app.set_back {
            let reason = format!("a person has set it back to version {version}");
            (State::SetBack, None, reason)
        } else if !is_newest {
            let reason = OTHER_APPS.to_owned();
            (State::Behind, first_with_it, reason)
        } else if let Some(newest) = of_vault.as_ref().filter(|newest| {
            newest.created >= runs_since
                && has_missed(newest, app.current.as_ref(), last.get(&key), now)
        }) {
            let reason = VAULT.to_owned();
            (State::Behind, Some(newest.created), reason)
        } else if let Some(reason) = &expiry {
            (State::Expiring, None, reason.clone())
        } else {
            match app.current {
                None => (
                    State::Unproven,
                    None,
                    "no version was handled yet".to_owned(),
                ),
                Some(_) => (State::Fresh, None, String::new()),
            }
        };
        let why_not = unwatched(&rule, &key.1);
        uses.extend(app.references.into_iter().map(|reference| {
            let mut it = Use {
                vault: vault.clone(),
                secret: secret.clone(),
                app: app.id.clone(),
                reference,
                state,
                current: app.current.clone(),
                newest: of_vault.clone(),
                behind_since,
                reason: reason.clone(),
            };
            if let Some(why_not) = &why_not {
                it.mark_unwatched(why_not);
            }
            it
        }));
    }
    uses
}

impl Use {
    /// Whether it is behind because of its version alone: no work is pending.
    pub fn is_behind_by_version(&self) -> bool {
        self.state == State::Behind && [OTHER_APPS, VAULT].contains(&self.reason.as_str())
    }

    /// Marks a use for which nothing is done. What needs attention keeps its state, and tells the reason.
    pub(super) fn mark_unwatched(&mut self, why_not: &str) {
        match self.state {
            State::Broken | State::Behind | State::SetBack => {
                self.reason = format!("{}; not watched: {why_not}", self.reason);
            }
            State::Expiring | State::Unproven | State::NotWatched | State::Fresh => {
                self.state = State::NotWatched;
                self.reason = why_not.to_owned();
            }
        }
    }

    /// Marks a use that is as it should be, by the expiry of the newest version.
    pub fn mark_fresh(&mut self, now: Timestamp) {
        let expires = self.newest.as_ref().and_then(|newest| newest.expires);
        let expiry = expires.and_then(|expires| expiry(expires, now));
        self.state = match expiry {
            Some(_) => State::Expiring,
            None => State::Fresh,
        };
        self.behind_since = None;
        self.reason = expiry.unwrap_or_default();
    }
}

/// The reason why events of the secret change nothing in an app, whose id is in lower case. None: they do.
fn unwatched(rule: &IndexedRule, app: &str) -> Option<String> {
    let is_named = rule.apps.is_empty() || rule.apps.contains(app);
    let others = (!is_named).then(|| "its rule names other apps".to_owned());
    rule.unwatched.clone().or(others)
}

/// Whether an app lacks the newest version of its vault, and nothing is known to have been done about it since the
/// version exists. A policy may have decided to change nothing; the app may have a version that was disabled since.
fn has_missed(
    newest: &NewestVersion,
    current: Option<&CurrentVersion>,
    last: Option<&LastRun>,
    now: Timestamp,
) -> bool {
    let is_other = current
        .is_some_and(|current| current.version != newest.version && current.at < newest.created);
    let is_old = newest
        .created
        .checked_add(MISSED_AFTER)
        .is_ok_and(|at| at < now);
    let is_handled = last.is_some_and(|run| newest.created <= run.at);
    is_other && is_old && !is_handled
}

/// The sentence about a version that expires soon, or has expired.
fn expiry(expires: Timestamp, now: Timestamp) -> Option<String> {
    let left = expires.duration_since(now);
    let days = left.abs().as_hours() / 24;
    let day = format!("{}", expires.strftime("%Y-%m-%d"));
    match left {
        left if left.is_negative() => {
            Some(format!("the version expired {days} days ago, on {day}"))
        }
        left if left <= SOON => Some(format!("the version expires in {days} days, on {day}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::index::{IndexedApp, IndexedReference};

    const NEW: &str = "0f3b0f3b0f3b0f3b0f3b0f3b0f3b0f3b";
    const OLD: &str = "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a";

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + hour * 3_600).unwrap()
    }

    fn app(name: &str, current: Option<(&str, Option<&str>, i64)>) -> IndexedApp {
        let id = format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/{name}");
        IndexedApp {
            id: id.parse().unwrap(),
            references: vec![IndexedReference {
                setting: "SQL".to_owned(),
                is_connection_string: false,
                version: None,
                identity: None,
            }],
            since: at(0),
            seen: at(0),
            current: current.map(|(version, evidence, hour)| CurrentVersion {
                version: version.to_owned(),
                evidence: evidence.map(str::to_owned),
                at: at(hour),
            }),
            set_back: None,
        }
    }

    fn states(apps: Vec<IndexedApp>, last: &HashMap<UseKey, LastRun>) -> Vec<(State, Option<i64>)> {
        states_with(None, apps, last)
    }

    fn states_with(
        newest: Option<NewestVersion>,
        apps: Vec<IndexedApp>,
        last: &HashMap<UseKey, LastRun>,
    ) -> Vec<(State, Option<i64>)> {
        let of_secret = OfSecret {
            vault: "v.example".to_owned(),
            name: "sql".to_owned(),
            newest: newest.map(Arc::new),
            rule: IndexedRule::default(),
            apps,
        };
        let uses = uses_of(of_secret, &HashMap::new(), last, at(0), at(10));
        let since = |time: Timestamp| (time.as_second() - at(0).as_second()) / 3_600;
        uses.into_iter()
            .map(|it| (it.state, it.behind_since.map(since)))
            .collect()
    }

    #[test]
    fn an_app_without_the_newest_version_is_behind_since_another_one_had_it() {
        let twice = Some("refreshed twice");
        let apps = vec![
            app("a", Some((NEW, twice, 5))),
            app("b", Some((OLD, twice, 1))),
            app("c", Some((NEW, None, 6))),
            app("d", None),
        ];
        let expected = [
            (State::Fresh, None),
            (State::Behind, Some(5)),
            (State::Fresh, None),
            (State::Behind, Some(5)),
        ];
        assert_eq!(states(apps, &HashMap::new()), expected);
    }

    #[test]
    fn an_app_whose_last_run_failed_is_broken_until_a_later_one_succeeds() {
        let evidence = Some("active version");
        let apps = || vec![app("a", Some((NEW, evidence, 5))), app("b", None)];
        let run = |hour| LastRun {
            at: at(hour),
            verdict: "failed",
            message: "run 1: no".to_owned(),
        };
        let key = |app: &IndexedApp| {
            let id = app.id.to_string().to_lowercase();
            ("v.example/sql".to_owned(), id)
        };
        let failed = |hour| apps().iter().map(|app| (key(app), run(hour))).collect();
        let broken = [(State::Broken, Some(6)), (State::Broken, Some(6))];
        assert_eq!(states(apps(), &failed(6)), broken);
        let later = [(State::Fresh, None), (State::Broken, Some(4))];
        assert_eq!(states(apps(), &failed(4)), later);
    }

    #[test]
    fn nobody_is_behind_a_version_that_nobody_has() {
        let mut set_back = app("b", None);
        set_back.set_back = Some(OLD.to_owned());
        let expected = [(State::Unproven, None), (State::SetBack, None)];
        assert_eq!(
            states(vec![app("a", None), set_back], &HashMap::new()),
            expected
        );
    }

    #[test]
    fn an_app_is_behind_a_version_of_the_vault_that_nothing_was_done_about() {
        let apps = || vec![app("a", Some((OLD, Some("active version"), 1)))];
        let newest = |hour, expires| {
            Some(NewestVersion {
                version: NEW.to_owned(),
                created: at(hour),
                expires,
            })
        };
        let behind = [(State::Behind, Some(7))];
        assert_eq!(
            states_with(newest(7, None), apps(), &HashMap::new()),
            behind
        );
        // Runs of that time are not known.
        assert_eq!(
            states_with(newest(-1, None), apps(), &HashMap::new()),
            [(State::Fresh, None)]
        );
        // Its event is being handled.
        let fresh = [(State::Fresh, None)];
        assert_eq!(states_with(newest(9, None), apps(), &HashMap::new()), fresh);
        // A policy decided to do nothing.
        let key = (
            "v.example/sql".to_owned(),
            apps()[0].id.to_string().to_lowercase(),
        );
        let unchanged = LastRun {
            at: at(7),
            verdict: "unchanged",
            message: String::new(),
        };
        let last = [(key, unchanged)].into_iter().collect();
        assert_eq!(states_with(newest(7, None), apps(), &last), fresh);
    }

    #[test]
    fn a_version_that_expires_within_thirty_days_is_told() {
        let apps = || vec![app("a", Some((NEW, Some("active version"), 1)))];
        let state = |expires| {
            let newest = NewestVersion {
                version: NEW.to_owned(),
                created: at(0),
                expires: Some(expires),
            };
            states_with(Some(newest), apps(), &HashMap::new())
        };
        assert_eq!(state(at(10 + 29 * 24)), [(State::Expiring, None)]);
        assert_eq!(state(at(10 + 31 * 24)), [(State::Fresh, None)]);
        assert_eq!(
            expiry(at(0), at(49)).unwrap(),
            "the version expired 2 days ago, on 2026-11-18"
        );
    }
}
