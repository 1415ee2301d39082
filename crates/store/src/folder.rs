//! The folder behind a store.
//!
//! `object_store` writes files atomically, but supports no conditional writes in folders. Writers
//! are therefore serialised by a lock on a file, which the operating system releases when a process
//! dies.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, UpdateVersion};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::StoreError;

/// The file that is locked during a write.
const LOCK_FILE: &str = ".lock";

/// The lock that serialises the writers of a folder.
#[derive(Debug, Clone)]
pub(crate) struct FolderLock {
    file: PathBuf,
    /// Serialises the writers of this process. Waiting for the operating system's lock blocks a
    /// thread.
    in_process: Arc<Mutex<()>>,
}

/// The right to write. Dropping it releases the lock.
pub(crate) struct WriteGuard {
    _file: File,
    _in_process: OwnedMutexGuard<()>,
}

pub(crate) fn open(folder: &Path) -> Result<(LocalFileSystem, FolderLock), StoreError> {
    let unavailable = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Unavailable {
        operation: "open",
        key: folder.display().to_string(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(|error| unavailable(error.into()))?;
    let objects =
        LocalFileSystem::new_with_prefix(folder).map_err(|error| unavailable(error.into()))?;
    // A container has no empty folders, so a folder should have none either.
    let objects = objects.with_automatic_cleanup(true);
    Ok((
        objects,
        FolderLock {
            file: folder.join(LOCK_FILE),
            in_process: Arc::default(),
        },
    ))
}

impl FolderLock {
    /// Returns an error if the store's folder is gone. A write would create it again, and empty.
    pub(crate) fn check_exists(&self) -> Result<(), object_store::Error> {
        // This blocks for a microsecond, which is less than `spawn_blocking` costs.
        match self.file.parent().is_some_and(Path::is_dir) {
            true => Ok(()),
            false => Err(object_store::Error::Generic {
                store: "folder",
                source: "the folder is gone".into(),
            }),
        }
    }

    pub(crate) async fn lock(&self) -> Result<WriteGuard, object_store::Error> {
        let in_process = Arc::clone(&self.in_process).lock_owned().await;
        let file = self.file.clone();
        let locked = tokio::task::spawn_blocking(move || {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(file)?;
            file.lock()?;
            Ok::<_, std::io::Error>(file)
        });
        let failed = |source| object_store::Error::Generic {
            store: "folder",
            source,
        };
        let file = locked
            .await
            .map_err(|error| failed(error.into()))?
            .map_err(|error| failed(error.into()))?;
        Ok(WriteGuard {
            _file: file,
            _in_process: in_process,
        })
    }
}

/// Checks that an object has not changed since it was read. Reliable only while a [`WriteGuard`] is
/// held.
pub(crate) async fn check(
    objects: &dyn ObjectStore,
    key: &Key,
    read: &UpdateVersion,
) -> Result<(), object_store::Error> {
    let now = objects.head(key).await?;
    if now.e_tag.is_some() && now.e_tag == read.e_tag {
        return Ok(());
    }
    Err(object_store::Error::Precondition {
        path: key.to_string(),
        source: "the object has changed".into(),
    })
}
