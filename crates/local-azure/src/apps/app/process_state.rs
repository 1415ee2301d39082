//! The state that an app's process follows.

use super::LocalSettings;

/// The state of an app's process. The process is restarted when it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProcessState {
    /// The settings and connection strings with the values of resolved references.
    pub(crate) environment: LocalSettings,
    pub(crate) is_stopped: bool,
    /// The number of restarts on request.
    pub(crate) restarts: u64,
}
