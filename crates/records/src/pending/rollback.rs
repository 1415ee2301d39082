//! The record of how a write is rolled back. It holds references and never plain text.

use keyrelay_model::{Change, Plan, Reference, SettingName, SettingValue};
use serde::{Deserialize, Serialize};

/// The rollback of one setting that was written, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The setting.
    pub setting: String,
    /// The value before the write.
    pub before: RecordedValue,
    /// The value after the write.
    pub after: RecordedValue,
}

/// The value of a setting, as far as it may be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordedValue {
    /// There was no such setting.
    Absent,
    /// A reference, as it was written.
    Reference(String),
    /// Plain text, which is never stored. Only the process that wrote it can roll it back.
    PlainText,
}

impl RecordedValue {
    fn of(value: Option<&SettingValue>, vault_suffix: &str) -> Self {
        match value.map(|value| value.reference(vault_suffix)) {
            None => Self::Absent,
            Some(Ok(reference)) => Self::Reference(reference.to_string()),
            Some(Err(_)) => Self::PlainText,
        }
    }

    /// Returns the value. An error means that it was not stored.
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

/// Records how a plan is rolled back.
pub fn of_plan(plan: &Plan, vault_suffix: &str) -> Vec<Rollback> {
    let rollback = |(setting, change): (&SettingName, &Change)| Rollback {
        setting: setting.to_string(),
        before: RecordedValue::of(change.before.as_ref(), vault_suffix),
        after: RecordedValue::of(change.after.as_ref(), vault_suffix),
    };
    plan.changes().map(rollback).collect()
}

/// Restores the recorded plan. Also returns the names of the settings whose values were not stored.
pub fn to_plan(rollbacks: &[Rollback], vault_suffix: &str) -> (Plan, Vec<String>) {
    let mut changes = Vec::new();
    let mut not_kept = Vec::new();
    for Rollback {
        setting,
        before,
        after,
    } in rollbacks
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
            again.describe(SUFFIX)[0].to_string(),
            format!("A: {reference} -> (absent)")
        );
    }
}
