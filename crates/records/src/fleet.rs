//! The fleet: which app uses which secret, in which version, and what is not as it should be. It is read
//! from the store alone: the index, the pending work, and the summaries of runs.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_store::{Store, StoreError};

use crate::history::{Entry, History};
use crate::index::{CurrentVersion, Index, IndexedApp, IndexedReference, Users};
use crate::pending::{Pending, PendingRotation, PendingWork};
use crate::run_id;
use crate::summary::Summary;

/// The number of objects that are read at once.
const AT_ONCE: usize = 16;

/// The verdicts of a run that has left an app without the version.
const BROKEN: [&str; 3] = ["failed", "refused", "rolled back"];

/// The uses of all secrets that the index has, worst first.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// One for each reference.
    pub uses: Vec<Use>,
    /// The time at which the last sweep of all apps began that came to its end. None: there was none,
    /// and apps may be missing.
    pub swept: Option<Timestamp>,
    /// Parts of the index that cannot be read, with the reasons. Their apps are missing.
    pub unreadable: Vec<String>,
}

/// A reference of an app to a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The host of the vault.
    pub vault: String,
    /// The name of the secret, in lower case.
    pub secret: String,
    /// The app.
    pub app: AppId,
    /// The reference.
    pub reference: IndexedReference,
    /// The state.
    pub state: State,
    /// The newest version for which nothing was left to do, with its evidence. None: no version was
    /// handled yet.
    pub current: Option<CurrentVersion>,
    /// The time since which the app is behind, or broken.
    pub behind_since: Option<Timestamp>,
    /// The reason for the state. Empty: the state says it all.
    pub reason: String,
}

/// The state of a use, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The last run failed, was refused or was rolled back, and nothing is pending.
    Broken,
    /// A newer version is known, or work is pending.
    Behind,
    /// A person has set the app back to an older version.
    SetBack,
    /// Nothing tells the version: none was handled yet.
    Unproven,
    /// The app has the newest version that is known.
    Fresh,
}

/// The end of the last run of an app and a secret.
#[derive(Debug, Clone)]
struct LastRun {
    at: Timestamp,
    verdict: &'static str,
    message: String,
}

/// An app and a secret: `<vault host>/<secret>` and the id, in lower case.
type UseKey = (String, String);

fn use_key(vault_host: &str, secret: &str, app: String) -> UseKey {
    let secret = format!("{vault_host}/{secret}");
    (secret.to_lowercase(), app.to_lowercase())
}

/// The users of a secret, as the index has them.
type OfSecret = (String, String, Vec<IndexedApp>);

impl State {
    /// All states, worst first.
    pub const ALL: [Self; 5] = [
        Self::Broken,
        Self::Behind,
        Self::SetBack,
        Self::Unproven,
        Self::Fresh,
    ];

    /// The word for the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Behind => "behind",
            Self::SetBack => "set back",
            Self::Unproven => "unproven",
            Self::Fresh => "fresh",
        }
    }
}

impl Fleet {
    /// Reads the fleet. Failures of runs that began before `runs_since` are not seen.
    pub async fn read(store: &Store, runs_since: Timestamp) -> Result<Self, StoreError> {
        let index = Index::new(store.clone());
        let state = index.state().await?;
        let mut fleet = Self {
            swept: state.map(|state| state.swept),
            ..Self::default()
        };
        let mut secrets = Vec::new();
        let shards = stream::iter(index.shards().await?);
        let index = &index;
        let shards = shards.map(|key| async move {
            let secrets = index.secrets(&key).await;
            secrets.map(|secrets| (key, secrets))
        });
        let mut shards = shards.buffered(AT_ONCE);
        while let Some((key, users)) = shards.try_next().await? {
            let vault = key.split('/').nth(1).unwrap_or_default();
            for (secret, users) in users {
                match users {
                    Users::Apps(apps) => secrets.push((vault.to_owned(), secret, apps)),
                    Users::Unknown(reason) => fleet.unreadable.push(format!("{key}: {reason}")),
                }
            }
        }
        let pending = pending_rotations(store).await?;
        let last = last_runs(store, runs_since).await?;
        for of_secret in secrets {
            fleet.uses.extend(uses_of(of_secret, &pending, &last));
        }
        let order = |it: &Use| {
            (
                it.state,
                it.behind_since,
                it.vault.clone(),
                it.secret.clone(),
            )
        };
        fleet.uses.sort_by_cached_key(order);
        Ok(fleet)
    }

