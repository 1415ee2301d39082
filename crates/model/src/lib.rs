#![doc = include_str!("../README.md")]

mod app;
mod decision;
mod event;
mod grant;
mod names;
mod plan;
mod reference;
mod settings;
mod trouble;
mod verdict;
mod versions;

pub use app::{AppId, AppIdError};
pub use decision::{Decision, NewValue, Patch};
pub use event::{Event, EventError, EventErrorReason, ObjectKind, Occurrence, decode_events};
pub use grant::{Grant, GrantedSecret, NamePattern, is_protected};
pub use names::{NameError, SecretName, SecretVersion, SettingName, VaultHost};
pub use plan::{Change, Objection, Plan, Refusal, plan};
pub use reference::{Reference, ReferenceError, Target};
pub use settings::{SettingValue, Settings};
pub use trouble::Trouble;
pub use verdict::Verdict;
pub use versions::{Announced, Standing, VersionAttributes, Versions};
