//! Checks of one patch.

use std::collections::{BTreeMap, BTreeSet};

use super::Objection;
use crate::decision::NewValue;
use crate::event::Event;
use crate::grant::Grant;
use crate::names::SettingName;
use crate::platform_name::readings;
use crate::protected::is_protected;
use crate::reference::Reference;
use crate::settings::{SettingValue, Settings};
use crate::target::Target;

/// The prefix of the texts that App Service resolves itself, in upper case.
const RESOLVED_PREFIX: &str = "@MICROSOFT.";

/// The inputs for checking one patch, and the names that it has named so far.
pub(super) struct PatchCheck<'a> {
    event: &'a Event,
    settings: &'a Settings,
    grant: &'a Grant,
    vault_suffix: &'a str,
    /// The names so far.
    named: BTreeSet<&'a SettingName>,
    /// The first name of each reading, with whether its change needs no grant.
    named_as: BTreeMap<String, (&'a SettingName, bool)>,
}

/// The change of a setting that a patch wants.
pub(super) struct Proposal<'a> {
    name: &'a SettingName,
    value: NewValue,
    is_new: bool,
    /// The current reference. Parsed once: it takes most of the time of a plan.
    current: Option<Reference>,
    /// Whether the change needs no grant: the setting references the event's secret before and
    /// after it.
    pub(super) follows_its_own_secret: bool,
}

impl<'a> PatchCheck<'a> {
    pub(super) fn new(
        event: &'a Event,
        settings: &'a Settings,
        grant: &'a Grant,
        vault_suffix: &'a str,
    ) -> Self {
        Self {
            event,
            settings,
            grant,
            vault_suffix,
            named: BTreeSet::new(),
            named_as: BTreeMap::new(),
        }
    }

    /// The change of a setting to `value`, with what the setting references now.
    pub(super) fn proposal(&self, name: &'a SettingName, value: NewValue) -> Proposal<'a> {
        let present = self.settings.get(name);
        let current = present.and_then(|value| value.reference(self.vault_suffix).ok());
        let is_own = |target: &Target| target.is_of(self.event);
        let references_it = current.as_ref().is_some_and(|it| is_own(it.target()));
        let follows_its_own_secret = references_it && target(&value).is_some_and(is_own);
        Proposal {
            name,
            value,
            is_new: present.is_none(),
            current,
            follows_its_own_secret,
        }
    }

    /// The value as Azure reads it: text that is a reference becomes one, and is judged and written
    /// as one. Other text that Azure may resolve is refused.
    pub(super) fn as_azure_reads(
        &self,
        name: &SettingName,
        value: &NewValue,
    ) -> (NewValue, Option<Objection>) {
        let NewValue::Text(text) = value else {
            return (value.clone(), None);
        };
        let trimmed = text.expose().trim_matches(is_blank);
        if !is_resolved(trimmed) {
            return (value.clone(), None);
        }
        match Reference::parse(trimmed, self.vault_suffix) {
            Ok(reference) => (NewValue::Reference(reference.target().clone()), None),
            Err(_) => {
                let name = name.clone();
                (value.clone(), Some(Objection::TextLikeReference { name }))
            }
        }
    }

    pub(super) fn objections_to_set(&self, proposal: &Proposal<'_>) -> Vec<Objection> {
        if proposal.follows_its_own_secret {
            return Vec::new();
        }
        let name = proposal.name;
        let mut objections = Vec::new();
        if !self.grant.may_set(name) {
            objections.push(Objection::NoGrantToSet {
                name: name.clone(),
                protected: is_protected(name),
            });
        }
        match target(&proposal.value) {
            Some(target) if target.is_of(self.event) => {}
            Some(target) if self.grant.may_reference(target, &self.event.vault_host) => {}
            Some(Target {
                vault_host, secret, ..
            }) => objections.push(Objection::NoGrantForSecret {
                name: name.clone(),
                vault_host: vault_host.clone(),
                secret: secret.clone(),
            }),
            None if self.grant.text => {}
            None => objections.push(Objection::NoGrantForText { name: name.clone() }),
        }
        let twin = || {
            self.settings
                .names()
                .find(|existing| existing.same_to_platform(name))
        };
        if let Some(existing) = proposal.is_new.then(twin).flatten() {
            objections.push(Objection::ExistsInOtherSpelling {
                name: name.clone(),
                existing: existing.clone(),
            });
        }
        objections
    }

    pub(super) fn objections_to_remove(&self, name: &SettingName) -> Option<Objection> {
        let missing = || Objection::NoGrantToRemove {
            name: name.clone(),
            protected: is_protected(name),
        };
        (!self.grant.may_remove(name)).then(missing)
    }

    /// The objection to a name that the patch has named before, in this or another spelling.
    ///
    /// Settings that the app has in both spellings, and that only follow their own secret
    /// (`follows`), may both change.
    pub(super) fn objection_to_name(
        &mut self,
        name: &'a SettingName,
        follows: bool,
    ) -> Option<Objection> {
        if !self.named.insert(name) {
            return Some(Objection::NamedTwice { name: name.clone() });
        }
        let mut twin = None;
        let [one, other] = readings(name);
        // Most names have one reading.
        let second = (other != one).then_some(other);
        for reading in std::iter::once(one).chain(second) {
            let (other, other_follows) = *self.named_as.entry(reading).or_insert((name, follows));
            if other != name && !(follows && other_follows) {
                twin = Some(other.clone());
            }
        }
        let name = || name.clone();
        twin.map(|other| Objection::Twins {
            name: name(),
            other,
        })
    }
}

impl Proposal<'_> {
    /// The value to write. A reference keeps the form of the setting's current reference.
    pub(super) fn render(self) -> SettingValue {
        match (self.value, self.current) {
            (NewValue::Text(text), _) => text,
            (NewValue::Reference(target), Some(current)) => {
                SettingValue::from(&current.into_target(target))
            }
            (NewValue::Reference(target), None) => SettingValue::from(&Reference::to(target)),
        }
    }
}

fn target(value: &NewValue) -> Option<&Target> {
    match value {
        NewValue::Reference(target) => Some(target),
        NewValue::Text(_) => None,
    }
}

/// Whether a reader may ignore the character at the ends of a value: spaces, control characters,
/// and characters without a width.
fn is_blank(c: char) -> bool {
    let has_no_width = matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}'
    );
    c.is_whitespace() || c.is_control() || has_no_width
}

/// Whether App Service may resolve the text itself. Compares without case, in all of Unicode.
fn is_resolved(text: &str) -> bool {
    let folded = text
        .chars()
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase);
    folded
        .take(RESOLVED_PREFIX.len())
        .eq(RESOLVED_PREFIX.chars())
}
