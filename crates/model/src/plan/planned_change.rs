//! A change of a setting in words, for logs and records.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The words for a setting that is not there.
const ABSENT: &str = "(absent)";

/// A change of a setting, as logs and records show it: names and references, and `(plain text)` in place of any
/// other value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredChange")]
pub struct PlannedChange {
    /// The setting.
    pub setting: String,
    /// The reference before. None: there is no such setting.
    pub before: Option<String>,
    /// The reference afterwards. None: the setting is removed.
    pub after: Option<String>,
}

/// A change in a record. Earlier versions kept the line of the log.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredChange {
    Change {
        setting: String,
        before: Option<String>,
        after: Option<String>,
    },
    Line(String),
}

impl From<StoredChange> for PlannedChange {
    fn from(stored: StoredChange) -> Self {
        match stored {
            StoredChange::Change {
                setting,
                before,
                after,
            } => Self {
                setting,
                before,
                after,
            },
            StoredChange::Line(line) => Self::of_line(&line),
        }
    }
}

impl PlannedChange {
    /// The change that a line `SQL: before -> after` tells. Of another line, all is the setting.
    fn of_line(line: &str) -> Self {
        let value = |text: &str| Some(text.to_owned()).filter(|text| text != ABSENT);
        let parts = line.split_once(": ").and_then(|(setting, change)| {
            let (before, after) = change.split_once(" -> ")?;
            Some((setting, value(before), value(after)))
        });
        let (setting, before, after) = parts.unwrap_or((line, None, None));
        Self {
            setting: setting.to_owned(),
            before,
            after,
        }
    }
}

impl fmt::Display for PlannedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            before,
            after,
        } = self;
        if before.is_none() && after.is_none() {
            return write!(f, "{setting}");
        }
        let before = before.as_deref().unwrap_or(ABSENT);
        let after = after.as_deref().unwrap_or(ABSENT);
        write!(f, "{setting}: {before} -> {after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_earlier_record_is_the_same_change() {
        for (json, line) in [
            (
                r#"{"setting":"A","before":null,"after":"x"}"#,
                "A: (absent) -> x",
            ),
            (
                r#"{"setting":"A","before":"(plain text)","after":null}"#,
                "A: (plain text) -> (absent)",
            ),
            (
                r#"{"setting":"what nobody wrote","before":null,"after":null}"#,
                "what nobody wrote",
            ),
        ] {
            let change: PlannedChange = serde_json::from_str(json).unwrap();
            assert_eq!(change.to_string(), line);
            assert_eq!(serde_json::to_string(&change).unwrap(), json);
            let quoted = serde_json::to_string(line).unwrap();
            assert_eq!(
                serde_json::from_str::<PlannedChange>(&quoted).unwrap(),
                change
            );
        }
    }
}
