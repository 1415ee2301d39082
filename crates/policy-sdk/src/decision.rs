//! Constructors of [`Decision`].

use crate::bindings::keyrelay::policy::types::{Decision, NewValue, Patch, Reference};

impl Decision {
    /// Creates a patch that sets settings to references.
    pub fn set<'a>(references: impl IntoIterator<Item = (&'a str, Reference)>) -> Self {
        let set = |(name, reference): (&str, Reference)| {
            (name.to_owned(), NewValue::Reference(reference))
        };
        Self::Patch(Patch {
            set: references.into_iter().map(set).collect(),
            remove: Vec::new(),
        })
    }

    /// Creates a skip with a reason.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::Skip(reason.into())
    }

    /// Creates a notice with a text.
    pub fn notice(text: impl Into<String>) -> Self {
        Self::Notice(text.into())
    }
}
