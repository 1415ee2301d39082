//! Excerpts of texts from outside, short enough for a log line.

/// The text on one line, cut to at most `length` characters.
pub(crate) fn excerpt(text: &str, length: usize) -> String {
    let mut words = String::new();
    for word in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    match words.char_indices().nth(length) {
        Some((end, _)) => format!("{}...", words.get(..end).unwrap_or_default()),
        None => words,
    }
}
