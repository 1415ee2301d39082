#![doc = include_str!("../README.md")]

mod about;
mod binary;
mod bindings;
mod compiler;
mod contract;
mod decision;
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
mod redaction;
mod sandbox;
mod store_data;
mod ticker;
mod view;
mod wasi_context;
mod wasi_linker;

pub use about::{About, View};
pub use decision::PolicyDecision;
pub use digest::{Digest, DigestError};
pub use error::{DecideError, LoadError, SandboxError, Undecided};
pub use files::{policy_files, read_policy};
pub use limits::PolicyLimits;
pub use lock::{LOCK_FILE, Lock, LockError, Locked};
pub use policy::Policy;
pub use precompiled::{NotUsed, precompiled_file};
pub use redaction::Redaction;
pub use sandbox::{Loaded, Sandbox};
pub use view::{AppView, VisibleSetting, VisibleValue, visible_references, visible_settings};
