#![doc = include_str!("../README.md")]

mod about;
mod answer;
mod binary;
mod bindings;
mod cell;
mod contract;
mod digest;
mod engine;
mod error;
mod failure;
mod files;
mod limits;
mod output;
mod policy;
mod sandbox;
mod ticker;
mod view;
mod world;

pub use about::{About, View};
pub use answer::Answer;
pub use digest::Digest;
pub use error::{DecideError, LoadError, SandboxError, Undecided};
pub use files::policy_files;
pub use limits::Limits;
pub use policy::Policy;
pub use sandbox::Sandbox;
pub use view::{AppView, VisibleSetting, VisibleValue, visible_references, visible_settings};
