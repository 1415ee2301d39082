//! Reads of runs from the store, and their errors.

use anyhow::anyhow;
use keyrelay_records::history::{History, HistoryError};
use keyrelay_records::record::Run;
use keyrelay_records::run_id::RunId;
use keyrelay_store::{Store, StoreError};

use crate::out;

const HINT: &str = "\
hint: check that this is the URL of keyrelay's container. Outside of Azure, `az login` with an account that has the role
      `Storage Blob Data Reader` on it, or `Storage Blob Data Contributor` to resubmit";

/// The number of runs that are read concurrently.
pub(super) const AT_ONCE: usize = 16;

/// Reads a run of a list. None if it has been removed since, or cannot be parsed, which prints a
/// warning.
pub(super) async fn read(history: &History, id: &RunId) -> Result<Option<Run>, HistoryError> {
    match history.read(id).await {
        Err(HistoryError::Missing(_)) => Ok(None),
        Err(
            error @ (HistoryError::Newer { .. }
            | HistoryError::Store(StoreError::Unreadable { .. })),
        ) => {
            out::warning(&error.to_string());
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// The error that ends a command, with the action that failed, the store, and a hint.
pub(super) fn failed(what: &str, store: &Store, error: impl Into<HistoryError>) -> anyhow::Error {
    let error = error.into();
    let out_of_reach = matches!(error, HistoryError::Store(StoreError::Unavailable { .. }));
    let error = anyhow::Error::new(error).context(format!("cannot {what} the store {store}"));
    if out_of_reach && store.to_string().contains("://") {
        return anyhow!("{}\n{HINT}", out::chain(error.as_ref()));
    }
    error
}
