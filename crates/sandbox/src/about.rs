//! What a policy says about itself.

use keyrelay_model::Occurrence;

use crate::bindings::types;
use crate::output::printable;

/// What a policy says about itself when it is loaded. Its texts are fit for a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The policy's own name, whatever its file is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence for the operator.
    pub summary: String,
    /// The occurrences it wants to decide about. Others are skipped without asking it.
    pub occurrences: Vec<Occurrence>,
    /// How much of an app it looks at.
    pub view: View,
}

/// How much of an app a policy looks at before it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The settings that hold references. See [`visible_references`](crate::visible_references).
    References,
    /// All settings by name. See [`visible_settings`](crate::visible_settings).
    Settings,
}

impl About {
    /// Whether the policy wants to be asked about such an event.
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
            name: printable(&about.name),
            version: printable(&about.version),
            summary: printable(&about.summary),
            occurrences: about.occurrences.into_iter().map(occurrence).collect(),
            view: match about.view {
                types::View::References => View::References,
                types::View::Settings => View::Settings,
            },
        }
    }
}
