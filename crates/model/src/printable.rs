//! Text from outside, made safe for a terminal and for a log line.

/// Whether a terminal acts on the character instead of showing it: control characters, and those that change the
/// direction of the text after them.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, without [unprintable](is_unprintable) characters.
pub fn printable(text: &str) -> String {
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
}
