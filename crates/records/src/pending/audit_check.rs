//! The checks of the vault's audit log for rotations whose verdict is `refreshed`.

use jiff::Timestamp;
use keyrelay_model::AppId;
use keyrelay_store::StoreError;
use serde::{Deserialize, Serialize};

use super::{AUDITS, Claimable, Pending, PendingEntry, app_key, due};
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
    /// The time until which an instance checks, and no other one begins.
    #[serde(default)]
    pub claimed_until: Option<Timestamp>,
}

impl Claimable for AuditCheck {
    fn claimed_until(&mut self) -> &mut Option<Timestamp> {
        &mut self.claimed_until
    }
}

impl Pending {
    /// Keeps a check until it is due.
    pub async fn keep_audit_check(
        &self,
        app: &AppId,
        check: &AuditCheck,
        due: Timestamp,
    ) -> Result<(), StoreError> {
        let key = audit_key(app, &check.run, due);
        self.0.write(&key, check).await
    }

    /// Keeps a claimed check until it is due again. Returns false if another instance has taken
    /// over.
    pub async fn repeat_audit_check(
        &self,
        app: &AppId,
        check: PendingEntry<AuditCheck>,
        due: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = audit_key(app, &check.value.run, due);
        self.move_to(check, &key).await
    }
}

fn audit_key(app: &AppId, run: &RunId, due: Timestamp) -> String {
    let folder = format!("{AUDITS}/{}", app_key(app));
    due::key(&folder, run.as_str(), Some(due))
}
