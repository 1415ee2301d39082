//! The sources of the pages: the store, and the folder of the function app.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_records::fleet::Fleet;
use keyrelay_records::{History, Pending};
use keyrelay_store::{Store, StoreError};

use crate::cached::Cached;
use crate::recent::Recent;
use crate::setup::{Installation, Setup, SetupReader};

/// The age of the oldest run whose failure counts in the fleet, as for `keyrelay status`.
const RUNS_OF: Duration = Duration::from_hours(24 * 7);

/// The shortest time for which the fleet and the setup are kept in memory.
const FRESH: Duration = Duration::from_secs(5);

/// The sources of the pages.
#[derive(Debug)]
pub struct Sources {
    pub(crate) store: Store,
    setup: SetupReader,
    fleet: Cached<Fleet>,
    recent: Cached<Recent>,
    setups: Cached<Setup>,
}

impl Sources {
    /// The sources in a store and an installation. Nothing is read yet.
    pub fn new(store: Store, installation: Installation) -> Self {
        Self::kept_for(store, installation, FRESH)
    }

    /// The same sources, with the time for which they are kept in memory. Zero: every page reads them.
    pub fn kept_for(store: Store, installation: Installation, fresh: Duration) -> Self {
        Self {
            store,
            setup: SetupReader::new(installation),
            fleet: Cached::new(fresh),
            recent: Cached::new(fresh),
            setups: Cached::new(fresh),
        }
    }

    /// Reads what the pages keep in memory, so that the first one does not wait for it. A failure is
    /// that of the first page.
    pub async fn warm_up(&self) {
        let (fleet, recent) = tokio::join!(self.fleet(), self.recent());
        for error in [fleet.err(), recent.err()].into_iter().flatten() {
            tracing::warn!("the store cannot be read yet: {error}");
        }
        self.setup().await;
    }

    /// Forgets what an action may have changed.
    pub(crate) fn invalidate(&self) {
        self.fleet.invalidate();
        self.recent.invalidate();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.store.now()
    }

    pub(crate) fn history(&self) -> History {
        History::new(self.store.clone())
    }

    pub(crate) fn pending(&self) -> Pending {
        Pending::new(self.store.clone())
    }

    /// The fleet as it was a few seconds ago.
    pub(crate) async fn fleet(&self) -> Result<Arc<Fleet>, StoreError> {
        let store = self.store.clone();
        let read = || async move {
            let since = store.now().checked_sub(RUNS_OF);
            Fleet::read(&store, since.unwrap_or(Timestamp::UNIX_EPOCH)).await
        };
        self.fleet.get(read).await
    }

    /// The summary of recent runs, as it was a few seconds ago.
    pub(crate) async fn recent(&self) -> Result<Arc<Recent>, StoreError> {
        let store = self.store.clone();
        self.recent
            .get(|| async move { Recent::read(&store).await })
            .await
    }

    /// The configuration and the policies, as they were a few seconds ago.
    pub(crate) async fn setup(&self) -> Arc<Setup> {
        let reader = self.setup.clone();
        let read = self.setups.get(|| async move {
            let setup = reader.read().await;
            Ok::<_, std::convert::Infallible>(setup)
        });
        match read.await {
            // A policy that is being compiled is soon there.
            Ok(setup) if setup.is_compiling() => {
                self.setups.invalidate();
                setup
            }
            Ok(setup) => setup,
            Err(never) => match never {},
        }
    }
}
