//! What was found: a line each.

use std::io::{IsTerminal, stdout};

use serde_json::json;

use crate::out;

/// What was found so far. Each is printed at once: the next may take a while.
pub(super) struct Findings {
    json: bool,
    colours: bool,
    count: usize,
    failed: usize,
}

impl Findings {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            colours: stdout().is_terminal(),
            count: 0,
            failed: 0,
        }
    }

    /// Something is as it should be.
    pub(super) fn good(&mut self, what: &str, words: impl AsRef<str>) {
        self.say(what, words.as_ref(), None);
    }

    /// Something is not, and this is what to do.
    pub(super) fn bad(&mut self, what: &str, words: impl AsRef<str>, fix: impl AsRef<str>) {
        self.failed += 1;
        self.say(what, words.as_ref(), Some(fix.as_ref()));
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    fn say(&mut self, what: &str, words: &str, fix: Option<&str>) {
        self.count += 1;
        if self.json {
            let line = json!({ "what": what, "ok": fix.is_none(), "message": words, "fix": fix });
            return out::line(&line.to_string());
        }
        let (word, colour) = if fix.is_none() {
            ("ok  ", "32")
        } else {
            ("FAIL", "31")
        };
        let word = if self.colours {
            format!("\u{1b}[{colour}m{word}\u{1b}[0m")
        } else {
            word.to_owned()
        };
        let fix = fix
            .map(|fix| format!(" | fix: {}", out::printable(fix)))
            .unwrap_or_default();
        out::line(&format!(
            "{word}  {}: {}{fix}",
            out::printable(what),
            out::printable(words)
        ));
    }
}
