//! Objects by key, and what may be done with them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;

use crate::container::{self, ContainerError, ContainerUrl, Tokens};
use crate::error::StoreError;
use crate::folder::FolderLock;

/// How long one operation may take, its repetitions included. An invocation has 25 s for everything.
const OPERATION: Duration = Duration::from_secs(8);

/// A blob container, or a folder. Clones are the same store.
///
/// Keys look like paths, with `/` between their parts. Every operation ends within 8 seconds.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// A folder knows no conditions, so its writers take turns.
    lock: Option<FolderLock>,
    tokens: Option<Arc<dyn Tokens>>,
    place: String,
}

/// An object as it was when it was read.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its content.
    pub bytes: Bytes,
    /// Which state of the object this is, for [`Store::replace`].
    pub version: ObjectVersion,
}

/// One state of an object: it is another one after every write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion(UpdateVersion);

impl Store {
    /// The store in a folder, which is made if it is not there.
    pub fn folder(folder: &Path) -> Result<Self, StoreError> {
        let (objects, lock) = crate::folder::open(folder)?;
        let place = folder.display().to_string();
        Ok(Self {
            objects: Arc::new(objects),
            lock: Some(lock),
            tokens: None,
            place,
        })
    }

    /// The store in a blob container, reached through `client`. Asks nothing of it yet.
    pub fn container(
        url: &ContainerUrl,
        tokens: Arc<dyn Tokens>,
        client: &reqwest::Client,
    ) -> Result<Self, ContainerError> {
        let objects = container::open(url, Arc::clone(&tokens), client)?;
        Ok(Self {
            objects: Arc::new(objects),
            lock: None,
            tokens: Some(tokens),
            place: url.to_string(),
        })
    }

    /// Reads an object; none if it is not there.
    pub async fn read(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let path = Key::from(key);
        let read = self.attempt("read", key, || async {
            let result = self.objects.get(&path).await?;
            let version = ObjectVersion(UpdateVersion {
                e_tag: result.meta.e_tag.clone(),
                version: result.meta.version.clone(),
            });
            Ok(Object {
                bytes: result.bytes().await?,
                version,
            })
        });
        match read.await {
            Ok(object) => Ok(Some(object)),
            Err(Failed::Missing) => Ok(None),
            Err(Failed::Other(error)) => Err(error),
        }
    }

    /// Reads an object that is JSON; none if it is not there.
    pub async fn read_json<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<(T, ObjectVersion)>, StoreError> {
        let Some(Object { bytes, version }) = self.read(key).await? else {
            return Ok(None);
        };
        let value =
            serde_json::from_slice(&bytes).map_err(|error| StoreError::unreadable(key, &error))?;
        Ok(Some((value, version)))
    }

    /// Creates an object; a [conflict](StoreError::Conflict) if it is there.
    ///
    /// When an answer gets lost and the operation is repeated, our own first write is such a conflict too.
    pub async fn create(
        &self,
        key: &str,
        value: &impl Serialize,
    ) -> Result<ObjectVersion, StoreError> {
        self.put(key, value, PutMode::Create).await
    }

    /// Replaces an object; a [conflict](StoreError::Conflict) if it is no longer in the state that was read.
    ///
    /// When an answer gets lost and the operation is repeated, our own first write is such a conflict too.
    pub async fn replace(
        &self,
        key: &str,
        value: &impl Serialize,
        read: &ObjectVersion,
    ) -> Result<ObjectVersion, StoreError> {
        self.put(key, value, PutMode::Update(read.0.clone())).await
    }

    /// Writes an object, whatever was there.
    pub async fn write(&self, key: &str, value: &impl Serialize) -> Result<(), StoreError> {
        self.put(key, value, PutMode::Overwrite).await.map(drop)
    }

