//! The words of this program: data goes to standard output, everything else to standard error.

use std::io::Write;

/// Prints a line that was asked for.
pub(crate) fn line(text: &str) {
    // Whoever read it may have gone: that is no reason to end what runs.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints what went wrong.
pub(crate) fn error(text: &str) {
    let _ = writeln!(std::io::stderr(), "error: {text}");
}