    /// The number of uses in a state.
    pub fn count(&self, state: State) -> usize {
        self.uses.iter().filter(|it| it.state == state).count()
    }
}

/// The uses of one secret.
fn uses_of(
    (vault, secret, apps): OfSecret,
    pending: &HashMap<UseKey, PendingRotation>,
    last: &HashMap<UseKey, LastRun>,
) -> Vec<Use> {
    // Versions have no order of their own: the one that an app has got last is the newest.
    let current = apps.iter().filter_map(|app| app.current.as_ref());
    let newest = current.max_by_key(|current| current.at).cloned();
    let first_with_it = newest.as_ref().and_then(|newest| {
        let current = apps.iter().filter_map(|app| app.current.as_ref());
        let with_it = current.filter(|current| current.version == newest.version);
        with_it.map(|current| current.at).min()
    });
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
            let reason = "other apps have a newer version".to_owned();
            (State::Behind, first_with_it, reason)
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
        uses.extend(app.references.into_iter().map(|reference| Use {
            vault: vault.clone(),
            secret: secret.clone(),
            app: app.id.clone(),
            reference,
            state,
            current: app.current.clone(),
            behind_since,
            reason: reason.clone(),
        }));
    }
    uses
}

/// The pending rotation of each app and secret that began first.
async fn pending_rotations(store: &Store) -> Result<HashMap<UseKey, PendingRotation>, StoreError> {
    let pending = &Pending::new(store.clone());
    let keys = pending.list().await?.work;
    let works = stream::iter(keys)
        .map(|key| async move { pending.read::<PendingWork>(key.as_str()).await });
    let mut works = works.buffer_unordered(AT_ONCE);
    let mut found: HashMap<UseKey, PendingRotation> = HashMap::new();
    while let Some(entry) = works.try_next().await? {
        let Some(entry) = entry else { continue };
        let app = entry.value.app;
        for rotation in entry.value.rotations {
            let event = &rotation.event;
            let key = use_key(&event.vault_host, &event.name, app.clone());
            let known = found.entry(key);
            known
                .and_modify(|known| {
                    if rotation.since < known.since {
                        *known = rotation.clone();
                    }
                })
                .or_insert(rotation);
        }
    }
    Ok(found)
}

/// The end of the last run of each app and secret, of the runs since then.
async fn last_runs(
    store: &Store,
    since: Timestamp,
) -> Result<HashMap<UseKey, LastRun>, StoreError> {
    let history = &History::new(store.clone());
    let oldest = run_id::from(since);
    let mut parts = std::pin::pin!(history.entries(&oldest));
    let mut last = HashMap::new();
    while let Some(part) = parts.try_next().await? {
        let summaries = stream::iter(part).map(|entry| async move {
            match entry {
                Entry::Summary(summary) => Some(summary),
                // Removed meanwhile, or of a newer keyrelay: the others tell all the same.
                Entry::WithoutSummary(id) => {
                    let run = history.read(&id).await.ok()?;
                    Some(Summary::of(&run))
                }
                Entry::Ignored(_) => None,
            }
        });
        let mut summaries = summaries.buffered(AT_ONCE);
        while let Some(summary) = summaries.next().await {
            let Some(summary) = summary else { continue };
            let (Some(event), Some(began)) = (&summary.event, summary.id.began()) else {
                continue;
            };
            for (app, verdict) in &summary.rotations {
                // The newest come first.
                let key = use_key(&event.vault_host, &event.name, app.to_string());
                last.entry(key).or_insert_with(|| LastRun {
                    at: began,
                    verdict: verdict.as_str(),
                    message: format!("run {}: {}", summary.id, summary.message),
                });
            }
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let of_secret = ("v.example".to_owned(), "sql".to_owned(), apps);
        let uses = uses_of(of_secret, &HashMap::new(), last);
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
}
