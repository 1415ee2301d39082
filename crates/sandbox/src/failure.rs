//! Converts the engine's errors to [`DecideError`]s.

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::error::DecideError;
use crate::limits::{
    Exceeded, HANDLES, INSTANCES, MEMORIES, PolicyLimits, STACK, TABLE_ELEMENTS, TABLES,
};
use crate::output::stderr_text;
use crate::redaction::Redaction;

/// The engine's messages for limits that it reports by text only. A test pins each of them.
const INSTANCE_COUNT: &str = "resource limit exceeded: instance count";
const TABLE_COUNT: &str = "resource limit exceeded: table count";
const MEMORY_COUNT: &str = "resource limit exceeded: memory count";
const HANDLE_COUNT: &str = "store handle limit exceeded";
const COPIED: &str = "fuel allocated for hostcalls has been exhausted";

/// The error for a limit that the [`Limiter`](crate::limits::Limiter) recorded.
pub(crate) fn of_limit(exceeded: Exceeded, limits: &PolicyLimits) -> DecideError {
    match exceeded {
        Exceeded::Time => DecideError::Time { limit: limits.time },
        Exceeded::Memory => DecideError::Memory {
            limit: limits.memory,
        },
        Exceeded::TableElements => tables(),
    }
}

/// Converts an error of the engine. `log` is the policy's output, redacted.
pub(crate) fn of_engine(
    error: &wasmtime::Error,
    limits: &PolicyLimits,
    log: &[String],
    redaction: &Redaction,
) -> DecideError {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return of_trap(*trap, log);
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return DecideError::Exit(*code);
    }
    let reason = error.root_cause().to_string();
    // An error inside the policy has a backtrace. An error while its decision is read has none.
    let is_about_the_decision = error.downcast_ref::<WasmBacktrace>().is_none();
    if reason.starts_with(INSTANCE_COUNT) {
        DecideError::Instances { limit: INSTANCES }
    } else if reason.starts_with(TABLE_COUNT) {
        tables()
    } else if reason.starts_with(MEMORY_COUNT) {
        DecideError::Memories { limit: MEMORIES }
    } else if reason.ends_with(HANDLE_COUNT) {
        DecideError::Handles { limit: HANDLES }
    } else if is_about_the_decision && reason.contains(COPIED) {
        DecideError::TooLarge {
            limit: limits.decision,
        }
    } else if is_about_the_decision {
        DecideError::Invalid(redaction.printable(&reason))
    } else {
        DecideError::Trap(redaction.printable(&reason))
    }
}

fn of_trap(trap: Trap, log: &[String]) -> DecideError {
    match trap {
        Trap::StackOverflow => DecideError::Stack { limit: STACK },
        Trap::UnreachableCodeReached => DecideError::Trap(stderr_text(log).unwrap_or_else(|| {
            "it executed `unreachable`, as a panic does, and printed no reason".to_owned()
        })),
        trap => DecideError::Trap(trap.to_string()),
    }
}

fn tables() -> DecideError {
    DecideError::Tables {
        limit: TABLES,
        elements: TABLE_ELEMENTS,
    }
}
