#![doc = include_str!("../README.md")]

pub mod configuration;
pub mod decode_events;
pub mod invocation;
mod made_of_bytes;
pub mod package;
pub mod plan;
pub mod policies_lock;
pub mod redaction;
pub mod reference;
pub mod sandbox;

/// Runs one input. It panics if a rule is broken.
pub type Run = fn(&[u8]);

/// All targets by name. `fuzz_targets` has a program for each, and `corpus` a folder.
pub const TARGETS: [(&str, Run); 9] = [
    ("configuration", configuration::run),
    ("decode_events", decode_events::run),
    ("invocation", invocation::run),
    ("package", package::run),
    ("plan", plan::run),
    ("policies_lock", policies_lock::run),
    ("redaction", redaction::run),
    ("reference", reference::run),
    ("sandbox", sandbox::run),
];
