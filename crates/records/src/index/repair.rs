//! Makes objects of the index that were lost again.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use keyrelay_store::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::read::Stored;
use super::{Index, IndexPart, IndexShard, part_key};

/// The number of objects that are read at once.
const AT_ONCE: usize = 8;

/// An object of the index that can be made again.
trait Object: Serialize + DeserializeOwned + Default {
    /// The same object, made again by the sweep that began at this time.
    fn made_again(self, began: Timestamp) -> Self;

    /// Whether the sweep that began at this time has made it again.
    fn is_made_again_since(&self, began: Timestamp) -> bool;
}

impl Object for IndexShard {
    fn made_again(self, began: Timestamp) -> Self {
        Self {
            made_again: Some(began),
            ..self
        }
    }

    fn is_made_again_since(&self, began: Timestamp) -> bool {
        self.made_again == Some(began)
    }
}

impl Object for IndexPart {
    fn made_again(self, began: Timestamp) -> Self {
        Self {
            made_again: Some(began),
            ..self
        }
    }

    fn is_made_again_since(&self, began: Timestamp) -> bool {
        self.made_again == Some(began)
    }
}

impl Index {
    /// Makes all objects that are missing or cannot be read again, without apps: the sweep that began at
    /// `began`, and has read nothing yet, finds them. Returns the keys with the reasons.
    pub async fn repair(&self, began: Timestamp) -> Result<Vec<String>, StoreError> {
        let state = self.state().await?;
        let mut shards: BTreeSet<String> = self.shards().await?.into_iter().collect();
        shards.extend(state.into_iter().flat_map(|state| state.shards));
        let repaired = stream::iter(shards)
            .map(|key| async move { self.repair_shard(&key, began).await })
            .buffered(AT_ONCE);
        repaired.try_concat().await
    }

    async fn repair_shard(&self, key: &str, began: Timestamp) -> Result<Vec<String>, StoreError> {
        let mut repaired = Vec::new();
        let shard: Option<IndexShard> = self.repair_object(key, began, &mut repaired).await?;
        for (name, secret) in shard.into_iter().flat_map(|shard| shard.secrets) {
            for part in 0..secret.parts {
                let key = part_key(key, &name, secret.parts, part);
                self.repair_object::<IndexPart>(&key, began, &mut repaired)
                    .await?;
            }
        }
        Ok(repaired)
    }

    /// Returns the object, if it need not be made again.
    async fn repair_object<T: Object>(
        &self,
        key: &str,
        began: Timestamp,
        repaired: &mut Vec<String>,
    ) -> Result<Option<T>, StoreError> {
        let empty = T::default().made_again(began);
        let (written, reason) = match self.get::<T>(key).await? {
            Stored::Present(_, object) => {
                if object.is_made_again_since(began) {
                    // By an earlier part of this sweep, which did not come to its end.
                    repaired.push(format!("{key}: it was lost before"));
                }
                return Ok(Some(object));
            }
            Stored::Missing => (self.0.create(key, &empty).await, "it is missing".to_owned()),
            Stored::Unreadable(version, reason) => {
                (self.0.replace(key, &empty, &version).await, reason)
            }
        };
        match written {
            // Another instance has made it again.
            Err(error) if error.is_conflict() => {}
            written => drop(written?),
        }
        repaired.push(format!("{key}: {reason}"));
        Ok(None)
    }
}
