//! The checks of the vault's audit log for rotations whose verdict is `refreshed`.

use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_store::StoreError;
use serde::{Deserialize, Serialize};

use super::{AUDITS, DueKey, Pending, app_key, due};
use crate::record::EventRecord;
use crate::run_id::RunId;

/// A rotation whose evidence the audit log may replace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCheck {
    /// The run that has the rotation.
    pub run: RunId,
    /// The app.
    pub app: String,
    /// The event, with the version.
    pub event: EventRecord,
    /// The time of the verdict.
    pub since: Timestamp,
}

impl Pending {
    /// Keeps a check until it is due, instead of the one at `former`.
    pub async fn keep_audit_check(
        &self,
        app: &AppId,
        check: &AuditCheck,
        due: Timestamp,
        former: Option<&str>,
    ) -> Result<(), StoreError> {
        let folder = format!("{AUDITS}/{}", app_key(app));
        let key = due::key(&folder, check.run.as_str(), Some(due));
        self.0.write(&key, check).await?;
        match former {
            Some(former) if former != key => self.remove(former).await,
            _ => Ok(()),
        }
    }

    /// Reads the check with this key. None if it has been removed.
    pub async fn audit_check(&self, key: &str) -> Result<Option<AuditCheck>, StoreError> {
        let found = self.0.read_json(key).await?;
        Ok(found.map(|(check, _)| check))
    }
}

/// The checks among all keys.
pub(super) fn of_keys(keys: &[String]) -> Vec<DueKey> {
    let is_check = |key: &&String| {
        let rest = key.strip_prefix(AUDITS);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let checks = keys.iter().filter(is_check);
    checks.map(|key| DueKey::new(key.clone())).collect()
}