    /// Deletes an object. One that is not there is as good as deleted.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = Key::from(key);
        let deleted = self.attempt("delete", key, || async {
            let _turn = self.turn().await?;
            self.objects.delete(&path).await
        });
        match deleted.await {
            Ok(()) | Err(Failed::Missing) => Ok(()),
            Err(Failed::Other(error)) => Err(error),
        }
    }

    /// The keys of all objects below a folder, in the order of their names.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let path = Key::from(folder);
        let listed = self.attempt("list", folder, || async {
            let objects: Vec<_> = self.objects.list(Some(&path)).try_collect().await?;
            Ok(objects
                .into_iter()
                .map(|object| decoded(object.location.as_ref()))
                .collect())
        });
        let mut keys: Vec<String> = missing_is_empty(listed.await)?;
        keys.sort();
        Ok(keys)
    }

    /// The names of the folders right below a folder, in order.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let path = Key::from(folder);
        let listed = self.attempt("list", folder, || async {
            let found = self.objects.list_with_delimiter(Some(&path)).await?;
            let names = found
                .common_prefixes
                .iter()
                .filter_map(|prefix| prefix.parts().next_back());
            Ok(names.map(|name| decoded(name.as_ref())).collect())
        });
        let mut names: Vec<String> = missing_is_empty(listed.await)?;
        names.sort();
        Ok(names)
    }

    async fn put(
        &self,
        key: &str,
        value: &impl Serialize,
        mode: PutMode,
    ) -> Result<ObjectVersion, StoreError> {
        let path = Key::from(key);
        let bytes = Bytes::from(
            serde_json::to_vec(value).map_err(|error| StoreError::unreadable(key, &error))?,
        );
        let put = self.attempt("write", key, || async {
            // Creating is atomic in a folder, too, and harms nobody whose turn it is.
            let _turn = match (&mode, &self.lock) {
                (PutMode::Create, Some(lock)) => lock.is_there().map(|()| None)?,
                _ => self.turn().await?,
            };
            let mode = match (&mode, &self.lock) {
                (PutMode::Update(read), Some(_)) => {
                    crate::folder::check(&*self.objects, &path, read).await?;
                    PutMode::Overwrite
                }
                _ => mode.clone(),
            };
            let options = PutOptions {
                mode,
                ..PutOptions::default()
            };
            let result = self
                .objects
                .put_opts(&path, bytes.clone().into(), options)
                .await?;
            Ok(ObjectVersion(UpdateVersion {
                e_tag: result.e_tag,
                version: result.version,
            }))
        });
        put.await.map_err(|failed| match failed {
            // Replacing what somebody has deleted.
            Failed::Missing => StoreError::Conflict {
                key: key.to_owned(),
            },
            Failed::Other(error) => error,
        })
    }

    async fn turn(&self) -> Result<Option<crate::folder::Turn>, object_store::Error> {
        match &self.lock {
            Some(lock) => lock.turn().await.map(Some),
            None => Ok(None),
        }
    }

    /// Does something within the time for one operation; once more if the store has refused the token.
    async fn attempt<T, F>(
        &self,
        operation: &'static str,
        key: &str,
        work: impl Fn() -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, object_store::Error>>,
    {
        let both = async {
            match (work().await, &self.tokens) {
                (Err(object_store::Error::Unauthenticated { .. }), Some(tokens)) => {
                    tokens.refused().await;
                    work().await
                }
                (result, _) => result,
            }
        };
        // Spans of all crates have this target: see `keyrelay_azure::SPANS`.
        let span = tracing::info_span!(target: "keyrelay::trace", "store", otel.name = %format_args!("store {operation}"), otel.kind = "client", store.key = key);
        match tokio::time::timeout(OPERATION, both).instrument(span).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(object_store::Error::NotFound { source, .. })) if !names_container(&*source) => {
                Err(Failed::Missing)
            }
            Ok(Err(error)) => Err(Failed::Other(StoreError::of(operation, key, error))),
            Err(elapsed) => Err(Failed::Other(StoreError::OutOfReach {
                operation,
                key: key.to_owned(),
                source: Box::new(elapsed),
            })),
        }
    }
}

/// A key as it was given: places have fewer characters than keys, so some are written with `%`.
fn decoded(place: &str) -> String {
    percent_decode_str(place).decode_utf8_lossy().into_owned()
}

/// How one operation failed.
enum Failed {
    Missing,
    Other(StoreError),
}

fn missing_is_empty(listed: Result<Vec<String>, Failed>) -> Result<Vec<String>, StoreError> {
    match listed {
        Ok(names) => Ok(names),
        Err(Failed::Missing) => Ok(Vec::new()),
        Err(Failed::Other(error)) => Err(error),
    }
}

/// Whether a 404 is about the container: then it is not the object that is missing.
fn names_container(source: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(source), |error| error.source()).any(|error| {
        let text = error.to_string();
        text.contains("ContainerNotFound") || text.contains("AccountNotFound")
    })
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.place).finish()
    }
}

impl fmt::Display for Store {
    /// Where it is: a folder or a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}
