//! How a policy makes decisions.

use crate::{Decision, NewValue, Patch, Reference};

impl Decision {
    /// A patch that sets these settings to these references.
    pub fn set<'a>(references: impl IntoIterator<Item = (&'a str, Reference)>) -> Self {
        let set = |(name, reference): (&str, Reference)| {
            (name.to_owned(), NewValue::Reference(reference))
        };
        Self::Patch(Patch {
            set: references.into_iter().map(set).collect(),
            remove: Vec::new(),
        })
    }

    /// A skip, with its reason.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::Skip(reason.into())
    }

    /// A notice, with its text.
    pub fn notice(text: impl Into<String>) -> Self {
        Self::Notice(text.into())
    }
}
