//! Writes the index, with conditional writes only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use keyrelay_azure::Scope;
use keyrelay_store::{ObjectVersion, StoreError};
use serde::Serialize;

use super::change::apply;
use super::read::Stored;
use super::{
    APPS_IN_A_PART, Apps, FORMAT, Index, IndexPart, IndexShard, IndexState, IndexUpdate,
    IndexedSecret, MAX_APPS, STATE, SecretChange, SecretUpdate, lower_id, part_key, part_of,
    shard_key,
};

/// The number of attempts at a change while others change the same object.
const ATTEMPTS: u32 = 12;

/// Pause before another attempt, times the number of attempts so far.
const PAUSE: Duration = Duration::from_millis(20);

/// The number of objects that are written at once.
const AT_ONCE: usize = 8;

/// The changes of one secret.
#[derive(Debug, Default)]
struct Changes {
    /// Those of its apps, in their order.
    apps: Vec<IndexUpdate>,
    secret: Vec<SecretChange>,
}

impl Index {
    /// Writes changes: each object that they change once, and none that they do not change.
    ///
    /// An object that was lost, or cannot be read, stays as it is: with these changes alone it would
    /// pass for one that has all apps. See [`repair`](Self::repair).
    pub async fn update(&self, updates: Vec<IndexUpdate>) -> Result<(), StoreError> {
        self.update_with(updates, Vec::new()).await
    }

