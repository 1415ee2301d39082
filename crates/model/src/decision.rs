//! What a policy answers.

use crate::names::SettingName;
use crate::reference::Target;
use crate::settings::SettingValue;

/// What a policy wants to happen to one app because of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Change settings.
    Patch(Patch),
    /// Let Azure resolve all references of the app anew.
    Refresh,
    /// Change nothing and report this text.
    Notice(String),
    /// Change nothing, for this reason.
    Skip(String),
}

/// Names to set and names to remove, as a policy asked for them: not checked yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// Settings to write, in the order of the policy's answer. A name may not come twice.
    pub set: Vec<(SettingName, NewValue)>,
    /// Settings to remove.
    pub remove: Vec<SettingName>,
}

/// A value that a policy wants a setting to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewValue {
    /// A Key Vault reference; how it is written is decided when the plan is made.
    Reference(Target),
    /// Plain text.
    Text(SettingValue),
}
