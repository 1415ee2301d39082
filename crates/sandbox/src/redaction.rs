//! Removal of revealed plain text from everything that leaves a policy: its output, reasons,
//! errors, panics and names.
//!
//! The order is fixed: the raw text is redacted first, then control characters are replaced, and
//! the text is cut last. A cut or a replacement before the redaction would hide a value from it.

mod forms;
mod reading;
#[cfg(test)]
mod tests;

use std::ops::Range;

use aho_corasick::AhoCorasick;
use keyrelay_model::{SettingName, SettingValue, log_line};

use crate::redaction::forms::Form;
use crate::redaction::reading::Reading;
use crate::view::{VisibleSetting, VisibleValue};

/// The replacement of a revealed value.
const HIDDEN: &str = "[hidden]";
/// The length at which a policy's text is truncated in a message, in characters. A text for an
/// operator is a sentence or two.
const TEXT_LENGTH: usize = 1_000;
/// The part of a policy's text that is read for a message, in bytes. A longer text has hidden
/// values in what is read, and is truncated anyway.
pub(crate) const READ: usize = 16 << 10;
/// The length of the shortest text that is redacted, in bytes. Shorter ones are in ordinary words.
pub(crate) const SHORTEST: usize = 4;

/// The plain text that was revealed to a policy in one decision, and its removal from texts.
///
/// It finds each value, and each line of a value, of 4 bytes or more: as it is, in base64, and
/// behind percent-encoding or the escapes of JSON and of Rust's `{:?}`, in any combination of two.
/// Every occurrence is hidden as a whole, also where occurrences overlap.
#[derive(Debug)]
pub struct Redaction {
    forms: Vec<Form>,
    /// None if there are no forms, or if the search cannot be built: every text is hidden then.
    search: Option<AhoCorasick>,
}

/// The values are too numerous or too long to be searched for.
#[derive(Debug)]
struct Unsearchable;

/// Whether a value is long enough to be redacted. A policy never sees a value that is not.
pub(crate) fn is_redactable(value: &SettingValue) -> bool {
    forms::canonical(value.expose()).len() >= SHORTEST
}

impl Redaction {
    /// Redacts the values that these settings reveal.
    pub fn of(settings: &[VisibleSetting]) -> Self {
        let mut forms = Vec::new();
        for setting in settings {
            if let VisibleValue::Text(value) = &setting.value {
                forms::push(&mut forms, &setting.name, value.expose());
            }
        }
        let patterns = forms.iter().map(|form| &form.bytes);
        let search = match forms.is_empty() {
            true => None,
            false => AhoCorasick::new(patterns).ok(),
        };
        Self { forms, search }
    }

    /// Redacts nothing: no value is revealed.
    pub fn none() -> Self {
        Self::of(&[])
    }

    /// Makes a policy's text safe for a message: redacts it, replaces control characters by spaces,
    /// and truncates it.
    pub fn printable(&self, text: &str) -> String {
        let start = text
            .get(..text.floor_char_boundary(READ))
            .unwrap_or_default();
        if start.len() == text.len() {
            return truncated(&self.redact(text));
        }
        truncated(&format!("{}…", self.redact_start(start)))
    }

    /// Replaces the values in a whole text. Keeps the number of lines.
    pub(crate) fn redact(&self, text: &str) -> String {
        hide(text, self.occurrences(text))
    }

    /// Replaces the values in the start of a longer text, and at its end the start of a value.
    pub(crate) fn redact_start(&self, text: &str) -> String {
        if self.forms.is_empty() {
            return text.to_owned();
        }
        let text = without_partial_escape(text);
        let occurrences = self.occurrences(text).map(|mut found| {
            for reading in Reading::all(text) {
                let starts = self.forms.iter().filter_map(|form| form.at_end(&reading));
                found.extend(starts.map(|start| start..text.len()));
            }
            found
        });
        hide(text, occurrences)
    }

    /// The setting whose value occurs in a name.
    pub(crate) fn revealed_in(&self, name: &str) -> Option<&SettingName> {
        if self.search.is_none() {
            return self.forms.first().map(|form| &form.setting);
        }
        let first = |reading| match self.matches(&reading) {
            Ok(matches) => matches.first().map(|(form, _)| *form),
            Err(Unsearchable) => self.forms.first(),
        };
        Reading::all(name).find_map(first).map(|form| &form.setting)
    }

    fn occurrences(&self, text: &str) -> Result<Vec<Range<usize>>, Unsearchable> {
        let mut found = Vec::new();
        if self.forms.is_empty() {
            return Ok(found);
        }
        for reading in Reading::all(text) {
            let matches = self.matches(&reading)?;
            found.extend(
                matches
                    .into_iter()
                    .map(|(form, at)| form.source(&reading, at)),
            );
        }
        Ok(found)
    }

    /// Every match in a reading, overlapping ones included.
    fn matches(&self, reading: &Reading) -> Result<Vec<(&Form, usize)>, Unsearchable> {
        let search = self.search.as_ref().ok_or(Unsearchable)?;
        let matches = search
            .try_find_overlapping_iter(reading.bytes())
            .map_err(|_| Unsearchable)?;
        Ok(matches
            .filter_map(|it| Some((self.forms.get(it.pattern().as_usize())?, it.start())))
            .collect())
    }
}

/// Replaces parts of a text. Line ends in them stay, so that the text keeps its lines.
fn hide(text: &str, parts: Result<Vec<Range<usize>>, Unsearchable>) -> String {
    let mut parts = match parts {
        Ok(parts) => parts,
        Err(Unsearchable) => std::iter::once(0..text.len()).collect(),
    };
    parts.sort_by_key(|part| part.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for part in parts {
        match merged.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => merged.push(part),
        }
    }
    let (mut hidden, mut kept) = (String::new(), 0);
    for part in merged {
        hidden.push_str(text.get(kept..part.start).unwrap_or_default());
        kept = part.end;
        let lines = text.get(part).unwrap_or_default().split('\n');
        let lines: Vec<&str> = lines
            .map(|line| if line.is_empty() { "" } else { HIDDEN })
            .collect();
        hidden.push_str(&lines.join("\n"));
    }
    hidden.push_str(text.get(kept..).unwrap_or_default());
    hidden
}

/// The text without an escape or a character at its end that the cut may have split.
fn without_partial_escape(text: &str) -> &str {
    /// The length of the longest escape, `\u{10ffff}`, and of a pair of surrogates, in bytes.
    const LONGEST: usize = 12;
    let text = text.trim_end_matches('\u{fffd}');
    let end = text.ceil_char_boundary(text.len().saturating_sub(LONGEST));
    let tail = text.get(end..).unwrap_or_default();
    let whole = tail.find(['\\', '%']).map_or(text.len(), |at| end + at);
    let text = text.get(..whole).unwrap_or_default();
    text.trim_end_matches('\\')
}

/// Replaces control characters by spaces, and truncates the text. It must be redacted, or from
/// before any value was revealed.
pub(crate) fn truncated(redacted: &str) -> String {
    let line = log_line(redacted);
    match line.char_indices().nth(TEXT_LENGTH) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
