//! An error and its sources as text for one log line.

use std::error::Error;
use std::iter::successors;

/// Joins the messages of an error and its sources with colons.
///
/// A source is left out if an earlier message already contains its text: transparent errors and
/// several libraries repeat their source.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for source in successors(error.source(), |&source| source.source()) {
        let more = source.to_string();
        if !text.contains(more.trim()) {
            text = format!("{text}: {more}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        source: Option<Box<Link>>,
    }

    fn chain_of(texts: &[&'static str]) -> String {
        let mut source = None;
        for text in texts.iter().rev() {
            source = Some(Box::new(Link { text, source }));
        }
        source.map(|error| error_chain(&error)).unwrap_or_default()
    }

    #[test]
    fn messages_are_joined_with_colons() {
        assert_eq!(chain_of(&["a", "b", "c"]), "a: b: c");
    }

    #[test]
    fn a_message_that_repeats_its_source_is_told_once() {
        assert_eq!(
            chain_of(&["cannot list", "could not read: no response", "no response "]),
            "cannot list: could not read: no response"
        );
    }
}
