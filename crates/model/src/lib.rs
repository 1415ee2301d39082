#![doc = include_str!("../README.md")]

mod app;
mod app_change;
mod bounded_json;
mod decision;
mod decode;
mod error_chain;
mod event;
mod evidence;
mod grant;
mod names;
mod plan;
mod platform_name;
mod printable;
mod protected;
mod public_key;
mod reference;
mod reference_error;
mod refresh;
mod retryability;
mod settings;
mod target;
mod verdict;
mod versions;

pub use app::{AppId, AppIdError};
pub use app_change::AppChange;
pub use bounded_json::{JsonError, MAX_VALUES, bounded_json};
pub use decision::{Decision, NewValue, Patch};
pub use decode::decode_events;
pub use error_chain::error_chain;
pub use event::{Event, EventError, EventErrorReason, MAX_EVENTS, ObjectKind, Occurrence};
pub use evidence::Evidence;
pub use grant::{Grant, GrantedSecret, NamePattern};
pub use names::{NameError, SecretName, SecretVersion, SettingName, VaultHost};
pub use plan::{Change, Objection, Plan, PlanRefusal, PlannedChange, plan};
pub use printable::{is_unprintable, log_line, printable};
pub use protected::is_protected;
pub use public_key::{PublicKey, PublicKeyError};
pub use reference::Reference;
pub use reference_error::ReferenceError;
pub use refresh::{
    MAX_REFRESHES, PastRefresh, RefreshProgress, RefreshRule, RefreshStep, RefreshTiming,
    UnnamedState,
};
pub use retryability::Retryability;
pub use settings::{SettingValue, Settings};
pub use target::Target;
pub use verdict::Verdict;
pub use versions::{Announced, Relation, Standing, VersionAttributes, Versions};
