//! Everything that can go wrong with a policy, each with a sentence that says what to do about it.

use std::io;
use std::time::Duration;

use crate::digest::Digest;

/// The sandbox could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine does not run on this machine.
    #[error("cannot set up the WebAssembly engine: {0}")]
    Engine(String),
    /// The thread that measures the time of policies did not start.
    #[error("cannot start the thread that measures the time of policies")]
    Ticker(#[source] io::Error),
}

/// Why a file is not a policy that can be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// A device, a pipe or the like.
    #[error("it is not a regular file")]
    NotAFile,
    /// Far larger than any policy.
    #[error("the file is larger than {} MiB: a policy that large is refused, build it smaller", limit >> 20)]
    TooLarge {
        /// The largest file that is loaded, in bytes.
        limit: u64,
    },
    /// A file without content.
    #[error("the file is empty: copy or build the policy again")]
    Empty,
    /// Something else than WebAssembly.
    #[error("the file is not WebAssembly: put the `.wasm` there that the build of the policy made")]
    NotWebAssembly,
    /// Half of a policy.
    #[error("the file ends in the middle: it was copied or written only in part, do it again")]
    CutOff,
    /// It begins like WebAssembly, and breaks a rule of it.
    #[error("the file is not valid WebAssembly, build it again: {0}")]
    Invalid(String),
    /// Small as a file, and far too large when it is put together.
    #[error("the file unfolds into more than {limit} instances: build it of fewer parts")]
    Parts {
        /// The limit.
        limit: usize,
    },
    /// A core module that no policy was exported from.
    #[error(
        "the file is a core WebAssembly module without the types of a policy: build it from a crate that uses \
         `keyrelay-policy` and calls its `export!`, or make it a component of the world `keyrelay:policy/policy`"
    )]
    NoTypes,
    /// A core module with types, of which no component can be made.
    #[error(
        "no component can be made of the file's core module, build it for the target `wasm32-unknown-unknown` or \
         `wasm32-wasip2`: {0}"
    )]
    NoComponent(String),
    /// A component that is no policy.
    #[error(
        "the file is a component of another world: it does not export the function `{export}`, \
         make it a component of the world `keyrelay:policy/policy`"
    )]
    OtherWorld {
        /// The first function of ours that it lacks.
        export: &'static str,
    },
    /// A policy for another keyrelay.
    #[error(
        "the policy was built for `keyrelay:policy@{wanted}`, this is `keyrelay:policy@{spoken}`: build it again"
    )]
    OtherVersion {
        /// The version of the contract that the policy was built for.
        wanted: String,
        /// The version that the sandbox speaks.
        spoken: &'static str,
    },
    /// The right names with wrong types.
    #[error(
        "the policy's functions are not those of `keyrelay:policy@{spoken}`, build it with its WIT: {reason}"
    )]
    OtherTypes {
        /// The version that the sandbox speaks.
        spoken: &'static str,
        /// The first difference.
        reason: String,
    },
    /// The lock is for other bytes, or for no file of this name.
    #[error(
        "`policies.lock` does not vouch for the file: its digest is {found}; if it is meant to run, write the lock again with `keyrelay lock`"
    )]
    NotLocked {
        /// The digest of the file.
        found: Digest,
    },
    /// It wants something that no policy gets.
    #[error("the policy imports `{0}`, which no policy gets: build it without")]
    Import(String),
    /// The compiler or the linker gave up.
    #[error("the policy cannot be compiled: {0}")]
    Compile(String),
    /// It is a policy, and does not say which.
    #[error("the policy fails to describe itself")]
    Describe(#[source] DecideError),
}

/// Why a policy gave no usable answer. A limit's sentence names its value and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    /// It ran, or waited, for too long.
    #[error("the policy did not answer within {} ms: make it faster, or raise `limits.time_ms`", limit.as_millis())]
    Time {
        /// The limit.
        limit: Duration,
    },
    /// Its memory grew too large.
    #[error("the policy needs more than {} KiB of memory: have it use less, or raise `limits.memory_mb`", limit >> 10)]
    Memory {
        /// The limit of all its memories together, in bytes.
        limit: usize,
    },
    /// It has too many memories.
    #[error("the policy has more than {limit} memories: build it of fewer parts")]
    Memories {
        /// The limit.
        limit: usize,
    },
    /// It has too many tables, or too large ones.
    #[error(
        "the policy has more than {limit} tables, or more than {elements} elements in them: build it of fewer parts"
    )]
    Tables {
        /// The limit of their number.
        limit: usize,
        /// The limit of their elements together.
        elements: usize,
    },
    /// It consists of too many instances.
    #[error("the policy consists of more than {limit} instances: build it of fewer parts")]
    Instances {
        /// The limit.
        limit: usize,
    },
    /// It holds on to too many things of WASI at once.
    #[error("the policy holds more than {limit} handles of WASI: have it close them")]
    Handles {
        /// The limit.
        limit: usize,
    },
    /// It called itself too deeply.
    #[error("the policy needs more than {} KiB of stack: look for a recursion that does not end", limit >> 10)]
    Stack {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Its answer is too large.
    #[error("the policy's answer takes more than {} KiB: have it answer with what changes only", limit >> 10)]
    Answer {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It printed too much.
    #[error("the policy printed more than {} KiB: have it print less", limit >> 10)]
    Log {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It panicked, or did what WebAssembly forbids.
    #[error("the policy crashed: {0}")]
    Trap(String),
    /// It ended its process in place of an answer.
    #[error(
        "the policy ended itself with exit code {0} instead of answering: have it return an error"
    )]
    Exit(i32),
    /// Its answer cannot be understood.
    #[error("the policy's answer is not valid: {0}")]
    Invalid(String),
    /// It answered with an error of its own.
    #[error("the policy reports: {0}")]
    Policy(String),
}

impl DecideError {
    /// The part of the sentence that the policy has a hand in.
    pub(crate) fn words_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Trap(words) | Self::Invalid(words) | Self::Policy(words) => Some(words),
            _ => None,
        }
    }
}

/// A policy gave no usable answer; what it printed until then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Undecided {
    /// Why.
    pub error: DecideError,
    /// What the policy printed, as in [`Answer::log`](crate::Answer::log).
    pub log: Vec<String>,
}
