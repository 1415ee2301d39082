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
mod lock;
mod output;
mod policy;
mod precompiled;
mod sandbox;
mod ticker;
mod view;
mod world;

pub use about::{About, View};
pub use answer::Answer;
pub use digest::{Digest, DigestError};
pub use error::{DecideError, LoadError, SandboxError, Undecided};
pub use files::{policy_files, read_policy};
pub use limits::Limits;
pub use lock::{LOCK_FILE, Lock, LockError, Locked};
pub use policy::Policy;
pub use precompiled::{NotUsed, precompiled_file};
pub use sandbox::{Loaded, Sandbox};
pub use view::{AppView, VisibleSetting, VisibleValue, visible_references, visible_settings};
