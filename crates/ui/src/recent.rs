//! A summary of recent runs: the counts of a day, the failures, and the secrets that expire soon.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_records::resubmission::FailedSearch;
use keyrelay_records::summary::Summary;
use keyrelay_records::{History, RunId, run_id};

const DAY: Duration = Duration::from_hours(24);

/// The time in which a failure that no later run has repaired is shown.
const FAILED: Duration = Duration::from_hours(24 * 7);

/// Key Vault tells of an expiry 30 days ahead.
const EXPIRING: Duration = Duration::from_hours(24 * 31);

/// The number of runs that are read at once.
const AT_ONCE: usize = 16;

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
    /// The secrets that expire, or have expired, without a newer version: the one that expires
    /// first comes first.
    pub(crate) expiring: Vec<Expiring>,
}

/// A secret that expires, as an event of Key Vault or a reminder has told.
#[derive(Debug)]
pub(crate) struct Expiring {
    pub(crate) vault: String,
    pub(crate) secret: String,
    /// None: the event does not tell.
    pub(crate) expires: Option<Timestamp>,
    pub(crate) run: RunId,
}

impl Recent {
    /// The summary of these runs, the newest first. It reads when secrets expire.
    pub(crate) async fn of(runs: &[Summary], now: Timestamp, history: &History) -> Self {
        let ago = |time: Duration| now.checked_sub(time).unwrap_or(Timestamp::UNIX_EPOCH);
        let [day, week, month] = [DAY, FAILED, EXPIRING].map(|time| run_id::from(ago(time)));
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
        let mut expiry = ExpirySearch::default();
        since(month).for_each(|run| expiry.add(run));
        recent.expiring = expiry.read(history).await;
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

/// The search for secrets that expire, from the newest run to the oldest.
#[derive(Default)]
struct ExpirySearch {
    /// The secrets whose newest event about versions was seen.
    seen: HashSet<String>,
    found: Vec<Expiring>,
}

impl ExpirySearch {
    fn add(&mut self, summary: &Summary) {
        let Some(event) = &summary.event else { return };
        let secret = format!("{}/{}", event.vault_host, event.name).to_lowercase();
        if self.seen.insert(secret) && event.occurrence != "NewVersionCreated" {
            self.found.push(Expiring {
                vault: event.vault_host.clone(),
                secret: event.name.clone(),
                expires: None,
                run: summary.id.clone(),
            });
        }
    }

    /// Reads when they expire. A run that cannot be read does not tell.
    async fn read(self, history: &History) -> Vec<Expiring> {
        let read = stream::iter(self.found).map(|mut expiring| async {
            let run = history.read(&expiring.run).await.ok();
            let event = run.and_then(|run| run.event);
            let expires = event.and_then(|event| event.expires);
            expiring.expires = expires
                .and_then(|seconds| i64::try_from(seconds).ok())
                .and_then(|seconds| Timestamp::from_second(seconds).ok());
            expiring
        });
        let mut found: Vec<Expiring> = read.buffered(AT_ONCE).collect().await;
        found.sort_by_key(|it| (it.expires.unwrap_or(Timestamp::MAX), it.secret.clone()));
        found
    }
}
