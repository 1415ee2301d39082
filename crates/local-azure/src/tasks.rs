//! Background tasks that end with the stand-in.

use tokio_util::sync::{CancellationToken, DropGuard};

/// Spawns tasks that are cancelled together. Clones share the same tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks(CancellationToken);

impl Tasks {
    /// Spawns a task that runs until the stand-in stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.0.clone().run_until_cancelled_owned(task));
    }

    /// Runs a task to completion even if the caller is dropped. Returns `None` if the stand-in
    /// stops or the task panics.
    pub(crate) async fn run_to_completion<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        tokio::spawn(self.0.clone().run_until_cancelled_owned(task))
            .await
            .ok()
            .flatten()
    }

    /// A guard that cancels all tasks on drop.
    pub(crate) fn cancel_on_drop(&self) -> DropGuard {
        self.0.clone().drop_guard()
    }
}
