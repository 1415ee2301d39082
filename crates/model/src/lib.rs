#![doc = include_str!("../README.md")]

mod app;
mod decision;
mod error_chain;
mod event;
mod grant;
mod names;
mod plan;
mod printable;
mod reference;
mod retryability;
mod settings;
mod verdict;
mod versions;

pub use app::{AppId, AppIdError};
pub use decision::{Decision, NewValue, Patch};
pub use error_chain::error_chain;
pub use event::{Event, EventError, EventErrorReason, ObjectKind, Occurrence, decode_events};
pub use grant::{Grant, GrantedSecret, NamePattern, is_protected};
pub use names::{NameError, SecretName, SecretVersion, SettingName, VaultHost};
pub use plan::{Change, Objection, Plan, Refusal, plan};
pub use printable::{is_unprintable, printable};
pub use reference::{Reference, ReferenceError, Target};
pub use retryability::Retryability;
pub use settings::{SettingValue, Settings};
pub use verdict::Verdict;
pub use versions::{Announced, Standing, VersionAttributes, Versions};
