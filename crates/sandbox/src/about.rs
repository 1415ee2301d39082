//! A policy's description of itself.

use keyrelay_model::Occurrence;

use crate::bindings::types;
use crate::redaction::truncated;

/// A policy's description of itself, read when it is loaded. Its texts are safe to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The policy's own name, which may differ from the name of its file.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence for the operator.
    pub summary: String,
    /// The occurrences that it decides about. Events of other occurrences are skipped without
    /// calling it.
    pub occurrences: Vec<Occurrence>,
    /// The part of an app that it sees.
    pub view: View,
}

/// The part of an app that a policy sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The settings that hold references. See [`visible_references`](crate::visible_references).
    References,
    /// All settings by name. See [`visible_settings`](crate::visible_settings).
    Settings,
}

impl About {
    /// Whether the policy decides about events of this occurrence.
    pub fn wants(&self, occurrence: Occurrence) -> bool {
        self.occurrences.contains(&occurrence)
    }
}

impl From<types::About> for About {
    fn from(about: types::About) -> Self {
        let occurrence = |occurrence: types::Occurrence| match occurrence {
            types::Occurrence::NewVersionCreated => Occurrence::NewVersionCreated,
            types::Occurrence::NearExpiry => Occurrence::NearExpiry,
            types::Occurrence::ExpiryReminder => Occurrence::ExpiryReminder,
            types::Occurrence::Expired => Occurrence::Expired,
        };
        Self {
            name: truncated(&about.name),
            version: truncated(&about.version),
            summary: truncated(&about.summary),
            occurrences: about.occurrences.into_iter().map(occurrence).collect(),
            view: match about.view {
                types::View::References => View::References,
                types::View::Settings => View::Settings,
            },
        }
    }
}
