//! The findings of the checks, a line each.

use anstyle::AnsiColor;
use serde_json::json;

use crate::out;

/// The findings so far. Each is printed immediately, because the next check may be slow.
pub(super) struct Findings {
    json: bool,
    count: usize,
    failed: usize,
}

/// A kind of finding.
struct Kind {
    word: &'static str,
    colour: AnsiColor,
    /// Whether the command succeeds in spite of it.
    is_ok: bool,
}

const GOOD: Kind = Kind {
    word: "ok  ",
    colour: AnsiColor::Green,
    is_ok: true,
};
const WARNING: Kind = Kind {
    word: "warn",
    colour: AnsiColor::Yellow,
    is_ok: true,
};
const BAD: Kind = Kind {
    word: "FAIL",
    colour: AnsiColor::Red,
    is_ok: false,
};

impl Findings {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            count: 0,
            failed: 0,
        }
    }

    /// Reports a check that passed.
    pub(super) fn good(&mut self, what: &str, words: impl AsRef<str>) {
        self.say(&GOOD, what, words.as_ref(), None);
    }

    /// Reports something that works and is not as it should be, with its fix.
    pub(super) fn warning(&mut self, what: &str, words: impl AsRef<str>, fix: impl AsRef<str>) {
        self.say(&WARNING, what, words.as_ref(), Some(fix.as_ref()));
    }

    /// Reports a check that failed, with its fix.
    pub(super) fn bad(&mut self, what: &str, words: impl AsRef<str>, fix: impl AsRef<str>) {
        self.failed += 1;
        self.say(&BAD, what, words.as_ref(), Some(fix.as_ref()));
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    fn say(&mut self, kind: &Kind, what: &str, words: &str, fix: Option<&str>) {
        self.count += 1;
        if self.json {
            let line = json!({ "what": what, "ok": kind.is_ok, "message": words, "fix": fix });
            return out::line(&line.to_string());
        }
        let (word, style) = (kind.word, kind.colour.on_default());
        let fix = fix
            .map(|fix| format!(" | fix: {}", out::printable(fix)))
            .unwrap_or_default();
        out::styled_line(&format!(
            "{style}{word}{style:#}  {}: {}{fix}",
            out::printable(what),
            out::printable(words)
        ));
    }
}
