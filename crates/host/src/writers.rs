//! One writer for each app, in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use keyrelay_azure::Call;
use keyrelay_model::AppId;
use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

use crate::outcome::Outcome;

/// The queues of rotations, one for each app that is being written.
#[derive(Debug, Default)]
pub struct Writers(Mutex<HashMap<AppId, Arc<Queue<()>>>>);

impl Writers {
    /// Waits until no other rotation works on the app. Rotations come in turn.
    pub async fn lock(&self, app: &AppId, call: &Call) -> Result<OwnedMutexGuard<()>, Outcome> {
        let queue = {
            let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // A queue that only this map holds is one that nobody is in.
            queues.retain(|_, queue| Arc::strong_count(queue) > 1);
            Arc::clone(queues.entry(app.clone()).or_default())
        };
        let turn = tokio::time::timeout(call.deadline.remaining(), queue.lock_owned()).await;
        turn.map_err(|_| Outcome::transient("other rotations of the app took all the time of this invocation"))
    }
}
