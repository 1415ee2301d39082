//! Notices that the folder of the policies has changed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::Shelf;

/// How long a change is left to settle: whoever copies a file writes it in pieces.
const SETTLING: Duration = Duration::from_millis(100);

/// How often the folder is looked at without a word from the system: words do not cross every file system.
const WITHOUT_WORD: Duration = Duration::from_secs(5);

impl Shelf {
    /// Whether the folder can change at all. A deployed package cannot, and a lock does not let it.
    pub fn can_change(&self) -> bool {
        // A file without a name, gone when it is closed.
        self.lock.is_none() && tempfile::tempfile_in(&self.folder).is_ok()
    }

    /// Takes up what changes in the folder, for as long as the process lives. Calls `changed` after each time.
    pub async fn watch<F: Future<Output = ()>>(&self, changed: impl Fn() -> F) {
        let word = Arc::new(Notify::new());
        // Ends when it is dropped.
        let _watcher = match watcher(&self.folder, Arc::clone(&word)) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                let seconds = WITHOUT_WORD.as_secs();
                tracing::warn!(
                    "the system does not say when policies change, they are looked at every {seconds} s: {error}"
                );
                None
            }
        };
        loop {
            if timeout(WITHOUT_WORD, word.notified()).await.is_ok() {
                sleep(SETTLING).await;
            }
            if self.take_up_changes().await {
                changed().await;
            }
        }
    }
}

fn watcher(folder: &Path, word: Arc<Notify>) -> notify::Result<impl Watcher + use<>> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading is no change.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            word.notify_one();
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
