//! The sources of the pages: the store, and the folder of the function app.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_records::filters::RunFilter;
use keyrelay_records::fleet::Fleet;
use keyrelay_records::{History, Pending};
use keyrelay_store::{Store, StoreError};

use crate::cached::Cached;
use crate::cases::CheckedCase;
use crate::checks::{Checks, InstallationChecks};
use crate::search::{Bounds, FoundRuns, find};
use crate::setup::{Installation, InstalledPolicy, Setup, SetupReader};
use crate::snapshot::Snapshot;

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
    snapshot: Cached<Snapshot>,
    setups: Cached<Setup>,
    checks: Option<Checks>,
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
            snapshot: Cached::new(fresh),
            setups: Cached::new(fresh),
            checks: None,
        }
    }

    /// The same sources, with checks of the installation that look at Azure, too.
    #[must_use]
    pub fn with_checks(self, by: Arc<dyn InstallationChecks>) -> Self {
        Self {
            checks: Some(Checks::new(by)),
            ..self
        }
    }

    /// Makes the checks of the installation, again and again. It returns at once if there are none.
    pub async fn keep_checked(&self) {
        if let Some(checks) = &self.checks {
            checks.repeat().await;
        }
    }

    pub(crate) fn checks(&self) -> Option<&Checks> {
        self.checks.as_ref()
    }

    /// Reads what the pages keep in memory, so that the first one does not wait for it. A failure is
    /// that of the first page.
    pub async fn warm_up(&self) {
        let (fleet, snapshot) = tokio::join!(self.fleet(), self.snapshot());
        for error in [fleet.err(), snapshot.err()].into_iter().flatten() {
            tracing::warn!("the store cannot be read yet: {error}");
        }
        self.setup().await;
    }

    /// Forgets what an action may have changed.
    pub(crate) fn invalidate(&self) {
        self.fleet.invalidate();
        self.snapshot.invalidate();
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

    /// The run history as it was a few seconds ago.
    pub(crate) async fn snapshot(&self) -> Result<Arc<Snapshot>, StoreError> {
        let store = self.store.clone();
        self.snapshot
            .get(|| async move { Snapshot::read(&store).await })
            .await
    }

    /// Finds runs, the newest ones as they are now.
    pub(crate) async fn find_runs(
        &self,
        filter: &RunFilter,
        bounds: &Bounds,
    ) -> Result<FoundRuns, StoreError> {
        let snapshot = self.snapshot().await?;
        find(&self.history(), &snapshot, filter, bounds).await
    }

    /// Evaluates the test cases of a policy. None: that is not known.
    pub(crate) async fn evaluate_cases(&self, file: &InstalledPolicy) -> Option<Vec<CheckedCase>> {
        self.setup.evaluate_cases(file).await
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
