//! The status rows of references.

use keyrelay_model::{Reference, SecretName, VaultHost};
use serde_json::Value;

/// A reference as a list of Resource Manager shows it. Unlike the type that keyrelay-host uses, it
/// tells whether the row has an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) has_id: bool,
    pub(super) status: String,
    pub(super) active_version: Option<String>,
    is_pinned: bool,
    vault: Option<String>,
    secret: Option<String>,
}

/// The secret that a calibration sets, as rows name it.
pub(super) type SecretId = (VaultHost, SecretName);

impl Row {
    /// Reads a row. `None` if it has no name.
    pub(super) fn read(row: &Value, vault_suffix: &str) -> Option<Self> {
        let id = row.get("id").and_then(Value::as_str);
        let from_id = || id?.rsplit('/').next();
        let name = row
            .get("name")
            .and_then(Value::as_str)
            .or_else(from_id)
            .filter(|name| !name.is_empty())?;
        let properties = row.get("properties");
        let text = |field: &str| {
            let text = properties?.get(field)?.as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let reference = text("reference").and_then(|it| Reference::parse(&it, vault_suffix).ok());
        // Azure may show the version that it found in `secretVersion`, so the text decides.
        let is_pinned = match &reference {
            Some(reference) => reference.target().version.is_some(),
            None => text("secretVersion").is_some(),
        };
        let target = reference.as_ref().map(Reference::target);
        Some(Self {
            name: name.to_owned(),
            has_id: id.is_some(),
            status: text("status").unwrap_or_default(),
            active_version: text("activeVersion"),
            is_pinned,
            vault: target
                .map(|target| target.vault_host.vault().to_owned())
                .or_else(|| text("vaultName")),
            secret: target
                .map(|target| target.secret.to_string())
                .or_else(|| text("secretName")),
        })
    }

    pub(super) fn is_resolved(&self) -> bool {
        self.status.eq_ignore_ascii_case("Resolved")
    }

    /// Whether the reference does not resolve. Two states are those of a resolution that has not
    /// ended, and do not count.
    pub(super) fn is_broken(&self) -> bool {
        let unsettled = ["Resolved", "Initialized", "FetchTimedOut", ""];
        !unsettled
            .iter()
            .any(|status| self.status.eq_ignore_ascii_case(status))
    }

    fn is_of(&self, (vault, secret): &SecretId) -> bool {
        let is = |own: &Option<String>, name: &str| {
            own.as_deref()
                .is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        !self.is_pinned && is(&self.vault, vault.vault()) && is(&self.secret, secret.as_str())
    }
}

/// The references without a version.
pub(super) fn unpinned(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| !row.is_pinned)
}

/// The row to observe: a reference to the secret without a version, if possible a resolved one.
pub(super) fn of_secret<'a>(rows: &'a [Row], secret: &SecretId) -> Option<&'a Row> {
    let mut of_secret = rows.iter().filter(|row| row.is_of(secret));
    let first = of_secret.next()?;
    if first.is_resolved() {
        return Some(first);
    }
    of_secret.find(|row| row.is_resolved()).or(Some(first))
}

/// The change of rows that shows the effect of a refresh.
#[derive(Debug, Clone)]
pub(super) enum Goal {
    /// The row with this name is broken.
    Broken(String),
    /// The row with this name is resolved.
    Resolved(String),
    /// The row with this name has this active version.
    Active(String, String),
    /// A row differs from these.
    Changed(Vec<Row>),
}

impl Goal {
    pub(super) fn is_met(&self, rows: &[Row]) -> bool {
        let row = |name: &String| rows.iter().find(|row| row.name == *name);
        match self {
            Self::Broken(name) => row(name).is_some_and(Row::is_broken),
            Self::Resolved(name) => row(name).is_some_and(Row::is_resolved),
            Self::Active(name, version) => row(name).is_some_and(|row| {
                row.active_version
                    .as_ref()
                    .is_some_and(|active| active.eq_ignore_ascii_case(version))
            }),
            Self::Changed(before) => before.iter().any(|old| {
                row(&old.name).is_some_and(|new| {
                    let is_settled = new.is_resolved() || new.is_broken();
                    let state = |row: &Row| (row.status.clone(), row.active_version.clone());
                    is_settled && state(new) != state(old)
                })
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const UNPINNED: &str = "@Microsoft.KeyVault(VaultName=contoso;SecretName=sql)";

    fn row(properties: &Value) -> Row {
        let row = json!({ "id": null, "name": "SQL", "properties": properties });
        Row::read(&row, "vault.azure.net").unwrap()
    }

    #[test]
    fn the_text_of_a_reference_decides_whether_it_has_a_version() {
        let secret = (
            "contoso.vault.azure.net".parse().unwrap(),
            "SQL".parse().unwrap(),
        );
        let shown =
            row(&json!({ "reference": UNPINNED, "secretVersion": "0", "status": "Resolved" }));
        assert!(of_secret(&[shown], &secret).is_some());
        let fields = json!({ "vaultName": "Contoso", "secretName": "sql", "secretVersion": null });
        assert!(of_secret(&[row(&fields)], &secret).is_some());
        let pinned = json!({ "vaultName": "Contoso", "secretName": "sql", "secretVersion": "0" });
        assert!(of_secret(&[row(&pinned)], &secret).is_none());
    }

    #[test]
    fn a_status_between_two_states_is_no_change() {
        let before = vec![row(&json!({ "status": "Resolved" }))];
        let changed = Goal::Changed(before.clone());
        let unsettled = [row(&json!({ "status": "Initialized" }))];
        assert!(!changed.is_met(&unsettled) && !changed.is_met(&before));
        assert!(!Goal::Broken("SQL".to_owned()).is_met(&unsettled));
        let broken = [row(&json!({ "status": "OtherReasons" }))];
        assert!(changed.is_met(&broken) && Goal::Broken("SQL".to_owned()).is_met(&broken));
        let newer = [row(&json!({ "status": "Resolved", "activeVersion": "b" }))];
        assert!(changed.is_met(&newer));
        assert!(Goal::Active("SQL".to_owned(), "B".to_owned()).is_met(&newer));
    }
}
