//! The words of this program: data goes to standard output, everything else to standard error.

use std::io::{self, Write};
use std::sync::OnceLock;

pub(crate) use keyrelay_model::{error_chain as chain, is_unprintable, printable};

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
