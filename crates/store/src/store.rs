//! The store and its operations on objects.

mod deletion;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::clock::StoreClock;
use crate::container::{self, ContainerError, ContainerUrl, TokenProvider};
use crate::error::StoreError;
use crate::folder::FolderLock;
use crate::watched::Watched;

/// The timeout of one operation, including its retries. A whole invocation has 25 s.
const OPERATION: Duration = Duration::from_secs(8);

/// A blob container or a folder. Clones are the same store.
///
/// Keys look like paths, with `/` between their parts. Every operation ends within 8 seconds, or at
/// the deadline of [`with_deadline`](Self::with_deadline) if that is earlier.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// Serialises the writers of a folder, which supports no conditional writes.
    lock: Option<FolderLock>,
    tokens: Option<Arc<dyn TokenProvider>>,
    location: String,
    deadline: Option<Instant>,
    clock: Arc<StoreClock>,
    /// The leases of others that this process waits for.
    watched: Arc<Watched<ObjectVersion>>,
}

/// An object, as read.
#[derive(Debug, Clone)]
pub struct Object {
    /// The content.
    pub bytes: Bytes,
    /// The version of the object, for [`Store::replace`].
    pub version: ObjectVersion,
}

/// The version of an object. Every write changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion(UpdateVersion);

impl Store {
    /// Opens the store in a folder, and creates the folder if necessary.
    pub fn folder(folder: &Path) -> Result<Self, StoreError> {
        let (objects, lock) = crate::folder::open(folder)?;
        let location = folder.display().to_string();
        Ok(Self {
            objects: Arc::new(objects),
            lock: Some(lock),
            tokens: None,
            location,
            deadline: None,
            clock: Arc::default(),
            watched: Arc::default(),
        })
    }

    /// Opens the store in a blob container, with requests through `client`. Sends no request yet.
    pub fn container(
        url: &ContainerUrl,
        tokens: Arc<dyn TokenProvider>,
        client: &reqwest::Client,
    ) -> Result<Self, ContainerError> {
        let clock = Arc::default();
        let objects = container::open(url, Arc::clone(&tokens), client, &clock)?;
        Ok(Self {
            objects: Arc::new(objects),
            lock: None,
            tokens: Some(tokens),
            location: url.to_string(),
            deadline: None,
            clock,
            watched: Arc::default(),
        })
    }

    /// The same store, whose operations end at `deadline` at the latest. `None` removes an earlier
    /// deadline.
    #[must_use]
    pub fn with_deadline(&self, deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }

    /// The time by the clock of the store, on which all instances agree to the second. A folder has
    /// the clock of this machine.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn watched(&self) -> &Watched<ObjectVersion> {
        &self.watched
    }

    /// Reads an object. Returns `None` if it does not exist.
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
            Err(OperationError::Missing) => Ok(None),
            Err(OperationError::Other(error)) => Err(error),
        }
    }

    /// Reads a JSON object. Returns `None` if it does not exist.
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

    /// Creates an object. Fails with a [conflict](StoreError::Conflict) if it exists.
    ///
    /// If a response is lost, the retry conflicts with our own first write.
    pub async fn create(
        &self,
        key: &str,
        value: &impl Serialize,
    ) -> Result<ObjectVersion, StoreError> {
        self.put(key, value, PutMode::Create).await
    }

    /// Replaces an object. Fails with a [conflict](StoreError::Conflict) if it has changed since it
    /// was read.
    ///
    /// If a response is lost, the retry conflicts with our own first write.
    pub async fn replace(
        &self,
        key: &str,
        value: &impl Serialize,
        read: &ObjectVersion,
    ) -> Result<ObjectVersion, StoreError> {
        self.put(key, value, PutMode::Update(read.0.clone())).await
    }

    /// Writes an object unconditionally.
    pub async fn write(&self, key: &str, value: &impl Serialize) -> Result<(), StoreError> {
        self.put(key, value, PutMode::Overwrite).await.map(drop)
    }

    /// Lists the keys of all objects below a folder, sorted.
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

    /// Lists the names of the folders directly below a folder, sorted.
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
            // Creating a file is atomic and cannot break another writer's condition.
            let _guard = match (&mode, &self.lock) {
                (PutMode::Create, Some(lock)) => lock.check_exists().map(|()| None)?,
                _ => self.write_guard().await?,
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
            // The object to replace was deleted.
            OperationError::Missing => StoreError::Conflict {
                key: key.to_owned(),
            },
            OperationError::Other(error) => error,
        })
    }

    async fn write_guard(&self) -> Result<Option<crate::folder::WriteGuard>, object_store::Error> {
        match &self.lock {
            Some(lock) => lock.lock().await.map(Some),
            None => Ok(None),
        }
    }

    /// Runs an operation until its timeout or the deadline. Retries it once if the store refuses
    /// the token.
    async fn attempt<T, F>(
        &self,
        operation: &'static str,
        key: &str,
        work: impl Fn() -> F,
    ) -> Result<T, OperationError>
    where
        F: Future<Output = Result<T, object_store::Error>>,
    {
        let with_retry = async {
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
        let now = Instant::now();
        let timeout = now + OPERATION;
        let end = self
            .deadline
            .map_or(timeout, |deadline| deadline.min(timeout));
        // A timeout polls the operation first, and could still write.
        if end <= now {
            return Err(OperationError::Other(StoreError::Unavailable {
                operation,
                key: key.to_owned(),
                source: "the deadline has passed".into(),
            }));
        }
        match tokio::time::timeout_at(end, with_retry)
            .instrument(span)
            .await
        {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(object_store::Error::NotFound { source, .. })) if !names_container(&*source) => {
                Err(OperationError::Missing)
            }
            Ok(Err(error)) => Err(OperationError::Other(StoreError::of(operation, key, error))),
            Err(elapsed) => Err(OperationError::Other(StoreError::Unavailable {
                operation,
                key: key.to_owned(),
                source: Box::new(elapsed),
            })),
        }
    }
}

/// Decodes a key from its path. Paths allow fewer characters than keys, so some are
/// percent-encoded.
fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// The failure of one operation.
enum OperationError {
    Missing,
    Other(StoreError),
}

fn missing_is_empty(
    listed: Result<Vec<String>, OperationError>,
) -> Result<Vec<String>, StoreError> {
    match listed {
        Ok(names) => Ok(names),
        Err(OperationError::Missing) => Ok(Vec::new()),
        Err(OperationError::Other(error)) => Err(error),
    }
}

/// Whether a 404 says that the container is missing, and not the object.
fn names_container(source: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(source), |error| error.source()).any(|error| {
        let text = error.to_string();
        text.contains("ContainerNotFound") || text.contains("AccountNotFound")
    })
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.location).finish()
    }
}

impl fmt::Display for Store {
    /// Writes the location: a folder or a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.location)
    }
}
