//! The findings on a screen: 80 columns, some 40 lines, worst first.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};

use super::finding::{Finding, Level};
use super::fix::Step;
use super::part::Part;
use super::wrap;
use crate::out;

/// The number of lines that fit on a screen. If there are more, the good findings of a part become
/// one, and what does not fit even so is counted. `--failed` has no limit.
const SCREEN: usize = 40;

/// The largest number of lines of a good finding: `--json` has all of its text.
const GOOD: usize = 3;

/// The columns before the text of a finding.
const INDENT: usize = 6;

/// A finding with the lines that show it, or all good findings of a part.
pub(super) struct Entry {
    part: Part,
    level: Level,
    /// The number of findings.
    count: usize,
    lines: Vec<String>,
}

/// The entries of all findings.
pub(super) fn whole(findings: &[(Part, &Finding)]) -> Vec<Entry> {
    let entries = findings.iter().map(|(part, finding)| Entry {
        part: *part,
        level: finding.level,
        count: 1,
        lines: lines_of(finding),
    });
    entries.collect()
}

/// The entries that fit on a screen, of findings in their order.
pub(super) fn fitting(findings: &[(Part, &Finding)]) -> Vec<Entry> {
    let entries = whole(findings);
    // The counts need a line, too.
    if height(&entries) < SCREEN {
        return entries;
    }
    worst_that_fit(folded(findings, entries))
}

/// Prints the entries with a heading for each part.
pub(super) fn print(entries: &[Entry]) {
    let mut heading = None;
    for entry in entries {
        if heading.replace(entry.part) != Some(entry.part) {
            let bold = Style::new().bold();
            out::styled_line(&format!("{bold}{}{bold:#}", entry.part.as_str()));
        }
        entry.lines.iter().for_each(|line| out::styled_line(line));
    }
}

/// The number of lines of the entries, with their headings.
fn height(entries: &[Entry]) -> usize {
    let headings = entries.chunk_by(|a, b| a.part == b.part).count();
    headings + entries.iter().map(|it| it.lines.len()).sum::<usize>()
}

/// The same entries, with the good findings of each part as one, which names their subjects.
fn folded(findings: &[(Part, &Finding)], entries: Vec<Entry>) -> Vec<Entry> {
    let mut folded: Vec<Entry> = Vec::new();
    for (entry, (part, _)) in entries.into_iter().zip(findings) {
        let is_good = entry.level == Level::Good;
        let is_next = |it: &Entry| it.part == *part && it.level == Level::Good;
        match folded.last_mut().filter(|last| is_good && is_next(last)) {
            Some(last) => last.count += 1,
            None => folded.push(entry),
        }
    }
    for entry in folded.iter_mut().filter(|it| it.count > 1) {
        let good = findings
            .iter()
            .filter(|(part, finding)| *part == entry.part && finding.level == Level::Good);
        let mut subjects: Vec<&str> = good.map(|(_, it)| it.what.as_str()).collect();
        subjects.dedup();
        entry.lines = lines_with(Level::Good, &subjects.join(", "));
    }
    folded
}

/// The entries that fit on a screen. Space goes to the worst first; what does not fit is counted.
fn worst_that_fit(entries: Vec<Entry>) -> Vec<Entry> {
    let mut worst_first: Vec<Entry> = entries;
    let order: BTreeMap<Part, usize> = worst_first.iter().map(|it| it.part).zip(0..).collect();
    worst_first.sort_by_key(|it| it.level);
    let mut left_out: BTreeMap<Level, usize> = BTreeMap::new();
    let mut fitting: Vec<Entry> = Vec::new();
    // The counts before, and the counts of the others after.
    let mut used = 2;
    for entry in worst_first {
        let is_new = fitting.iter().all(|it| it.part != entry.part);
        used += usize::from(is_new) + entry.lines.len();
        // The worst finding is shown even if it fills more than the screen.
        if used <= SCREEN || fitting.is_empty() {
            fitting.push(entry);
        } else {
            *left_out.entry(entry.level).or_default() += entry.count;
        }
    }
    fitting.sort_by_key(|it| (order.get(&it.part).copied(), it.level));
    if let Some(last) = fitting.last_mut().filter(|_| !left_out.is_empty()) {
        last.lines.push(more(&left_out));
    }
    fitting
}

/// The line about findings that did not fit.
fn more(left_out: &BTreeMap<Level, usize>) -> String {
    let counts = left_out.iter().map(|(level, count)| match level {
        Level::Failed => format!("{count} more failed"),
        Level::Warning => format!("{count} more with a warning"),
        Level::Good => format!("{count} more ok"),
    });
    let counts: Vec<String> = counts.collect();
    let has_problems = left_out.keys().any(|level| *level != Level::Good);
    let option = if has_problems { "--failed" } else { "--json" };
    format!("{}: `{option}` shows them", counts.join(", "))
}

