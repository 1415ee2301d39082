#![doc = include_str!("../README.md")]

pub mod actions;
pub mod app_state;
pub mod csv;
mod days;
pub mod filters;
pub mod fleet;
pub mod history;
pub mod holds;
pub mod index;
mod known_apps;
pub mod outcome;
pub mod pending;
pub mod record;
mod remaining_sites;
pub mod resubmission;
pub mod run_id;
pub mod store;
pub mod summary;
mod text;

pub use history::{Entry, History, HistoryError, SummaryError};
pub use index::{
    CurrentVersion, Found, Index, IndexChange, IndexState, IndexUpdate, IndexedApp,
    IndexedReference, IndexedRule, NewestVersion, SecretChange, SecretUpdate, SecretUsers, Users,
};
pub use known_apps::KnownApps;
pub use outcome::Outcome;
pub use pending::{
    AuditCheck, ChangedApp, ComparisonProgress, DueKey, Pending, PendingEntry, PendingKeys,
    PendingRotation, PendingWork, PostponedEvent, Rollback, WorkEntry, app_key, of_plan, to_plan,
};
pub use record::{
    AzureRequest, Cause, EventRecord, FormerOutcome, PolicyRecord, RotationRecord, Run,
    milliseconds,
};
pub use remaining_sites::RemainingSites;
pub use run_id::RunId;
pub use summary::Summary;