    /// Writes changes of apps and of secrets together. As [`update`](Self::update).
    pub async fn update_with(
        &self,
        updates: Vec<IndexUpdate>,
        of_secrets: Vec<SecretUpdate>,
    ) -> Result<(), StoreError> {
        let mut shards: BTreeMap<String, BTreeMap<String, Changes>> = BTreeMap::new();
        for update in updates {
            let secrets = shards.entry(shard_key(&update.vault, &update.secret));
            let secret = update.secret.as_str().to_lowercase();
            let changes = secrets.or_default().entry(secret).or_default();
            changes.apps.push(update);
        }
        for update in of_secrets {
            let secrets = shards.entry(shard_key(&update.vault, &update.secret));
            let secret = update.secret.as_str().to_lowercase();
            let changes = secrets.or_default().entry(secret).or_default();
            changes.secret.push(update.change);
        }
        let writing = stream::iter(shards)
            .map(|(key, secrets)| async move { self.update_shard(&key, &secrets).await });
        writing.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Records that a sweep of these scopes, which began at `swept`, has come to its end. It could not
    /// read the apps and groups `unread`.
    pub async fn swept(
        &self,
        swept: Timestamp,
        scopes: &[Scope],
        unread: &BTreeSet<String>,
    ) -> Result<(), StoreError> {
        // One that was lost during the sweep stays known as lost, until the next sweep makes it again.
        let before = self.state().await?.map(|state| state.shards);
        let mut shards = before.unwrap_or_default();
        shards.extend(self.shards().await?);
        let state = IndexState {
            format: FORMAT,
            swept,
            scopes: scopes
                .iter()
                .map(|scope| scope.to_string().to_lowercase())
                .collect(),
            unread: unread.clone(),
            shards,
        };
        self.0.write(STATE, &state).await
    }

    async fn update_shard(
        &self,
        key: &str,
        secrets: &BTreeMap<String, Changes>,
    ) -> Result<(), StoreError> {
        for attempt in 1..=ATTEMPTS {
            let (version, before) = match self.get::<IndexShard>(key).await? {
                Stored::Present(version, shard) => (Some(version), Some(shard)),
                Stored::Missing if !self.was_there(key).await? => (None, None),
                stored => {
                    leave(key, &stored);
                    return Ok(());
                }
            };
            let mut shard = before.clone().unwrap_or_default();
            for (name, changes) in secrets {
                let secret = shard.secrets.entry(name.clone()).or_default();
                self.update_secret(key, name, secret, changes).await?;
                if secret.parts == 0 && secret.apps.is_empty() {
                    shard.secrets.remove(name);
                }
            }
            if version.is_none() && shard.secrets.is_empty() {
                return Ok(());
            }
            if self
                .write_change(key, version, before.as_ref(), &shard)
                .await?
            {
                return Ok(());
            }
            tokio::time::sleep(PAUSE * attempt).await;
        }
        Err(contended(key))
    }

    /// Changes the apps of a secret, and splits them if they are too many for one object. Parts are
    /// written at once: before the shard names them, nobody reads them.
    async fn update_secret(
        &self,
        key: &str,
        name: &str,
        secret: &mut IndexedSecret,
        changes: &Changes,
    ) -> Result<(), StoreError> {
        for change in &changes.secret {
            match change {
                SecretChange::Newest(newest) => secret.newest = Some(newest.clone()),
                SecretChange::Announced(newest) => {
                    let known = secret.newest.as_ref();
                    if known.is_none_or(|known| known.created < newest.created) {
                        secret.newest = Some(newest.clone());
                    }
                }
                SecretChange::Rule(rule) => secret.rule = rule.clone(),
            }
        }
        if secret.parts == 0 {
            for update in &changes.apps {
                apply(&mut secret.apps, &update.app, &update.change);
            }
            if secret.apps.len() <= MAX_APPS {
                return Ok(());
            }
            let parts = secret.apps.len().div_ceil(APPS_IN_A_PART) * 2;
            // A byte tells the part.
            secret.parts = u32::try_from(parts).unwrap_or(u32::MAX).min(256);
            let apps = std::mem::take(&mut secret.apps);
            let mut of_parts: BTreeMap<u32, Apps> = BTreeMap::new();
            for (id, app) in apps {
                let part = part_of(&id, secret.parts);
                of_parts.entry(part).or_default().insert(id, app);
            }
            for part in 0..secret.parts {
                let apps = of_parts.remove(&part).unwrap_or_default();
                let key = part_key(key, name, secret.parts, part);
                // A copy that an instance has left which died, or that splits too, gets the rest.
                self.update_part(&key, true, |known| known.extend(apps.clone()))
                    .await?;
            }
            return Ok(());
        }
        let mut by_part: BTreeMap<u32, Vec<&IndexUpdate>> = BTreeMap::new();
        for update in &changes.apps {
            let part = part_of(&lower_id(&update.app), secret.parts);
            by_part.entry(part).or_default().push(update);
        }
        for (part, updates) in by_part {
            let key = part_key(key, name, secret.parts, part);
            let apply = |apps: &mut Apps| {
                for update in &updates {
                    apply(apps, &update.app, &update.change);
                }
            };
            self.update_part(&key, false, apply).await?;
        }
        Ok(())
    }

    /// Whether the last sweep has seen an object that is missing now.
    async fn was_there(&self, key: &str) -> Result<bool, StoreError> {
        let state = self.state().await?;
        Ok(state.is_some_and(|state| state.shards.contains(key)))
    }

    /// Changes a part. One that cannot be read stays as it is, unless it `is_new`.
    async fn update_part(
        &self,
        key: &str,
        is_new: bool,
        change: impl Fn(&mut Apps),
    ) -> Result<(), StoreError> {
        for attempt in 1..=ATTEMPTS {
            let (version, before) = match self.get::<IndexPart>(key).await? {
                Stored::Present(version, part) => (Some(version), Some(part)),
                Stored::Missing if is_new => (None, None),
                Stored::Unreadable(version, _) if is_new => (Some(version), None),
                stored => {
                    leave(key, &stored);
                    return Ok(());
                }
            };
            let mut part = before.clone().unwrap_or_default();
            change(&mut part.apps);
            if self
                .write_change(key, version, before.as_ref(), &part)
                .await?
            {
                return Ok(());
            }
            tokio::time::sleep(PAUSE * attempt).await;
        }
        Err(contended(key))
    }

    /// Writes an object, unless nothing has changed. Returns false if another instance has written it
    /// since it was read.
    async fn write_change<T: PartialEq + Serialize>(
        &self,
        key: &str,
        version: Option<ObjectVersion>,
        before: Option<&T>,
        after: &T,
    ) -> Result<bool, StoreError> {
        let written = match &version {
            Some(_) if before == Some(after) => return Ok(true),
            Some(version) => self.0.replace(key, after, version).await,
            None => self.0.create(key, after).await,
        };
        match written {
            Err(error) if error.is_conflict() => Ok(false),
            written => written.map(|_| true),
        }
    }
}

fn leave<T>(key: &str, stored: &Stored<T>) {
    let reason = match stored {
        Stored::Unreadable(_, reason) => reason,
        Stored::Missing | Stored::Present(..) => "it is missing",
    };
    tracing::warn!("{key} is left to the next sweep: {reason}");
}

fn contended(key: &str) -> StoreError {
    StoreError::Conflict {
        key: key.to_owned(),
    }
}
