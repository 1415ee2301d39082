//! `keyrelay runs list`: the latest runs.

use std::num::NonZeroUsize;
use std::pin::pin;

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use keyrelay_records::filters::{self, RunFilter};
use keyrelay_records::history::{Entry, History, HistoryError};
use keyrelay_records::record::Run;
use keyrelay_records::run_id;
use keyrelay_records::summary::Summary;

use super::filter::Filter;
use super::lines::Lines;
use super::read::{AT_ONCE, failed, read};
use crate::out;
use crate::store_option::StoreOption;

/// List runs, newest first
///
/// Each run has two lines. The first has its id, which begins with the start time (UTC), the event and the
/// duration. The second has the verdict with its evidence, or the number of apps with each verdict, the app and
/// the cause. A third one has the message of an error. The numbers of all runs come last.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct List {
    /// Maximum number of runs
    #[arg(long, default_value = "20", value_name = "N")]
    limit: NonZeroUsize,
    /// Only runs that started after this: 90m, 2h, 3d, 2026-11-01 or 2026-11-01T12:00:00
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Timestamp>,
    #[command(flatten)]
    store: StoreOption,
    /// Print the record of each run, as JSON on one line
    #[arg(long)]
    json: bool,
    // Last, because its heading applies to all options after it.
    #[command(flatten)]
    filter: Filter,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay runs list --since 2h
  keyrelay runs list --since 2026-11-01 --verdict failed,rolled-back --limit 100
  keyrelay runs list --vault contoso-kv --secret 'sql-*' --app orders --cause event,resubmit
  keyrelay runs list --json | jq '.rotations[].requests[].request_id'";

impl List {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self {
            limit,
            since,
            store,
            json,
            filter,
        } = self;
        let store = store.open()?;
        let mut lines = Lines::new(json);
        let listed = list(
            &History::new(store.clone()),
            limit.get(),
            since,
            &filter.into(),
            &mut lines,
        )
        .await;
        listed.map_err(|error| failed("list the runs in", &store, error))?;
        if lines.printed == 0 {
            out::note(&format!("no such runs in the store {store}"));
        } else if !json {
            out::note(&lines.total());
        }
        Ok(())
    }
}

/// Prints runs up to the limit, or until standard output is closed.
async fn list(
    history: &History,
    limit: usize,
    since: Option<Timestamp>,
    filter: &RunFilter,
    lines: &mut Lines,
) -> Result<(), HistoryError> {
    let oldest = since.map(run_id::from).unwrap_or_default();
    let mut parts = pin!(history.entries(&oldest));
    while let Some(part) = parts.try_next().await? {
        let runs = stream::iter(part).map(async |entry| found(history, entry).await);
        let mut runs = runs.buffered(AT_ONCE);
        while let Some(run) = runs.next().await {
            let Some(run) = run?.filter(|run| filter.matches(run.summary())) else {
                continue;
            };
            let printed = match run {
                Found::Summary(summary) if lines.are_records() => {
                    let Some(run) = read(history, &summary.id).await? else {
                        continue;
                    };
                    lines.print(&run)
                }
                Found::Summary(summary) => lines.print_summary(&summary),
                Found::Run(run, _) => lines.print(&run),
            };
            if printed.is_err() || lines.printed == limit {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A run of the list.
enum Found {
    Summary(Summary),
    Run(Box<Run>, Summary),
}

impl Found {
    fn summary(&self) -> &Summary {
        match self {
            Self::Summary(summary) | Self::Run(_, summary) => summary,
        }
    }
}

/// Reads the run of an entry, unless it has a summary.
async fn found(history: &History, entry: Entry) -> Result<Option<Found>, HistoryError> {
    match entry {
        Entry::Summary(summary) => Ok(Some(Found::Summary(summary))),
        Entry::WithoutSummary(id) => {
            let run = read(history, &id).await?;
            Ok(run.map(|run| {
                let summary = Summary::of(&run);
                Found::Run(Box::new(run), summary)
            }))
        }
        Entry::Ignored(error) => {
            out::warning(&out::chain(&error));
            Ok(None)
        }
    }
}

pub(super) fn parse_since(text: &str) -> Result<Timestamp, String> {
    filters::since(text, Timestamp::now())
}
