//! The decision of a policy.

use crate::names::SettingName;
use crate::settings::SettingValue;
use crate::target::Target;

/// A policy's decision about one app and one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Change settings.
    Patch(Patch),
    /// Have Azure resolve all references of the app again.
    Refresh,
    /// Change nothing and report this text.
    Notice(String),
    /// Change nothing, for this reason.
    Skip(String),
}

/// The settings that a policy wants to set and remove. Unchecked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// Settings to write, in the policy's order. A name may occur only once.
    pub set: Vec<(SettingName, NewValue)>,
    /// Settings to remove.
    pub remove: Vec<SettingName>,
}

impl Patch {
    /// Whether the patch sets or removes a setting.
    pub fn names(&self, setting: &SettingName) -> bool {
        let mut names = self.set.iter().map(|(name, _)| name).chain(&self.remove);
        names.any(|name| name == setting)
    }
}

/// The value that a policy wants to give a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewValue {
    /// A Key Vault reference. The plan chooses its spelling.
    Reference(Target),
    /// Plain text.
    Text(SettingValue),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_what_it_sets_or_removes() {
        let name = |text: &str| text.parse::<SettingName>().unwrap();
        let patch = Patch {
            set: vec![(name("SET"), NewValue::Text(SettingValue::new("x")))],
            remove: vec![name("REMOVED")],
        };
        assert!(patch.names(&name("SET")) && patch.names(&name("REMOVED")));
        assert!(!patch.names(&name("set")) && !patch.names(&name("OTHER")));
        let only_set = Patch {
            remove: Vec::new(),
            ..patch
        };
        assert!(only_set.names(&name("SET")) && !only_set.names(&name("REMOVED")));
    }
}
