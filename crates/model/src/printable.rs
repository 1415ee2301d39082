//! Text from outside, made safe for a terminal and for a log line.

/// Whether a terminal acts on the character instead of showing it: control characters, and those
/// that change the direction of the text after them.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line of a terminal, without [unprintable](is_unprintable) characters.
///
/// A line end or a tab becomes a space.
pub fn printable(text: &str) -> String {
    replaced(text, |c| match c {
        '\n' | '\r' | '\t' => Some(' '),
        c => (!is_unprintable(c)).then_some(c),
    })
}

/// The text on one line of a log, with a space for each control character, and without white space
/// at its end.
///
/// Unlike [`printable`], it keeps the words on both sides of a control character apart, and keeps
/// characters that change the direction of the text.
pub fn log_line(text: &str) -> String {
    let line = replaced(text, |c| Some(if c.is_control() { ' ' } else { c }));
    line.trim_end().to_owned()
}

fn replaced(text: &str, replace: impl Fn(char) -> Option<char>) -> String {
    text.chars().filter_map(replace).collect()
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
    fn a_log_line_has_a_space_for_each_control_character() {
        assert_eq!(log_line("a\u{1b}[31mb\r\nc\td \n"), "a [31mb  c d");
    }
}
