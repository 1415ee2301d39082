//! The index of this process: what reads and rotations have shown is collected here, and written to
//! the store together.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::{ReferenceKind, ReferenceStatus, Scope};
use keyrelay_model::{
    AppId, Event, Evidence, Occurrence, Reference, SecretName, SecretVersion, Target, VaultHost,
    error_chain,
};
use keyrelay_records::{
    CurrentVersion, Found, Index, IndexChange, IndexState, IndexUpdate, IndexedApp,
    IndexedReference, Outcome, SecretChange, SecretUpdate, Users,
};
use keyrelay_store::{Store, StoreError};
use tokio::time::{Instant, timeout_at};

/// Time for which the state of the index is not read again. It changes with each sweep, and an older
/// one misses only that a new object was lost.
const STATE_FOR: Duration = Duration::from_mins(10);

/// The index, and what is on its way there.
#[derive(Debug)]
pub(crate) struct IndexUpdates {
    index: Index,
    /// The latest change of each kind, by secret and app.
    waiting: Mutex<BTreeMap<UpdateKey, IndexUpdate>>,
    /// The latest change of each kind, by secret.
    of_secrets: Mutex<BTreeMap<(String, u8), SecretUpdate>>,
    /// One writer at a time in this process: others find that theirs is written.
    writer: tokio::sync::Mutex<()>,
    state: Mutex<Option<(Instant, IndexState)>>,
}

/// Secret, app, and the kind of the change: references come before what depends on them.
type UpdateKey = (String, String, u8);

/// A secret of a vault.
pub(crate) type SecretOf = (VaultHost, SecretName);

/// The apps that use a secret, and what else has to be read to be sure of all.
#[derive(Debug, Default)]
pub(crate) struct IndexedUsers {
    pub(crate) apps: Vec<IndexedApp>,
    /// The scopes, and the resource groups, that the last sweep could not list.
    pub(crate) uncovered: Vec<Scope>,
    /// The apps that it could not read.
    pub(crate) unread: Vec<AppId>,
}

impl IndexedUsers {
    fn new(apps: Vec<IndexedApp>, state: &IndexState, scopes: &[Scope]) -> Self {
        let mut uncovered = state.uncovered(scopes);
        let unread: Vec<AppId> = state
            .unread
            .iter()
            .filter_map(|it| it.parse().ok())
            .collect();
        uncovered.extend(
            state
                .unread
                .iter()
                .filter_map(|it| it.parse::<Scope>().ok()),
        );
        Self {
            apps,
            uncovered,
            unread,
        }
    }
}

/// The secret that an event is about.
pub(crate) fn secret_of(event: &Event) -> SecretOf {
    (event.vault_host.clone(), event.name.clone())
}

/// The key of a secret: `<vault host>/<name>` in lower case.
pub(crate) fn secret_key((vault, secret): &SecretOf) -> String {
    format!("{vault}/{secret}").to_lowercase()
}

/// The references that an app has to each secret.
type ReferencesTo = HashMap<SecretOf, Vec<IndexedReference>>;

impl IndexUpdates {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            index: Index::new(store),
            waiting: Mutex::default(),
            of_secrets: Mutex::default(),
            writer: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// The index in the store, for operations that end by `moment`.
    pub(crate) fn stored(&self, moment: Instant) -> Index {
        self.index.until(moment)
    }

    /// Reads the apps that use a secret, and tells what of the scopes the last sweep has not read.
    /// The error is the reason why the index cannot tell: then all scopes are read.
    pub(crate) async fn users(
        &self,
        (vault, secret): &SecretOf,
        scopes: &[Scope],
        moment: Instant,
    ) -> Result<IndexedUsers, String> {
        let index = self.index.until(moment);
        let unreadable = |error: StoreError| error_chain(&error);
        let mut is_fresh = false;
        loop {
            let Some(state) = self.state(&index).await.map_err(unreadable)? else {
                return Err("no sweep of all apps has come to its end yet".to_owned());
            };
            let users = index.users(&state, vault, secret).await;
            match users.map_err(unreadable)? {
                Users::Apps(apps) => return Ok(IndexedUsers::new(apps, &state, scopes)),
                // Another instance may have made an object again since the state was read.
                Users::Unknown(_) if !is_fresh => self.forget_state(),
                Users::Unknown(reason) => return Err(reason),
            }
            is_fresh = true;
        }
    }

    async fn state(&self, index: &Index) -> Result<Option<IndexState>, StoreError> {
        let known = lock(&self.state).clone();
        if let Some((_, state)) = known.filter(|(read, _)| read.elapsed() < STATE_FOR) {
            return Ok(Some(state));
        }
        let state = index.state().await?;
        *lock(&self.state) = state.clone().map(|state| (Instant::now(), state));
        Ok(state)
    }

