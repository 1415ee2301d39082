//! The words of this program: data goes to standard output, everything else to standard error.

/// Prints a line that was asked for.
#[expect(clippy::print_stdout, reason = "this is where data is printed")]
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// Prints what went wrong.
#[expect(clippy::print_stderr, reason = "this is where errors are printed")]
pub(crate) fn error(text: &str) {
    eprintln!("error: {text}");
}
