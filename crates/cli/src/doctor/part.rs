//! The parts of an installation that the checks are about.

/// A part of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Files,
    Environment,
    Vaults,
    Rights,
    Apps,
    Events,
    State,
}

impl Part {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Environment => "environment",
            Self::Vaults => "vaults",
            Self::Rights => "rights",
            Self::Apps => "apps",
            Self::Events => "events",
            Self::State => "state",
        }
    }
}
