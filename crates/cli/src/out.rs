//! The output of the program: data on standard output, messages on standard error.

use std::io::{self, Write};
use std::sync::OnceLock;

pub(crate) use keyrelay_model::{error_chain as chain, is_unprintable, printable};
use serde_json::Value;

/// The first error of writing to standard output.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Prints a line of data. An error is kept as the [failure].
pub(crate) fn line(text: &str) {
    if let Err(error) = writeln!(io::stdout(), "{text}") {
        let _ = FAILURE.set(error);
    }
}

/// Prints a line with styles. The styles are removed unless standard output is a terminal, and if
/// `NO_COLOR` is set.
pub(crate) fn styled_line(text: &str) {
    if let Err(error) = styled_data(text) {
        let _ = FAILURE.set(error);
    }
}

/// The error because of which lines are missing on standard output. A closed pipe is none: its
/// reader has read enough.
pub(crate) fn failure() -> Option<&'static io::Error> {
    FAILURE
        .get()
        .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
}

/// Prints a line of foreign data without control characters. Returns an error if standard output is
/// closed.
pub(crate) fn data(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{}", printable(text))
}

/// Prints a line with styles, of which everything else is without control characters. Returns an error if standard
/// output is closed.
pub(crate) fn styled_data(text: &str) -> io::Result<()> {
    writeln!(anstream::stdout(), "{text}")
}

/// A text in a column: padded, or cut in its middle, where names differ least.
pub(crate) fn cell(text: &str, width: usize) -> String {
    let text = printable(text);
    let count = text.chars().count();
    if count <= width {
        return format!("{text:width$}");
    }
    let (start, end) = ((width - 1) / 2, width / 2);
    let first: String = text.chars().take(start).collect();
    let last: String = text.chars().skip(count - end).collect();
    format!("{first}…{last}")
}

/// The start of a sentence, if it is too long for the width.
pub(crate) fn start(text: &str, width: usize) -> String {
    let text = printable(text);
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => text,
    }
}

/// Prints progress.
pub(crate) fn note(text: &str) {
    to_standard_error("", text);
}

/// Prints a problem that does not stop the command.
pub(crate) fn warning(text: &str) {
    to_standard_error("warning: ", text);
}

/// Prints the error that ends the command.
pub(crate) fn error(text: &str) {
    to_standard_error("error: ", text);
}

fn to_standard_error(prefix: &str, text: &str) {
    let lines: Vec<String> = text.lines().map(printable).collect();
    let _ = writeln!(io::stderr(), "{prefix}{}", lines.join("\n"));
}

/// A count with its noun: `1 case`, `2 cases`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A record as indented JSON.
pub(crate) fn indented(record: &Value) -> String {
    escaped(&format!("{record:#}"))
}

/// JSON with escapes for the characters that a terminal would interpret, as JSON allows. Those below U+0020 are
/// escaped already, or between tokens.
pub(crate) fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => text.push(c),
            c if is_unprintable(c) => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_in_its_middle_and_a_sentence_at_its_end() {
        assert_eq!(cell("orders", 8), "orders  ");
        assert_eq!(cell("orders-of-the-shop-7", 8), "ord…op-7");
        assert_eq!(cell("a\u{1b}b", 4).chars().count(), 4);
        assert_eq!(start("it broke", 8), "it broke");
        assert_eq!(start("it broke again", 8), "it brok…");
    }

    #[test]
    fn escaped_json_says_the_same() {
        let value = serde_json::json!({ "a": "x\u{1b}\u{9b}\u{202e}\n\u{7f}é" });
        for text in [escaped(&value.to_string()), indented(&value)] {
            assert!(
                !text.chars().any(|c| c != '\n' && is_unprintable(c)),
                "{text:?}"
            );
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}
