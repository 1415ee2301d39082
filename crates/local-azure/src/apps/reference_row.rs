//! A reference with its status.

use super::reference::SecretTarget;
use super::reference_kind::ReferenceKind;
use super::resolve_status::ResolveStatus;

/// A reference in an app's configuration and its true status. Resource Manager may report less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceRow {
    /// The place of the reference.
    pub kind: ReferenceKind,
    /// The name of the setting or connection string.
    pub setting: String,
    /// The setting's value, which is the reference.
    pub reference: String,
    /// The status of the last resolution.
    pub status: ResolveStatus,
    /// A description of the status.
    pub details: String,
    /// The version that the app uses. `None` if the reference is unresolved.
    pub active_version: Option<String>,
    pub(crate) target: Option<SecretTarget>,
}
