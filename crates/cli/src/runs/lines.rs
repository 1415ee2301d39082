//! Runs as lines of text or JSON.

use std::io;

use keyrelay_records::filters::app_name;
use keyrelay_records::record::Run;
use keyrelay_records::summary::{EventSummary, Summary};

use crate::out;

/// Prints runs one by one.
#[derive(Debug)]
pub(super) struct Lines {
    json: bool,
    /// The number of printed runs.
    pub(super) printed: usize,
}

impl Lines {
    pub(super) fn new(json: bool) -> Self {
        Self { json, printed: 0 }
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

    /// Prints the line of a run. Returns an error if standard output is closed.
    pub(super) fn print_summary(&mut self, run: &Summary) -> io::Result<()> {
        if self.printed == 0 {
            out::data(&row(
                ["run", "began", "cause", "event", "apps", "verdict", "took"],
                "",
            ))?;
        }
        out::data(&of_run(run))?;
        self.printed += 1;
        Ok(())
    }
}

/// A duration with its unit.
pub(super) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        short @ ..10_000 => format!("{short} ms"),
        long => format!("{}.{} s", long / 1_000, long % 1_000 / 100),
    }
}

fn of_run(run: &Summary) -> String {
    let began = run.id.began().map(|began| format!("{began:.0}"));
    let event = run.event.as_deref();
    let event = event.map_or_else(|| "none".to_owned(), EventSummary::in_words);
    let apps = match run.rotations.as_slice() {
        [] => "-".to_owned(),
        [(app, _)] => app_name(app),
        many => many.len().to_string(),
    };
    let took = duration(run.duration_ms);
    row(
        [
            run.id.as_str(),
            &began.unwrap_or_default(),
            run.cause.as_str(),
            &event,
            &apps,
            &run.headline,
            &took,
        ],
        &run.message,
    )
}

fn row([run, began, cause, event, apps, verdict, took]: [&str; 7], message: &str) -> String {
    let line = format!(
        "{run:28}  {began:20}  {cause:8}  {event:40}  {apps:16}  {verdict:26}  {took:>8}  {message}"
    );
    line.trim_end().to_owned()
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
