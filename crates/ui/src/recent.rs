//! A summary of recent runs: the counts of a day, and the failures.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_records::resubmission::FailedSearch;
use keyrelay_records::run_id;
use keyrelay_records::summary::Summary;

const DAY: Duration = Duration::from_hours(24);

/// The time in which a failure that no later run has repaired is shown.
const FAILED: Duration = Duration::from_hours(24 * 7);

/// The largest number of runs in each list.
const LISTED: usize = 10;

/// A summary of recent runs.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// The number of verdicts of the last day, by their words.
    pub(crate) verdicts: BTreeMap<&'static str, usize>,
    /// The newest runs of the last day that have changed apps.
    pub(crate) changed: Vec<Summary>,
    /// The failed runs of the last 7 days that no later run has repaired.
    pub(crate) failed: Vec<Summary>,
}

impl Recent {
    /// The summary of these runs, the newest first.
    pub(crate) fn of(runs: &[Summary], now: Timestamp) -> Self {
        let ago = |time: Duration| now.checked_sub(time).unwrap_or(Timestamp::UNIX_EPOCH);
        let [day, week] = [DAY, FAILED].map(|time| run_id::from(ago(time)));
        let since = |oldest: String| {
            runs.iter()
                .take_while(move |run| run.id.as_str() >= oldest.as_str())
        };
        let mut recent = Self::default();
        since(day).for_each(|run| recent.add_of_day(run));
        let mut failed = FailedSearch::default();
        since(week).for_each(|run| failed.add(run));
        recent.failed = failed.found();
        recent.failed.sort_by(|a, b| b.id.cmp(&a.id));
        recent
    }

    fn add_of_day(&mut self, summary: &Summary) {
        for verdict in summary.verdicts() {
            *self.verdicts.entry(verdict.as_str()).or_default() += 1;
        }
        let mut verdicts = summary.verdicts();
        let has_changed =
            verdicts.any(|it| matches!(it.as_str(), "verified" | "refreshed" | "rolled back"));
        if has_changed && self.changed.len() < LISTED {
            self.changed.push(summary.clone());
        }
    }
}
