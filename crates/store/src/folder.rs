//! A folder as a store. `object_store` writes files atomically but knows no conditions on folders: writers take turns by
//! a lock on a file, which the operating system frees when a process dies.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, UpdateVersion};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::StoreError;

/// The file whose lock is held while something is written.
const LOCK_FILE: &str = ".lock";

/// The queue of those who want to write.
#[derive(Debug, Clone)]
pub(crate) struct FolderLock {
    file: PathBuf,
    /// Those of this process: the operating system's lock would cost a thread for each that waits.
    own: Arc<Mutex<()>>,
}

/// The right to write, until it is dropped.
pub(crate) struct Turn {
    _file: File,
    _own: OwnedMutexGuard<()>,
}

pub(crate) fn open(folder: &Path) -> Result<(LocalFileSystem, FolderLock), StoreError> {
    let out_of_reach = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::OutOfReach {
        operation: "open",
        key: folder.display().to_string(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(|error| out_of_reach(error.into()))?;
    let objects =
        LocalFileSystem::new_with_prefix(folder).map_err(|error| out_of_reach(error.into()))?;
    // A container has no empty folders.
    let objects = objects.with_automatic_cleanup(true);
    Ok((
        objects,
        FolderLock {
            file: folder.join(LOCK_FILE),
            own: Arc::default(),
        },
    ))
}

impl FolderLock {
    /// An error if the store's folder is gone: whoever writes would make it anew, and empty.
    pub(crate) fn is_there(&self) -> Result<(), object_store::Error> {
        // Looking takes a microsecond, which is less than another thread does.
        match self.file.parent().is_some_and(Path::is_dir) {
            true => Ok(()),
            false => Err(object_store::Error::Generic {
                store: "folder",
                source: "the folder is gone".into(),
            }),
        }
    }

    pub(crate) async fn turn(&self) -> Result<Turn, object_store::Error> {
        let own = Arc::clone(&self.own).lock_owned().await;
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
        Ok(Turn {
            _file: file,
            _own: own,
        })
    }
}

/// Whether an object is still in the state that was read. Only sure during a [`Turn`].
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
