//! Resubmission of several runs: those that failed since a time, and the one that a hold has kept
//! from changing anything.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use keyrelay_model::{AppId, Verdict};
use keyrelay_store::{Store, StoreError};

use crate::history::{History, HistoryError};
use crate::holds::Hold;
use crate::pending::{Pending, PostponedEvent};
use crate::run_id;
use crate::run_id::RunId;
use crate::summary::{EventSummary, Summary, VerdictWord};

/// The number of runs that are read at once.
const AT_ONCE: usize = 16;

/// The error of a run that cannot be resubmitted.
#[derive(Debug, thiserror::Error)]
pub enum ResubmitError {
    /// The run cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The run has no event.
    #[error("run {0} has no event that could be handled again: its input was not a valid event")]
    NoEvent(RunId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Resubmits the event of a run: the reconcile timer handles it. Returns false if it waits already.
pub async fn resubmit(store: &Store, id: &RunId) -> Result<bool, ResubmitError> {
    let run = History::new(store.clone()).read(id).await?;
    let postponed = PostponedEvent::resubmission(&run, store.now());
    let postponed = postponed.ok_or_else(|| ResubmitError::NoEvent(id.clone()))?;
    Ok(Pending::new(store.clone()).postpone(&postponed).await?)
}

/// Finds the runs whose resubmission repeats everything that failed since a time, and that no later
/// run has repaired: one for each secret, the newest, because its event handles all apps of the
/// secret.
///
/// Reads the summaries of all runs since then.
pub async fn failed_since(store: &Store, since: Timestamp) -> Result<Vec<Summary>, StoreError> {
    let mut search = FailedSearch::default();
    let history = &History::new(store.clone());
    let oldest = run_id::from(since);
    let mut parts = pin!(history.entries(&oldest));
    while let Some(part) = parts.try_next().await? {
        let summaries = stream::iter(part).map(|entry| history.summary(entry));
        let mut summaries = summaries.buffered(AT_ONCE);
        while let Some(summary) = summaries.try_next().await? {
            if let Some(summary) = summary {
                search.add(&summary);
            }
        }
    }
    Ok(search.found())
}

/// The newest run of a held secret since its hold that changed nothing because of that.
pub async fn monitored_by(store: &Store, hold: &Hold) -> Result<Option<RunId>, StoreError> {
    let history = &History::new(store.clone());
    let oldest = run_id::from(hold.at);
    let mut parts = pin!(history.entries(&oldest));
    while let Some(part) = parts.try_next().await? {
        for entry in part {
            let Some(summary) = history.summary(entry).await? else {
                continue;
            };
            let is_of_secret = summary.event.as_ref().is_some_and(|event| {
                event.vault_host.eq_ignore_ascii_case(&hold.vault_host)
                    && event.name.eq_ignore_ascii_case(&hold.secret)
            });
            if !is_of_secret {
                continue;
            }
            match history.read(&summary.id).await {
                Ok(run)
                    if run.notes.iter().any(|note| Hold::is_note(note))
                        && run.outcomes().any(|it| it.verdict == Verdict::Monitored) =>
                {
                    return Ok(Some(run.id));
                }
                Err(HistoryError::Store(error @ StoreError::Unavailable { .. })) => {
                    return Err(error);
                }
                _ => {}
            }
        }
    }
    Ok(None)
}

/// The search for failed runs that no later run has repaired.
#[derive(Debug, Default)]
pub struct FailedSearch {
    /// The apps of secrets whose newest rotation was seen. None: the secret itself.
    seen: HashSet<(String, Option<AppId>)>,
    /// The newest failed run of each secret.
    found: BTreeMap<String, Summary>,
}

impl FailedSearch {
    /// The failed runs, one for each secret.
    pub fn found(self) -> Vec<Summary> {
        self.found.into_values().collect()
    }

    /// Adds a run. The newest has to be added first, and the oldest last.
    pub fn add(&mut self, summary: &Summary) {
        let Some(event) = &summary.event else { return };
        let secret = secret_key(event);
        let mut has_failed = false;
        if let Some(ended) = summary.ended {
            let is_newest = self.seen.insert((secret.clone(), None));
            has_failed |= is_newest && is_error(ended);
        }
        for (app, verdict) in &summary.rotations {
            let app = Some(app.as_ref().clone());
            let is_newest = self.seen.insert((secret.clone(), app));
            has_failed |= is_newest && is_error(*verdict);
        }
        if summary.ended.is_none() {
            // A run that got to its apps: an older one that did not is repaired.
            self.seen.insert((secret.clone(), None));
        }
        if has_failed {
            self.found.entry(secret).or_insert_with(|| summary.clone());
        }
    }
}

fn secret_key(event: &EventSummary) -> String {
    format!("{}/{}", event.vault_host, event.name).to_lowercase()
}

fn is_error(verdict: VerdictWord) -> bool {
    Verdict::from_word(verdict.as_str(), false).is_some_and(Verdict::is_error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::Cause;

    fn summary(hour: u32, secret: &str, rotations: &[(&str, Verdict)]) -> Summary {
        let at: Timestamp = format!("2026-11-26T{hour:02}:00:00Z").parse().unwrap();
        let app = |name: &str| {
            let id =
                format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/{name}");
            Arc::new(id.parse::<AppId>().unwrap())
        };
        Summary {
            id: RunId::at(at),
            cause: Cause::Event,
            duration_ms: 1,
            event: Some(Arc::new(EventSummary {
                occurrence: "NewVersionCreated".to_owned(),
                kind: "Secret".to_owned(),
                vault_host: "kv.vault.azure.net".to_owned(),
                name: secret.to_owned(),
            })),
            headline: "".into(),
            message: "".into(),
            ended: None,
            rotations: rotations
                .iter()
                .map(|(name, verdict)| (app(name), (*verdict).into()))
                .collect(),
        }
    }

    #[test]
    fn what_a_later_run_has_repaired_is_not_repeated() {
        let (good, bad) = (Verdict::Verified, Verdict::Refused);
        // The newest first.
        let runs = [
            summary(9, "sql", &[("a", good)]),
            summary(8, "SQL", &[("a", bad), ("b", bad)]),
            summary(7, "sql", &[("b", good), ("c", bad)]),
            summary(6, "other", &[("a", good)]),
            summary(5, "other", &[("a", bad)]),
        ];
        let mut search = FailedSearch::default();
        for run in runs.clone() {
            search.add(&run);
        }
        let found: Vec<RunId> = search.found().into_iter().map(|run| run.id).collect();
        assert_eq!(found, [runs[1].id.clone()]);
    }

    #[test]
    fn a_run_that_ended_before_its_apps_is_repeated_unless_a_later_one_got_to_them() {
        let mut ended = summary(7, "sql", &[]);
        ended.ended = Some(Verdict::Refused.into());
        let mut search = FailedSearch::default();
        search.add(&ended);
        assert_eq!(search.found().len(), 1);
        let mut search = FailedSearch::default();
        search.add(&summary(8, "sql", &[("a", Verdict::Verified)]));
        search.add(&ended);
        assert_eq!(search.found().len(), 0);
    }
}
