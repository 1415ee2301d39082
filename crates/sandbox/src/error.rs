//! The errors of loading and running a policy. Each message says what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::precompiled::NotUsed;

/// An error from setting up the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine does not run on this machine.
    #[error("cannot set up the WebAssembly engine: {0}")]
    Engine(String),
    /// The thread that measures the time of policies did not start.
    #[error("cannot start the thread that measures the time of policies")]
    Ticker(#[source] io::Error),
    /// The folder of the function app cannot be found.
    #[error("cannot find the function app {}", root.display())]
    Root {
        /// The folder.
        root: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A file that cannot be compiled, because it is not a valid component or core module of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum InvalidFile {
    /// The file has no content.
    #[error("the file is empty: copy or build the policy again")]
    Empty,
    /// The file is not WebAssembly.
    #[error("the file is not WebAssembly: put the `.wasm` there that the build of the policy made")]
    NotWebAssembly,
    /// The file is truncated.
    #[error("the file is truncated: it was copied or written only in part, do it again")]
    CutOff,
    /// The file begins like WebAssembly but is invalid.
    #[error("the file is not valid WebAssembly, build it again: {0}")]
    Invalid(String),
    /// The component instantiates too many components and modules.
    #[error("the file expands to more than {limit} instances: build it from fewer parts")]
    Instances {
        /// The limit.
        limit: usize,
    },
    /// The file is a core module that exports no policy.
    #[error(
        "the file is a core WebAssembly module without the types of a policy: build it from a crate that uses \
         `keyrelay-policy` and calls its `export!`, or make it a component of the world `keyrelay:policy/policy`"
    )]
    NoTypes,
    /// The file is a core module with types, but cannot be converted to a component.
    #[error(
        "the file's core module cannot be converted to a component, build it for the target `wasm32-unknown-unknown` or \
         `wasm32-wasip2`: {0}"
    )]
    NoComponent(String),
}

/// An error from loading a policy's file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its precompiled form must not be used.
    #[error(transparent)]
    Precompiled(#[from] NotUsed),
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// The path is a device, a pipe or the like.
    #[error("it is not a regular file")]
    NotAFile,
    /// The file is far larger than any policy.
    #[error("the file is larger than {} MiB: a policy that large is refused, build it smaller", limit >> 20)]
    TooLarge {
        /// The largest file that is loaded, in bytes.
        limit: u64,
    },
    /// The file is not a component, and cannot be converted to one.
    #[error(transparent)]
    File(#[from] InvalidFile),
    /// Compiling the file takes too long.
    #[error("the policy was not compiled within {} s of processor time, build it from less code, or from smaller functions", limit.as_secs())]
    CompileTime {
        /// The limit for a file of this size.
        limit: Duration,
    },
    /// Compiling the file takes too much memory.
    #[error("the policy needs more than {} MiB of memory to be compiled, build it from less code, or from smaller functions", limit >> 20)]
    CompileMemory {
        /// The limit for a file of this size, in bytes.
        limit: u64,
    },
    /// The file is a component that is not a policy.
    #[error(
        "the file is a component of another world: it does not export the function `{export}`, \
         make it a component of the world `keyrelay:policy/policy`"
    )]
    OtherWorld {
        /// The first function of the contract that it does not export.
        export: &'static str,
    },
    /// The policy was built for an incompatible version of the contract.
    #[error(
        "the policy was built for `keyrelay:policy@{wanted}`, this is `keyrelay:policy@{supported}`: build it again"
    )]
    OtherVersion {
        /// The version of the contract that the policy was built for.
        wanted: String,
        /// The version that the sandbox supports.
        supported: &'static str,
    },
    /// The functions have the right names and the wrong types.
    #[error(
        "the policy's functions are not those of `keyrelay:policy@{supported}`, build it with its WIT: {reason}"
    )]
    OtherTypes {
        /// The version that the sandbox supports.
        supported: &'static str,
        /// The first difference.
        reason: String,
    },
    /// The digest of the file is not the locked one, or the lock has no entry of this name.
    #[error(
        "the file is not the one in `policies.lock`: its digest is {found}; if it is meant to run, write the lock again with `keyrelay lock`"
    )]
    NotLocked {
        /// The digest of the file.
        found: Digest,
    },
    /// The policy imports an interface that no policy gets.
    #[error("the policy imports `{0}`, which no policy gets: build it without")]
    Import(String),
    /// The compiler or the linker failed.
    #[error("the policy cannot be compiled: {0}")]
    Compile(String),
    /// The policy's `describe` failed.
    #[error("the policy's `describe` failed")]
    Describe(#[source] DecideError),
}

/// An error from calling a policy. The message of a limit names its value and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// The policy ran, or waited, for too long.
    #[error("the policy did not decide within {} ms: make it faster, or raise `limits.time_ms`", limit.as_millis())]
    Time {
        /// The limit.
        limit: Duration,
    },
    /// The policy's memory grew too large.
    #[error("the policy needs more than {} KiB of memory: have it use less, or raise `limits.memory_mb`", limit >> 10)]
    Memory {
        /// The limit of the total size of its memories, in bytes.
        limit: usize,
    },
    /// The policy has too many memories.
    #[error("the policy has more than {limit} memories: build it from fewer parts")]
    Memories {
        /// The limit.
        limit: usize,
    },
    /// The policy has too many tables, or its tables have too many elements.
    #[error(
        "the policy has more than {limit} tables, or more than {elements} elements in them: build it from fewer parts"
    )]
    Tables {
        /// The limit of the number of tables.
        limit: usize,
        /// The limit of the total number of elements.
        elements: usize,
    },
    /// The policy consists of too many instances.
    #[error("the policy consists of more than {limit} instances: build it from fewer parts")]
    Instances {
        /// The limit.
        limit: usize,
    },
    /// The policy has too many WASI handles open.
    #[error("the policy has more than {limit} WASI handles open: have it close them")]
    Handles {
        /// The limit.
        limit: usize,
    },
    /// The policy's stack overflowed.
    #[error("the policy needs more than {} KiB of stack: check for a recursion that does not end", limit >> 10)]
    Stack {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The decision is too large.
    #[error("the policy's decision is larger than {} KiB: have it return only the changes", limit >> 10)]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The policy printed too much.
    #[error("the policy printed more than {} KiB: have it print less", limit >> 10)]
    Log {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The policy panicked or trapped.
    #[error("the policy crashed: {0}")]
    Trap(String),
    /// The policy exited instead of deciding.
    #[error("the policy exited with code {0} instead of deciding: have it return an error")]
    Exit(i32),
    /// The decision is malformed.
    #[error("the policy's decision is not valid: {0}")]
    Invalid(String),
    /// The policy returned an error.
    #[error("the policy reports: {0}")]
    Policy(String),
}

/// A failed decision: the error, and the output until then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Undecided {
    /// The error.
    pub error: DecideError,
    /// The lines that the policy printed. See [`PolicyDecision::log`](crate::PolicyDecision::log).
    pub log: Vec<String>,
}
