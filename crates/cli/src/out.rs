//! The words of this program: data goes to standard output, everything else to standard error.

use std::error::Error;
use std::io::{self, Write};
use std::sync::OnceLock;

/// The first line that could not be written to standard output.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Prints a line that was asked for. If it cannot be written, that is kept as a [failure].
pub(crate) fn line(text: &str) {
    if let Err(error) = writeln!(io::stdout(), "{text}") {
        let _ = FAILURE.set(error);
    }
}

/// Why lines are missing in standard output. That whoever read it has gone is none: it may have seen enough.
pub(crate) fn failure() -> Option<&'static io::Error> {
    FAILURE
        .get()
        .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
}

/// Prints a line of what others have written. An error says that nobody reads it any more.
pub(crate) fn data(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{}", printable(text))
}

/// Prints what is going on.
pub(crate) fn note(text: &str) {
    to_standard_error("", text);
}

/// Prints what is wrong without keeping the rest from being done.
pub(crate) fn warning(text: &str) {
    to_standard_error("warning: ", text);
}

/// Prints what went wrong.
pub(crate) fn error(text: &str) {
    to_standard_error("error: ", text);
}

fn to_standard_error(prefix: &str, text: &str) {
    let lines: Vec<String> = text.lines().map(printable).collect();
    let _ = writeln!(io::stderr(), "{prefix}{}", lines.join("\n"));
}

/// How many there are, with the word for one or for many: `1 case`, `2 cases`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// An error and what is behind it, in one line. Some libraries repeat in an error what its source says.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for source in std::iter::successors(error.source(), |&source| source.source()) {
        let more = source.to_string();
        if !text.contains(more.trim()) {
            text = format!("{text}: {more}");
        }
    }
    text
}

/// Whether a terminal would do something else with the character than to show it: control characters, and those that
/// change the direction of what follows.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, without what is [unprintable](is_unprintable).
pub(crate) fn printable(text: &str) -> String {
    let shown = |c| match c {
        '\n' | '\r' | '\t' => Some(' '),
        c => (!is_unprintable(c)).then_some(c),
    };
    text.chars().filter_map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_one_line_without_commands() {
        assert_eq!(
            printable("a\u{1b}[31mb\nc\u{9b}\u{202e}d\u{7f}é"),
            "a[31mb cdé"
        );
    }

    #[test]
    fn what_an_error_repeats_of_its_source_is_said_once() {
        let repeating = anyhow::anyhow!("no answer ")
            .context("could not read: no answer")
            .context("cannot list");
        assert_eq!(
            chain(repeating.as_ref()),
            "cannot list: could not read: no answer"
        );
    }
}
