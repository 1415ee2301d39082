//! Watches the folder of the policies, and reloads what changes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::PolicyCache;

/// Debounce of a change: a file is copied in pieces.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Interval of scans without a notification. Notifications do not cross every file system.
const SCAN_EVERY: Duration = Duration::from_secs(5);

/// Whether the folder can change at all. That of a deployed package cannot, and a lock forbids it.
pub fn can_change(policies: &PolicyCache) -> bool {
    // The file has no name, and is gone when it is closed.
    !policies.is_locked() && tempfile::tempfile_in(policies.folder()).is_ok()
}

/// Reloads what changes in the folder, for as long as the process lives. Calls `changed` after each
/// change.
pub async fn watch<F: Future<Output = ()>>(policies: &PolicyCache, changed: impl Fn() -> F) {
    let notification = Arc::new(Notify::new());
    // The watcher ends when it is dropped.
    let _watcher = match watcher(policies.folder(), Arc::clone(&notification)) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            let seconds = SCAN_EVERY.as_secs();
            tracing::warn!(
                "the system does not notify of changes in `policies/`, which is scanned every \
                 {seconds} s instead: {error}"
            );
            None
        }
    };
    loop {
        if timeout(SCAN_EVERY, notification.notified()).await.is_ok() {
            sleep(DEBOUNCE).await;
        }
        if policies.reload().await {
            changed().await;
        }
    }
}

fn watcher(folder: &Path, notification: Arc<Notify>) -> notify::Result<impl Watcher + use<>> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reads are not changes.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            notification.notify_one();
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
