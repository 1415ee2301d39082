//! Lines of at most 80 columns: sentences, and commands that a shell reads as before.

use std::borrow::Cow;

use textwrap::{Options, WordSeparator, WordSplitter};

/// The width of a line.
pub(super) const WIDTH: usize = 80;

/// Wraps a sentence. All lines but the first are indented by `indent` columns; the first one begins
/// with `start`. A word that fits on no line, such as an id, begins a line and is broken.
pub(super) fn sentence(start: &str, text: &str, indent: usize) -> Vec<String> {
    let indent = " ".repeat(indent);
    let options = Options::new(WIDTH)
        .initial_indent(start)
        .subsequent_indent(&indent)
        .word_separator(WordSeparator::AsciiSpace)
        // The hyphens of names and ids are no places for a break.
        .word_splitter(WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().map(Cow::into_owned).collect()
}

/// Wraps a command for a shell such as bash. The lines begin in the first column and can be pasted:
/// a backslash at the end of a line continues it, also within a long word. Text in single quotes is
/// continued in quotes of its own.
pub(super) fn command(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut lines = Vec::new();
    let mut quote = None;
    let mut start = 0;
    let mut prefix = "";
    while chars.len() - start + prefix.len() > WIDTH {
        // Room for the quote and the backslash at the end.
        let room = WIDTH - 2 - prefix.len();
        let (length, quote_after) = break_of_command(&chars, start, room, quote);
        let line: String = chars.iter().skip(start).take(length).collect();
        let end = if quote_after == Some('\'') {
            "'\\"
        } else {
            "\\"
        };
        lines.push(format!("{prefix}{line}{end}"));
        prefix = if quote_after == Some('\'') { "'" } else { "" };
        quote = quote_after;
        start += length;
    }
    let line: String = chars.iter().skip(start).collect();
    lines.push(format!("{prefix}{line}"));
    lines
}

/// The number of characters until the best break within `room`, and the quote that is open there:
/// after a space between words, else after a comma, else after a slash, else anywhere.
fn break_of_command(
    chars: &[char],
    start: usize,
    room: usize,
    mut quote: Option<char>,
) -> (usize, Option<char>) {
    let mut best = (0, room, quote);
    for (index, c) in chars.iter().copied().skip(start).take(room).enumerate() {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        let rank = match c {
            ' ' if quote.is_none() => 4,
            ',' => 3,
            '/' => 2,
            // Within a word of a shell, only after characters that mean nothing to it.
            c if c.is_alphanumeric() => 1,
            _ => 0,
        };
        // A break of a lower rank is better than a line that is nearly empty.
        let is_short = best.1 < room / 3;
        if rank > 0 && (rank >= best.0 || is_short) {
            best = (rank, index + 1, quote);
        }
    }
    (best.1, best.2)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn width(line: &str) -> usize {
        line.chars().count()
    }

    #[test]
    fn a_sentence_is_wrapped_between_words() {
        let text = "word ".repeat(40);
        let lines = sentence("FAIL  ", &text, 6);
        assert!(
            lines.len() == 3 && lines.iter().all(|it| width(it) <= WIDTH),
            "{lines:?}"
        );
        assert!(lines[0].starts_with("FAIL  word") && lines[1].starts_with("      word"));
        let together: Vec<&str> = lines.iter().flat_map(|it| it.split_whitespace()).collect();
        assert_eq!(together.join(" "), format!("FAIL {}", text.trim_end()));
    }

    #[test]
    fn an_id_that_is_too_long_for_a_line_is_broken() {
        let id = format!(
            "/subscriptions/{}/resourceGroups/{}",
            "s".repeat(36),
            "g".repeat(60)
        );
        let lines = sentence("ok    ", &format!("scope: {id} has 3 apps"), 6);
        assert!(lines.iter().all(|it| width(it) <= WIDTH), "{lines:?}");
        let together: String = lines.iter().map(|it| it.trim_start()).collect();
        assert!(together.contains(&id), "{lines:?}");
    }

    #[test]
    fn a_wrapped_command_means_the_same_to_a_shell() {
        let group = format!(
            "/subscriptions/{}/resourceGroups/{}",
            "s".repeat(36),
            "g".repeat(90)
        );
        let commands = [
            format!(
                "printf '%s\\n' --role-definition '{{\"Name\":\"keyrelay refresh (shop)\",\"Actions\":[\"{}\"],\
                 \"AssignableScopes\":[\"{group}\"]}}' && printf '%s\\n' --role \"keyrelay refresh (shop)\" --scope {group}",
                ["Microsoft.Web/sites/config/appsettings/refresh/action"; 5].join("\",\"")
            ),
            format!("printf '%s\\n' {}", "x".repeat(300)),
            format!("printf '%s\\n' \"{}\"", "a b".repeat(100)),
            format!("for scope in {group} {group}; do printf '%s\\n' --scope \"$scope\"; done"),
            "printf short".to_owned(),
        ];
        let run = |script: &str| {
            let done = Command::new("bash").args(["-c", script]).output().unwrap();
            assert!(done.status.success(), "{script}: {done:?}");
            String::from_utf8(done.stdout).unwrap()
        };
        for text in commands {
            let lines = command(&text);
            assert!(lines.iter().all(|it| width(it) <= WIDTH), "{lines:#?}");
            assert_eq!(run(&lines.join("\n")), run(&text), "{lines:#?}");
        }
    }
}
