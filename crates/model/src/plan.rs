//! Plans: the checked, minimal changes that a patch makes. Only planned changes are written.

mod check;
mod planned_change;
mod refusal;

use std::collections::BTreeMap;
use std::fmt;

use crate::decision::Patch;
use crate::event::Event;
use crate::grant::Grant;
use crate::names::SettingName;
use crate::settings::{SettingValue, Settings};
use crate::target::Target;
use check::PatchCheck;
pub use planned_change::PlannedChange;
pub use refusal::{Objection, PlanRefusal};

/// The checked, minimal changes to an app's settings. An empty plan changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan(BTreeMap<SettingName, Change>);

/// The change of one setting. `before` and `after` differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The value when the plan was made. `None` if the setting did not exist.
    pub before: Option<SettingValue>,
    /// The value to write. `None` removes the setting.
    pub after: Option<SettingValue>,
}

/// Checks a patch against the grant and the rules, and computes the smallest plan for it.
///
/// `settings` are all current settings of the app. `vault_suffix` is that of our cloud; see
/// [`Reference::parse`](crate::Reference::parse). A refusal contains every objection, not just the first.
pub fn plan(
    patch: &Patch,
    event: &Event,
    settings: &Settings,
    grant: &Grant,
    vault_suffix: &str,
) -> Result<Plan, PlanRefusal> {
    let mut check = PatchCheck::new(event, settings, grant, vault_suffix);
    let mut objections = Vec::new();
    let mut changes = BTreeMap::new();
    for (name, value) in &patch.set {
        let (value, objection) = check.as_azure_reads(name, value);
        objections.extend(objection);
        let proposal = check.proposal(name, value);
        objections.extend(check.objections_to_set(&proposal));
        objections.extend(check.objection_to_name(name, proposal.follows_its_own_secret));
        changes.insert(name.clone(), Some(proposal.render()));
    }
    for name in &patch.remove {
        objections.extend(check.objections_to_remove(name));
        objections.extend(check.objection_to_name(name, false));
        changes.insert(name.clone(), None);
    }
    if !objections.is_empty() {
        return Err(PlanRefusal { objections });
    }
    Ok(Plan::between(settings, changes))
}

impl Plan {
    /// The plan that changes `from` to `to`.
    #[must_use]
    pub fn difference(from: &Settings, to: &Settings) -> Self {
        let names = from.names().chain(to.names()).cloned();
        Self::between(
            from,
            names
                .map(|name| (name.clone(), to.get(&name).cloned()))
                .collect(),
        )
    }

    /// A plan that was made earlier, from its recorded changes.
    #[must_use]
    pub fn recorded(changes: impl IntoIterator<Item = (SettingName, Change)>) -> Self {
        Self(
            changes
                .into_iter()
                .filter(|(_, change)| change.before != change.after)
                .collect(),
        )
    }

    /// The changes of this plan that can still be applied: those of settings that have the value
    /// from before the plan. Settings that another writer has changed since keep their value.
    #[must_use]
    pub fn not_overwritten_in(&self, now: &Settings) -> Self {
        let same = self
            .0
            .iter()
            .filter(|(name, change)| now.get(name) == change.before.as_ref());
        Self(
            same.map(|(name, change)| (name.clone(), change.clone()))
                .collect(),
        )
    }

    /// This plan with the changes of another one: for a setting of both, the other one's.
    #[must_use]
    pub fn replaced_by(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Combines this plan with a later one. Rolling back the result restores the values from before
    /// both.
    #[must_use]
    pub fn followed_by(mut self, next: Self) -> Self {
        for (name, mut change) in next.0 {
            if let Some(first) = self.0.get(&name)
                && change.before == first.after
            {
                change.before = first.before.clone();
            }
            self.0.insert(name, change);
        }
        self.0.retain(|_, change| change.before != change.after);
        self
    }

    /// Moves the changes of the same settings from an earlier plan, which this one continues, into
    /// this plan.
    pub fn take_over(&mut self, earlier: &mut Self) {
        for (name, change) in &mut self.0 {
            if let Some(first) = earlier.0.get(name)
                && first.after == change.before
            {
                change.before = first.before.clone();
                earlier.0.remove(name);
            }
        }
        self.0.retain(|_, change| change.before != change.after);
    }

    /// Keeps the wanted values that differ from the current ones.
    fn between(settings: &Settings, wanted: BTreeMap<SettingName, Option<SettingValue>>) -> Self {
        let change = |(name, after): (SettingName, Option<SettingValue>)| {
            let before = settings.get(&name).cloned();
            (before != after).then_some((name, Change { before, after }))
        };
        Self(wanted.into_iter().filter_map(change).collect())
    }

    /// Whether the plan changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes, sorted by the setting's name.
    pub fn changes(&self) -> impl Iterator<Item = (&SettingName, &Change)> {
        self.0.iter()
    }

    /// Applies the changes to `settings` and returns the whole set to write. It contains every name
    /// of `settings` except those that the plan removes.
    #[must_use]
    pub fn apply_to(&self, settings: &Settings) -> Settings {
        let mut applied = settings.clone();
        for (name, change) in &self.0 {
            match &change.after {
                Some(value) => applied.set(name.clone(), value.clone()),
                None => applied.remove(name),
            };
        }
        applied
    }

    /// Whether `settings`, read back after the write, contain all changes.
    pub fn is_in(&self, settings: &Settings) -> bool {
        self.0
            .iter()
            .all(|(name, change)| settings.get(name) == change.after.as_ref())
    }

    /// The plan that rolls this one back, for the current settings. It leaves settings alone that
    /// another writer has changed since.
    #[must_use]
    pub fn roll_back(&self, now: &Settings) -> Self {
        let ours = self
            .0
            .iter()
            .filter(|(name, change)| now.get(name) == change.after.as_ref());
        let back = |(name, Change { before, after }): (&SettingName, &Change)| {
            (
                name.clone(),
                Change {
                    before: after.clone(),
                    after: before.clone(),
                },
            )
        };
        Self(ours.map(back).collect())
    }

    /// The references that the plan writes. Azure must report them as resolved before the rotation
    /// is verified.
    pub fn references(&self, vault_suffix: &str) -> Vec<(SettingName, Target)> {
        let target =
            |value: &SettingValue| Some(value.reference(vault_suffix).ok()?.target().clone());
        let written = |(name, change): (&SettingName, &Change)| {
            Some((name.clone(), target(change.after.as_ref()?)?))
        };
        self.0.iter().filter_map(written).collect()
    }

    /// Describes the plan for logs and records. Shows names and references, never plain text.
    pub fn describe(&self, vault_suffix: &str) -> Vec<PlannedChange> {
        let shown = |value: &SettingValue| match value.reference(vault_suffix) {
            Ok(reference) => reference.to_string(),
            Err(_) => "(plain text)".to_owned(),
        };
        let change = |(name, change): (&SettingName, &Change)| PlannedChange {
            setting: name.to_string(),
            before: change.before.as_ref().map(shown),
            after: change.after.as_ref().map(shown),
        };
        self.0.iter().map(change).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.keys().map(SettingName::as_str).collect();
        write!(f, "{}", names.join(", "))
    }
}

#[cfg(test)]
mod tests;
