//! A plan as it is kept in the store: enough to take it back, without any plain text.

use keyrelay_model::{Change, Plan, Reference, SettingName, SettingValue};
use serde::{Deserialize, Serialize};

/// One setting that was written, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The setting.
    pub setting: String,
    /// What it held before.
    pub before: Written,
    /// What it holds since.
    pub after: Written,
}

/// A value of a setting, as far as it may be written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Written {
    /// There was no such setting.
    Absent,
    /// A reference, as it was written.
    Reference(String),
    /// Plain text, which is never kept: only the process that wrote it can take it back.
    PlainText,
}

impl Written {
    fn of(value: Option<&SettingValue>, vault_suffix: &str) -> Self {
        match value.map(|value| value.reference(vault_suffix)) {
            None => Self::Absent,
            Some(Ok(reference)) => Self::Reference(reference.to_string()),
            Some(Err(_)) => Self::PlainText,
        }
    }

    /// The value again; an error if it was not kept.
    fn value(&self, vault_suffix: &str) -> Result<Option<SettingValue>, ()> {
        match self {
            Self::Absent => Ok(None),
            Self::Reference(text) => Reference::parse(text, vault_suffix)
                .map(|reference| Some(SettingValue::from(&reference)))
                .map_err(drop),
            Self::PlainText => Err(()),
        }
    }
}

/// Writes down how a plan is taken back.
pub(crate) fn of_plan(plan: &Plan, vault_suffix: &str) -> Vec<Undo> {
    let undo = |(setting, change): (&SettingName, &Change)| Undo {
        setting: setting.to_string(),
        before: Written::of(change.before.as_ref(), vault_suffix),
        after: Written::of(change.after.as_ref(), vault_suffix),
    };
    plan.changes().map(undo).collect()
}

/// The plan that was written down, and the names of the settings whose values were not kept.
pub(crate) fn to_plan(undos: &[Undo], vault_suffix: &str) -> (Plan, Vec<String>) {
    let mut changes = Vec::new();
    let mut not_kept = Vec::new();
    for Undo {
        setting,
        before,
        after,
    } in undos
    {
        match (before.value(vault_suffix), after.value(vault_suffix)) {
            (Ok(before), Ok(after)) => {
                changes.push((SettingName::listed(setting), Change { before, after }))
            }
            _ => not_kept.push(setting.clone()),
        }
    }
    (Plan::recorded(changes), not_kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUFFIX: &str = "vault.azure.net";

    #[test]
    fn references_are_kept_and_plain_text_is_not() {
        let reference = "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/sql/)";
        let change = |before: Option<&str>, after: Option<&str>| Change {
            before: before.map(SettingValue::new),
            after: after.map(SettingValue::new),
        };
        let plan = Plan::recorded([
            (SettingName::listed("A"), change(Some(reference), None)),
            (
                SettingName::listed("B"),
                change(Some("planted-value-b"), Some(reference)),
            ),
            (SettingName::listed("C"), change(None, Some(reference))),
        ]);
        let kept = of_plan(&plan, SUFFIX);
        assert!(!serde_json::to_string(&kept).unwrap().contains("planted"));
        let (again, not_kept) = to_plan(&kept, SUFFIX);
        assert_eq!(not_kept, ["B"]);
        let names: Vec<String> = again.changes().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["A", "C"]);
        assert_eq!(
            again.describe(SUFFIX)[0],
            format!("A: {reference} -> (absent)")
        );
    }
}
