#![doc = include_str!("../README.md")]

pub mod app_state;
pub mod history;
pub mod outcome;
pub mod pending;
mod pending_object;
pub mod record;
pub mod run_id;
pub mod store;

pub use history::{History, HistoryError};
pub use outcome::Outcome;
pub use pending::{
    AuditCheck, DueKey, Pending, PendingEntry, PendingKeys, PendingRotation, PendingWork,
    PostponedEvent, Rollback, app_key, of_plan, to_plan,
};
pub use pending_object::PendingObject;
pub use record::{
    AzureRequest, Cause, EventRecord, FormerOutcome, PolicyRecord, RotationRecord, Run,
    milliseconds,
};
pub use run_id::RunId;
