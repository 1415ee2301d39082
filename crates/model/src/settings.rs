//! The settings of an app. Their values do not print themselves.

use std::collections::BTreeMap;
use std::fmt;

use crate::names::SettingName;
use crate::reference::Reference;
use crate::reference_error::ReferenceError;

/// The value of an app setting. `Debug` hides it, and there is no `Display`; only
/// [`expose`](Self::expose) returns it.
#[derive(Clone, PartialEq, Eq)]
pub struct SettingValue(String);

impl SettingValue {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Only three callers need it: the parser of references, the writer of
    /// settings, and the sandbox for names that a grant reveals.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Parses the value as a Key Vault reference. See [`Reference::parse`].
    pub fn reference(&self, vault_suffix: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(&self.0, vault_suffix)
    }
}

impl From<&Reference> for SettingValue {
    fn from(reference: &Reference) -> Self {
        Self(reference.to_string())
    }
}

impl fmt::Debug for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// All settings of one app. Names compare exactly, so that no setting is lost when they are written
/// back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<SettingName, SettingValue>);

impl Settings {
    /// The value of a setting.
    pub fn get(&self, name: &SettingName) -> Option<&SettingValue> {
        self.0.get(name)
    }

    /// Sets a value and returns the previous one.
    pub fn set(&mut self, name: SettingName, value: SettingValue) -> Option<SettingValue> {
        self.0.insert(name, value)
    }

    /// Removes a setting and returns its value.
    pub fn remove(&mut self, name: &SettingName) -> Option<SettingValue> {
        self.0.remove(name)
    }

    /// All settings, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&SettingName, &SettingValue)> {
        self.0.iter()
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &SettingName> {
        self.0.keys()
    }

    /// The number of settings.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no settings.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(SettingName, SettingValue)> for Settings {
    fn from_iter<I: IntoIterator<Item = (SettingName, SettingValue)>>(settings: I) -> Self {
        Self(settings.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_does_not_print_itself() {
        let settings =
            Settings::from_iter([("A".parse().unwrap(), SettingValue::new("planted-value"))]);
        assert_eq!(format!("{settings:?}"), r#"Settings({"A": [hidden]})"#);
        assert!(!format!("{settings:#?}").contains("planted-value"));
    }

    #[test]
    fn settings_are_listed_by_name_and_counted() {
        let name = |text: &str| SettingName::listed(text);
        let mut settings = Settings::default();
        assert!(settings.is_empty());
        for text in ["B", "A", "a", "B"] {
            settings.set(name(text), SettingValue::new(text.repeat(2)));
        }
        let listed: Vec<(&str, &str)> = settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        assert_eq!(listed, [("A", "AA"), ("B", "BB"), ("a", "aa")]);
        assert!(settings.names().eq(&[name("A"), name("B"), name("a")]));
        assert_eq!((settings.len(), settings.is_empty()), (3, false));
        assert_eq!(settings.remove(&name("A")), Some(SettingValue::new("AA")));
        assert_eq!((settings.get(&name("A")), settings.len()), (None, 2));
    }
}