    /// Has the state read again: a sweep has come to its end.
    pub(crate) fn forget_state(&self) {
        *lock(&self.state) = None;
    }

    /// Notes the references of an app, as Azure has shown them. `of` are the secrets for which they
    /// were read: the app may not reference them any more.
    pub(crate) fn seen(
        &self,
        app: &AppId,
        rows: &[ReferenceStatus],
        with_connection_strings: bool,
        of: &[SecretOf],
        vault_suffix: &str,
        at: Timestamp,
    ) {
        let mut references = ReferencesTo::new();
        for secret in of {
            references.insert(secret.clone(), Vec::new());
        }
        for row in rows {
            let Ok(reference) = Reference::parse(&row.reference, vault_suffix) else {
                continue;
            };
            let Target {
                vault_host,
                secret,
                version,
            } = reference.target().clone();
            let of_secret = references.entry((vault_host, secret)).or_default();
            of_secret.push(IndexedReference {
                setting: row.setting.as_str().to_owned(),
                is_connection_string: row.kind == ReferenceKind::ConnectionString,
                version: version.map(|version| version.to_string()),
                identity: row.identity_type.clone(),
            });
        }
        for (secret, references) in references {
            let found = Found {
                references,
                with_connection_strings,
                at,
            };
            self.note(&secret, app, IndexChange::Found(found));
        }
    }

    /// Notes the evidence that an app has the version of an event.
    pub(crate) fn proven(&self, event: &Event, app: &AppId, outcome: &Outcome, at: Timestamp) {
        let is_new = event.occurrence == Occurrence::NewVersionCreated;
        let version = event.version.as_ref().filter(|_| is_new);
        if let (Some(version), Some(evidence)) = (version, outcome.evidence) {
            self.current(&secret_of(event), app, version, Some(evidence), at);
        }
    }

    /// Notes that nothing is left to do for a version.
    pub(crate) fn current(
        &self,
        secret: &SecretOf,
        app: &AppId,
        version: &SecretVersion,
        evidence: Option<Evidence>,
        at: Timestamp,
    ) {
        let current = CurrentVersion::new(version.as_str(), evidence, at);
        self.note(secret, app, IndexChange::Current(current));
    }

    /// Notes a change of a secret.
    pub(crate) fn note_secret(&self, secret: &SecretOf, change: SecretChange) {
        let kind = match change {
            SecretChange::Newest(_) => 0,
            SecretChange::Announced(_) => 1,
            SecretChange::Rule(_) => 2,
        };
        let (vault, name) = secret.clone();
        let update = SecretUpdate {
            vault,
            secret: name,
            change,
        };
        lock(&self.of_secrets).insert((secret_key(secret), kind), update);
    }

    /// Notes a change of an app and a secret.
    pub(crate) fn note(&self, secret: &SecretOf, app: &AppId, change: IndexChange) {
        let kind = match change {
            IndexChange::Found(_) => 0,
            IndexChange::Current(_) => 1,
            IndexChange::SetBack(_) => 2,
            IndexChange::Gone => 3,
        };
        let key = (secret_key(secret), app.to_string().to_lowercase(), kind);
        let (vault, secret) = secret;
        let update = IndexUpdate {
            vault: vault.clone(),
            secret: secret.clone(),
            app: app.clone(),
            change,
        };
        lock(&self.waiting).insert(key, update);
    }

    /// Whether something was noted of an app. What was noted of secrets alone can wait.
    pub(crate) fn has_app_updates(&self) -> bool {
        !lock(&self.waiting).is_empty()
    }

    /// Writes what was noted. What cannot be written is kept for the next time, and an event finds
    /// its apps after the next sweep at the latest.
    pub(crate) async fn flush(&self, moment: Instant) -> Result<(), StoreError> {
        let writer = timeout_at(moment, self.writer.lock()).await;
        let _writer = writer.map_err(|elapsed| StoreError::Unavailable {
            operation: "write",
            key: "index".to_owned(),
            source: elapsed.into(),
        })?;
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let of_secrets = std::mem::take(&mut *lock(&self.of_secrets));
        if waiting.is_empty() && of_secrets.is_empty() {
            return Ok(());
        }
        let updates = waiting.values().cloned().collect();
        let secret_updates = of_secrets.values().cloned().collect();
        let index = self.index.until(moment);
        let written = index.update_with(updates, secret_updates).await;
        if let Err(error) = &written {
            tracing::warn!("the index is not up to date: {}", error_chain(error));
            let mut newer = lock(&self.waiting);
            for (key, update) in waiting {
                newer.entry(key).or_insert(update);
            }
            let mut newer = lock(&self.of_secrets);
            for (key, update) in of_secrets {
                newer.entry(key).or_insert(update);
            }
        }
        written
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