/// The lines of a finding, with styles: the message, its apps, and the fix.
fn lines_of(finding: &Finding) -> Vec<String> {
    let text = format!("{}: {}", finding.what, finding.short_message());
    let mut lines = lines_with(finding.level, &text);
    if finding.level == Level::Good {
        if lines.len() > GOOD {
            lines.truncate(GOOD);
            if let Some(last) = lines.last_mut() {
                *last = format!("{last:.*}…", wrap::WIDTH - 1);
            }
        }
        return lines;
    }
    let names = finding.names();
    if names.len() > 1 {
        lines.push(line_of_names(finding.noun(), &names));
    }
    let mut label = "fix: ";
    for step in finding.fix.steps(&finding.ids()) {
        match step {
            Step::Words(words) => {
                let start = format!("{:INDENT$}{label}", "");
                lines.extend(wrap::sentence(&start, &out::printable(&words), INDENT));
            }
            Step::Command(command) => {
                if !label.is_empty() {
                    lines.push(format!("{:INDENT$}fix:", ""));
                }
                lines.extend(wrap::command(&out::printable(&command)));
            }
        }
        label = "";
    }
    lines
}

/// The lines of a text, with the word for its level before it.
fn lines_with(level: Level, text: &str) -> Vec<String> {
    let (word, style) = (word(level), style(level));
    let mut lines = wrap::sentence(&format!("{word}  "), &out::printable(text), INDENT);
    if let Some(first) = lines.first_mut() {
        *first = first.replacen(word, &format!("{style}{word}{style:#}"), 1);
    }
    lines
}

/// As many names as fit on a line, and the number of the others.
fn line_of_names(noun: &str, names: &[String]) -> String {
    let line = |count: usize| {
        let first: Vec<&str> = names.iter().take(count).map(String::as_str).collect();
        let first = out::printable(&first.join(", "));
        match names.len() - count {
            0 => format!("{:INDENT$}{noun}: {first}", ""),
            more => format!("{:INDENT$}{noun}: {first} and {more} more", ""),
        }
    };
    let mut lines = (1..=names.len()).rev().map(line);
    let fitting = lines.find(|line| line.chars().count() <= wrap::WIDTH);
    // The first name alone may be longer than the line.
    fitting.unwrap_or_else(|| line(1).chars().take(wrap::WIDTH).collect())
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Failed => "FAIL",
        Level::Warning => "warn",
        Level::Good => "ok  ",
    }
}

/// The style of the word for a level.
pub(super) fn style(level: Level) -> Style {
    let colour = match level {
        Level::Failed => AnsiColor::Red,
        Level::Warning => AnsiColor::Yellow,
        Level::Good => AnsiColor::Green,
    };
    colour.on_default()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Findings;
    use super::*;

    fn of(part: Part, findings: &Findings) -> Vec<(Part, &Finding)> {
        findings.all().iter().map(|it| (part, it)).collect()
    }

    /// The screen for so many failures, and so many good findings in each of two parts, without
    /// styles, and without the counts at its top.
    fn screen(failed: usize, good: usize) -> Vec<String> {
        let mut bad = Findings::default();
        for number in 0..failed {
            bad.bad(&format!("problem {number}"), "broken", "mend it");
        }
        let mut fine = Findings::default();
        for number in 0..good {
            fine.good(&format!("check {number}"), "fine");
        }
        let state = [of(Part::State, &bad), of(Part::State, &fine)].concat();
        let entries = fitting(&[state, of(Part::Files, &fine)].concat());
        let lines = entries.into_iter().flat_map(|it| it.lines);
        lines
            .map(|line| anstream::adapter::strip_str(&line).to_string())
            .collect()
    }

    #[test]
    fn good_findings_of_a_part_become_one_if_the_screen_is_full() {
        assert_eq!(screen(1, 15).len(), 32);
        let lines = screen(1, 25);
        assert_eq!(lines.first().unwrap(), "FAIL  problem 0: broken");
        let folded = lines
            .iter()
            .filter(|it| it.starts_with("ok    check 0, check 1, "));
        assert_eq!(folded.count(), 2, "{lines:#?}");
        assert!(lines.len() < SCREEN, "{lines:#?}");
    }

    #[test]
    fn what_does_not_fit_is_counted_the_least_bad_first() {
        let lines = screen(30, 2);
        assert!(lines.len() < SCREEN, "{lines:#?}");
        let failed = lines.iter().filter(|it| it.starts_with("FAIL")).count();
        let expected = format!(
            "{} more failed, 4 more ok: `--failed` shows them",
            30 - failed
        );
        assert_eq!(lines.last().unwrap(), &expected, "{lines:#?}");
    }

    #[test]
    fn names_fill_one_line() {
        let names: Vec<String> = (0..300).map(|it| format!("app-{it:03}")).collect();
        let line = line_of_names("apps", &names);
        assert!(line.chars().count() <= wrap::WIDTH, "{line}");
        let shown = line.matches("app-").count();
        assert!(
            line.ends_with(&format!(" and {} more", 300 - shown)),
            "{line}"
        );
        assert_eq!(
            line_of_names("apps", &names[..2]),
            "      apps: app-000, app-001"
        );
    }
}
