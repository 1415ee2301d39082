//! `keyrelay runs list`: the latest runs.

use std::num::NonZeroUsize;
use std::pin::pin;

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};
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
/// A line has the run's id, start time (UTC), cause, event, app (or the number of apps), most
/// severe verdict and duration, and the message of an error.
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
            &filter,
            &mut lines,
        )
        .await;
        listed.map_err(|error| failed("list the runs in", &store, error))?;
        if lines.printed == 0 {
            out::note(&format!("no such runs in the store {store}"));
        }
        Ok(())
    }
}

/// Prints runs up to the limit, or until standard output is closed.
async fn list(
    history: &History,
    limit: usize,
    since: Option<Timestamp>,
    filter: &Filter,
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

fn parse_since(text: &str) -> Result<Timestamp, String> {
    since(text, Timestamp::now())
}

fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(time) = text.parse::<DateTime>() {
        return TimeZone::UTC
            .to_timestamp(time)
            .map_err(|error| error.to_string());
    }
    let span = text
        .parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    match span.ok().filter(|span| !span.is_negative()).map(|span| now.checked_sub(span)) {
        Some(time) => time.map_err(|error| error.to_string()),
        None => {
            Err("write an age (`90m`, `2h`, `3d`), a day (`2026-11-01`) or a time (`2026-11-01T12:00:00`, UTC)"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T12:00:00Z";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(
            since(text, NOW.parse().unwrap()).unwrap().to_string(),
            expected
        );
    }

    #[test]
    fn since_when_is_an_age_a_day_or_a_time() {
        check("90m", "2026-11-23T10:30:00Z");
        check("2h", "2026-11-23T10:00:00Z");
        check("3d", "2026-11-20T12:00:00Z");
        check("1d 12h", "2026-11-22T00:00:00Z");
        check("2026-11-01", "2026-11-01T00:00:00Z");
        check("2026-11-01T12:00:00", "2026-11-01T12:00:00Z");
        check("2026-11-01T12:00:00+01:00", "2026-11-01T11:00:00Z");
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "yesterday",
            "2",
            "-2h",
            "2h ago",
            "1month",
            "9999999d",
            "2026-13-01",
        ] {
            assert!(since(text, NOW.parse().unwrap()).is_err(), "{text}");
        }
    }
}
