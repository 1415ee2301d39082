//! The fleet: which app uses which secret, in which version, and what is not as it should be. It is read
//! from the store alone: the index, the pending work, the holds, and the summaries of runs.

mod state;

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_store::{Store, StoreError};

use crate::history::{Entry, History};
use crate::holds::{Hold, Holds};
use crate::index::{
    CurrentVersion, Index, IndexedApp, IndexedReference, IndexedRule, NewestVersion, SecretUsers,
    Users,
};
use crate::pending::{Pending, PendingRotation, PendingWork};
use crate::run_id;
use crate::summary::Summary;

/// The number of objects that are read at once.
const AT_ONCE: usize = 16;

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
    /// The newest version of the secret, with its dates. None: neither an event nor the vault has shown it yet.
    pub newest: Option<Arc<NewestVersion>>,
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
    /// The newest version expires soon, or has expired, and no newer one is there.
    Expiring,
    /// Nothing tells the version: none was handled yet.
    Unproven,
    /// keyrelay changes nothing: because of the mode, the rule, or a hold.
    NotWatched,
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

/// A secret and its users, as the index has them.
struct OfSecret {
    vault: String,
    name: String,
    newest: Option<Arc<NewestVersion>>,
    rule: IndexedRule,
    apps: Vec<IndexedApp>,
}

impl State {
    /// All states, worst first.
    pub const ALL: [Self; 7] = [
        Self::Broken,
        Self::Behind,
        Self::SetBack,
        Self::Expiring,
        Self::Unproven,
        Self::NotWatched,
        Self::Fresh,
    ];

    /// The word for the state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Behind => "behind",
            Self::SetBack => "set back",
            Self::Expiring => "expiring",
            Self::Unproven => "unproven",
            Self::NotWatched => "not watched",
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
            for SecretUsers {
                secret: name,
                newest,
                rule,
                users,
            } in users
            {
                match users {
                    Users::Apps(apps) => secrets.push(OfSecret {
                        vault: vault.to_owned(),
                        name,
                        newest: newest.map(Arc::new),
                        rule,
                        apps,
                    }),
                    Users::Unknown(reason) => fleet.unreadable.push(format!("{key}: {reason}")),
                }
            }
        }
        let pending = pending_rotations(store).await?;
        let last = last_runs(store, runs_since).await?;
        let now = store.now();
        for of_secret in secrets {
            let uses = state::uses_of(of_secret, &pending, &last, runs_since, now);
            fleet.uses.extend(uses);
        }
        for hold in Holds::new(store.clone()).list().await? {
            fleet.mark_held(&hold);
        }
        fleet.sort();
        Ok(fleet)
    }

    /// Sorts the uses, worst first.
    pub fn sort(&mut self) {
        let order = |it: &Use| {
            (
                it.state,
                it.behind_since,
                it.vault.clone(),
                it.secret.clone(),
            )
        };
        self.uses.sort_by_cached_key(order);
    }

    /// Marks the uses of a secret that an operator holds.
    fn mark_held(&mut self, hold: &Hold) {
        let is_of = |it: &&mut Use| {
            it.vault.eq_ignore_ascii_case(&hold.vault_host)
                && it.secret.eq_ignore_ascii_case(&hold.secret)
        };
        for it in self.uses.iter_mut().filter(is_of) {
            it.mark_unwatched(&hold.note());
        }
    }

    /// The number of uses in a state.
    pub fn count(&self, state: State) -> usize {
        self.uses.iter().filter(|it| it.state == state).count()
    }
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
