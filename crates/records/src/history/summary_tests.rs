//! Tests of the run summaries.

use std::time::Duration;

use futures::TryStreamExt;
use jiff::Timestamp;
use keyrelay_model::Verdict;
use keyrelay_store::Store;
use tokio::time::Instant;

use super::compact::Sizes;
use super::segment::FORMAT;
use super::summaries::SummaryKeys;
use super::{Entry, History};
use crate::outcome::Outcome;
use crate::record::{Cause, RotationRecord, Run};
use crate::run_id::{self, RunId};
use crate::summary::Summary;

/// Small parts, so that a few runs have many.
const SMALL: Sizes = Sizes {
    segment: 6,
    batch: 2,
};

/// After this, a change has settled.
const SETTLED: Duration = Duration::from_mins(16);

struct Fixture {
    _folder: tempfile::TempDir,
    store: Store,
    history: History,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path()).unwrap();
        Self {
            _folder: folder,
            history: History::new(store.clone()),
            store,
        }
    }

    /// A fixture whose history has these runs, all of them with a summary.
    async fn with(runs: &[Run]) -> Self {
        let fixture = Self::new();
        fixture.keep(runs).await;
        fixture.compact().await;
        assert_eq!(fixture.summarized("").await.len(), runs.len());
        fixture
    }

    async fn keep(&self, runs: &[Run]) {
        for run in runs {
            self.history.keep(run).await.unwrap();
        }
    }

    async fn compact(&self) -> usize {
        self.compact_at(Timestamp::now() + SETTLED).await
    }

    async fn compact_at(&self, now: Timestamp) -> usize {
        let deadline = Instant::now() + Duration::from_secs(60);
        let compacting = self.history.compact_to(SMALL, now, deadline);
        compacting.await.unwrap()
    }

    async fn entries(&self, oldest: &str) -> Vec<Entry> {
        self.history.entries(oldest).try_concat().await.unwrap()
    }

    /// The runs in the list that come from the run summaries.
    async fn summarized(&self, oldest: &str) -> Vec<Summary> {
        let entries = self.entries(oldest).await.into_iter();
        let summarized = entries.filter_map(|entry| match entry {
            Entry::Summary(summary) => Some(summary),
            Entry::WithoutSummary(_) | Entry::Ignored(_) => None,
        });
        summarized.collect()
    }

    /// Checks that the list has these runs, as they are recorded.
    async fn check_lists(&self, runs: &[Run]) {
        let mut listed = Vec::new();
        for entry in self.entries("").await {
            match entry {
                Entry::Summary(summary) => listed.push(summary),
                Entry::WithoutSummary(id) => {
                    listed.push(Summary::of(&self.history.read(&id).await.unwrap()));
                }
                Entry::Ignored(_) => {}
            }
        }
        let mut expected: Vec<Summary> = runs.iter().map(Summary::of).collect();
        expected.sort_by(|a, b| b.id.cmp(&a.id));
        assert_eq!(listed, expected);
    }

    async fn segments(&self) -> Vec<String> {
        SummaryKeys::list(&self.store).await.unwrap().segments
    }

    async fn changes(&self) -> usize {
        SummaryKeys::list(&self.store).await.unwrap().changes.len()
    }
}

fn run(started: &str, verdict: Verdict) -> Run {
    let app = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/Orders";
    let outcome = Outcome::new(verdict, "denied\nin detail");
    let started: Timestamp = started.parse().unwrap();
    Run {
        id: RunId::at(started),
        duration_ms: 1_234,
        rotations: vec![RotationRecord::ended(
            app.parse().unwrap(),
            outcome,
            Duration::ZERO,
        )],
        ..Run::begin(Cause::Event, "i", None, started)
    }
}

/// Eleven runs on four days.
fn runs() -> Vec<Run> {
    let at = |day: usize, hour: usize| format!("2026-11-0{day}T{hour:02}:00:00Z");
    let times = (0..11).map(|number| at(1 + number / 3, number));
    times.map(|time| run(&time, Verdict::Refused)).collect()
}

#[tokio::test]
async fn settled_runs_are_listed_from_their_summaries() {
    let fixture = Fixture::new();
    let mut runs = runs();
    let soon = Timestamp::now() + Duration::from_mins(5);
    runs.push(run(&soon.to_string(), Verdict::Verified));
    fixture.keep(&runs).await;
    assert_eq!(fixture.compact().await, 11);
    assert_eq!(fixture.summarized("").await.len(), 11);
    // Three runs with one app each are a segment.
    assert_eq!(fixture.segments().await.len(), 4);
    fixture.check_lists(&runs).await;
    assert_eq!(fixture.compact().await, 0);
}

#[tokio::test]
async fn a_list_ends_with_the_oldest_wanted_run() {
    let runs = runs();
    let fixture = Fixture::with(&runs).await;
    for (position, run) in runs.iter().enumerate() {
        let oldest = run_id::from(run.started);
        let listed = fixture.summarized(&oldest).await;
        assert_eq!(listed.len(), runs.len() - position);
        assert_eq!(listed.last().unwrap().id, run.id);
    }
}

