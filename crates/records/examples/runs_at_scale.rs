//! Writes a history of many runs into a new folder, and measures its summaries and its list:
//! `cargo run --release --package keyrelay-records --example runs_at_scale -- FOLDER [RUNS] [DAYS]`.
//!
//! `keyrelay runs --store FOLDER` lists the same runs.

#![expect(clippy::print_stdout, reason = "it prints its measurements")]

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use keyrelay_model::Verdict;
use keyrelay_records::record::RotationRecord;
use keyrelay_records::{Cause, Entry, History, Outcome, Run, RunId};
use keyrelay_store::Store;
use tokio::time::Instant;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("name a folder")?;
    let mut number = |default: u32| arguments.next().map_or(Ok(default), |text| text.parse());
    let (runs, days) = (number(100_000)?, number(90)?);
    let history = History::new(Store::folder(Path::new(&folder))?);

    let now = Timestamp::now();
    let period = Duration::from_hours(24) * days.max(1);
    let step = period / runs.max(1);
    let begin = Instant::now();
    let keeping = stream::iter(0..runs).map(|number| {
        let run = run(now - period + step * number, number);
        let history = &history;
        async move { history.keep(&run).await }
    });
    keeping
        .buffer_unordered(32)
        .try_collect::<Vec<()>>()
        .await?;
    report("write the runs", begin);

    let begin = Instant::now();
    // Later, so that the announcements of late records have come true.
    let later = now + Duration::from_hours(1);
    let summarized = history.compact(later, begin + Duration::from_hours(1));
    println!("{} runs summarized", summarized.await?);
    report("summarize them", begin);

    for limit in [20, usize::MAX] {
        let begin = Instant::now();
        let (mut listed, mut without_summary) = (0, 0);
        let mut parts = pin!(history.entries(""));
        while listed < limit
            && let Some(part) = parts.try_next().await?
        {
            let part = part.get(..limit - listed).unwrap_or(&part);
            let has_summary = |entry: &&Entry| matches!(entry, Entry::Summary(_));
            listed += part.len();
            without_summary += part.len() - part.iter().filter(has_summary).count();
        }
        report(
            &format!("list {listed} runs, {without_summary} of them without a summary"),
            begin,
        );
    }
    Ok(())
}

fn run(started: Timestamp, number: u32) -> Run {
    let app = format!(
        "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop\
         /providers/Microsoft.Web/sites/app-{}",
        number % 1_000
    );
    let outcome = Outcome::new(Verdict::Refused, format!("denied {}", number % 5_000));
    let rotations = app
        .parse()
        .map(|app| RotationRecord::ended(app, outcome, Duration::ZERO));
    Run {
        id: RunId::at(started),
        rotations: rotations.into_iter().collect(),
        ..Run::begin(Cause::Event, "invocation", None, started)
    }
}

fn report(what: &str, begin: Instant) {
    println!("{what}: {} ms", begin.elapsed().as_millis());
}
