//! Runs as lines of text or JSON.

use std::collections::BTreeMap;
use std::io;

use anstyle::{AnsiColor, Style};
use keyrelay_model::Verdict;
use keyrelay_records::filters::app_name;
use keyrelay_records::record::Run;
use keyrelay_records::summary::{EventSummary, Summary, VerdictWord};

use crate::out::{self, cell};

/// The widths of the columns of the first line: the event, and the duration.
const EVENT: usize = 40;
const TOOK: usize = 8;

/// The widths of the columns of the second line: the verdicts, and the app.
const VERDICTS: usize = 36;
const APP: usize = 30;

/// The width of a line.
const LINE: usize = 80;

/// Prints runs one by one.
#[derive(Debug)]
pub(super) struct Lines {
    json: bool,
    /// The number of printed runs.
    pub(super) printed: usize,
    /// The number of apps, and of runs without one, with each verdict.
    verdicts: BTreeMap<&'static str, usize>,
}

impl Lines {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            printed: 0,
            verdicts: BTreeMap::new(),
        }
    }

    /// Whether the record of each run is printed, and not its summary.
    pub(super) fn are_records(&self) -> bool {
        self.json
    }

    /// Prints a run, or its record as JSON. Returns an error if standard output is closed.
    pub(super) fn print(&mut self, run: &Run) -> io::Result<()> {
        if !self.json {
            return self.print_summary(&Summary::of(run));
        }
        out::data(&out::escaped(&serde_json::to_string(run)?))?;
        self.printed += 1;
        Ok(())
    }

    /// Prints the lines of a run. Returns an error if standard output is closed.
    pub(super) fn print_summary(&mut self, run: &Summary) -> io::Result<()> {
        for line in of_run(run) {
            out::styled_data(&line)?;
        }
        self.printed += 1;
        for verdict in run.verdicts() {
            *self.verdicts.entry(verdict.as_str()).or_default() += 1;
        }
        Ok(())
    }

    /// The number of verdicts of all printed runs: `3 runs: 2 failed, 27 verified`.
    pub(super) fn total(&self) -> String {
        let verdicts = self.verdicts.iter().map(|(word, count)| (*word, *count));
        format!(
            "{}: {}",
            out::counted(self.printed, "run", "runs"),
            joined(verdicts.collect())
        )
    }
}

/// A duration with its unit.
pub(super) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        short @ ..10_000 => format!("{short} ms"),
        long => format!("{}.{} s", long / 1_000, long % 1_000 / 100),
    }
}

/// The number of apps with each verdict, worst first: `2 failed, 27 verified`.
pub(super) fn counts(verdicts: impl Iterator<Item = VerdictWord>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for verdict in verdicts {
        *counts.entry(verdict.as_str()).or_default() += 1;
    }
    joined(counts.into_iter().collect())
}

fn joined(mut counts: Vec<(&str, usize)>) -> String {
    let weight = |word| Verdict::from_word(word, false).map(Verdict::weight);
    counts.sort_by_key(|(word, _)| std::cmp::Reverse(weight(word)));
    let counts = counts
        .into_iter()
        .map(|(word, count)| format!("{count} {word}"));
    let counts: Vec<String> = counts.collect();
    match counts.as_slice() {
        [] => "none".to_owned(),
        counts => counts.join(", "),
    }
}

/// The run and its event; its verdicts; and the message of an error.
fn of_run(run: &Summary) -> Vec<String> {
    let event = run.event.as_deref();
    let event = event.map_or_else(|| "none".to_owned(), EventSummary::in_words);
    let (verdicts, apps) = match run.rotations.as_slice() {
        [] => (run.headline.to_string(), String::new()),
        [(app, _)] => (run.headline.to_string(), app_name(app)),
        many => (counts(run.verdicts()), format!("{} apps", many.len())),
    };
    let worst = run
        .verdicts()
        .filter_map(style)
        .max_by_key(|(weight, _)| *weight);
    let style = worst.map(|(_, style)| style).unwrap_or_default();
    let mut lines = vec![
        format!(
            "{:28}  {} {:>TOOK$}",
            run.id.as_str(),
            cell(&event, EVENT),
            duration(run.duration_ms)
        ),
        format!(
            "  {style}{}{style:#} {} {}",
            cell(&verdicts, VERDICTS),
            cell(&apps, APP),
            run.cause.as_str(),
        ),
    ];
    if !run.message.is_empty() {
        lines.push(format!("    {}", out::start(&run.message, LINE - 4)));
    }
    lines
}

/// The style of a verdict, and how severe the verdict is.
fn style(verdict: VerdictWord) -> Option<(u8, Style)> {
    let verdict = Verdict::from_word(verdict.as_str(), false)?;
    let color = match verdict {
        Verdict::Failed(_) | Verdict::Refused | Verdict::RolledBack => Some(AnsiColor::Red),
        Verdict::Pending | Verdict::Notice => Some(AnsiColor::Yellow),
        Verdict::Verified | Verdict::Refreshed => Some(AnsiColor::Green),
        Verdict::Unchanged | Verdict::Monitored => None,
    };
    let style = color.map(AnsiColor::on_default);
    Some((verdict.weight(), style.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_short_and_has_a_unit() {
        assert_eq!(
            [0, 9_999, 10_000, 25_678].map(duration),
            ["0 ms", "9999 ms", "10.0 s", "25.6 s"]
        );
    }
}