#[tokio::test]
async fn a_run_that_is_recorded_late_is_listed() {
    let mut runs = runs();
    let late = runs.remove(4);
    let fixture = Fixture::with(&runs).await;
    fixture.keep(std::slice::from_ref(&late)).await;
    runs.push(late);
    fixture.check_lists(&runs).await;
    assert_eq!(fixture.compact().await, 0);
    assert_eq!(fixture.summarized("").await.len(), 11);
    assert_eq!(fixture.changes().await, 0);
}

#[tokio::test]
async fn a_change_is_listed_before_and_after_its_summary_has_it() {
    let mut runs = runs();
    let fixture = Fixture::with(&runs).await;
    let change = |run: &mut Run| run.rotations[0].outcome.verdict = Verdict::Verified;
    change(&mut runs[5]);
    let id = runs[5].id.clone();
    fixture.history.amend(&id, change).await.unwrap();
    fixture.check_lists(&runs).await;
    // The change may still be under way, as far as others know.
    fixture.compact_at(Timestamp::now()).await;
    assert_eq!(fixture.changes().await, 1);
    fixture.check_lists(&runs).await;
    fixture.compact().await;
    assert_eq!(fixture.changes().await, 0);
    assert_eq!(fixture.summarized("").await.len(), 11);
    fixture.check_lists(&runs).await;
}

#[tokio::test]
async fn a_change_of_a_new_run_is_not_announced() {
    let fixture = Fixture::new();
    let new = run(&Timestamp::now().to_string(), Verdict::Pending);
    fixture.keep(std::slice::from_ref(&new)).await;
    fixture.history.amend(&new.id, |_| {}).await.unwrap();
    assert_eq!(fixture.changes().await, 0);
}

#[tokio::test]
async fn a_segment_that_cannot_be_read_is_ignored_and_made_again() {
    let newer = serde_json::json!({ "format": FORMAT + 1 });
    let (nothing, strange) = (
        serde_json::json!([]),
        serde_json::json!({ "format": FORMAT }),
    );
    for (position, content) in [(0, newer), (1, nothing), (2, strange)] {
        let runs = runs();
        let fixture = Fixture::with(&runs).await;
        let key = &fixture.segments().await[position];
        fixture.store.write(key, &content).await.unwrap();
        let entries = fixture.entries("").await;
        let ignored = entries.iter().filter(|it| matches!(it, Entry::Ignored(_)));
        assert_eq!(ignored.count(), 1);
        fixture.check_lists(&runs).await;
        fixture.compact().await;
        assert_eq!(fixture.summarized("").await.len(), 11);
        fixture.check_lists(&runs).await;
    }
}

#[tokio::test]
async fn the_runs_of_removed_days_are_not_listed_and_lose_their_summaries() {
    let runs = runs();
    let fixture = Fixture::with(&runs).await;
    let now = "2026-11-04T12:00:00Z".parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let keep = Duration::from_hours(24);
    let pruned = fixture.history.prune(keep, now, deadline).await.unwrap();
    assert_eq!(pruned, 6);
    fixture.check_lists(&runs[6..]).await;
    assert_eq!(fixture.segments().await.len(), 2);
    fixture.compact().await;
    fixture.check_lists(&runs[6..]).await;
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_to_the_reader() {
    let mut runs = runs();
    runs[3].format += 1;
    let fixture = Fixture::new();
    fixture.keep(&runs).await;
    fixture.compact().await;
    let entries = fixture.entries("").await;
    assert_eq!(entries.len(), 11);
    let without_summary = |entry: &&Entry| matches!(entry, Entry::WithoutSummary(_));
    let Some(Entry::WithoutSummary(id)) = entries.iter().find(without_summary) else {
        panic!("all runs have a summary");
    };
    assert_eq!(*id, runs[3].id);
}

#[tokio::test]
async fn nothing_is_lost_by_concurrent_compactions_and_by_ones_that_are_killed() {
    let fixture = Fixture::new();
    let mut kept = Vec::new();
    for (number, run) in runs().into_iter().enumerate() {
        fixture.keep(std::slice::from_ref(&run)).await;
        kept.push(run);
        let amended = &mut kept[number / 2];
        amended.rotations[0].outcome.verdict = Verdict::Monitored;
        let verdict = |run: &mut Run| run.rotations[0].outcome.verdict = Verdict::Monitored;
        fixture.history.amend(&amended.id, verdict).await.unwrap();
        // Ends after so many steps, wherever it is.
        let killed = async {
            for _ in 0..number * 10 {
                tokio::task::yield_now().await;
            }
        };
        let compacting = async { futures::join!(fixture.compact(), fixture.compact()) };
        tokio::select! {
            biased;
            () = killed => {}
            _ = compacting => {}
        }
        fixture.check_lists(&kept).await;
    }
    fixture.compact().await;
    assert_eq!(fixture.summarized("").await.len(), 11);
    fixture.check_lists(&kept).await;
}
