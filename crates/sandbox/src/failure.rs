//! What the engine's errors mean for an operator.

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::engine::STACK;
use crate::error::DecideError;
use crate::limits::{Exceeded, HANDLES, INSTANCES, Limits, MEMORIES, TABLE_ELEMENTS, TABLES};
use crate::output::{complaint, printable};

/// Limits for which the engine has neither a type nor a hook. Its words are under test for each of them.
const INSTANCE_COUNT: &str = "resource limit exceeded: instance count";
const TABLE_COUNT: &str = "resource limit exceeded: table count";
const MEMORY_COUNT: &str = "resource limit exceeded: memory count";
const HANDLE_COUNT: &str = "store handle limit exceeded";
const COPIED: &str = "fuel allocated for hostcalls has been exhausted";

/// The error for a limit that was noted when it was hit.
pub(crate) fn of_limit(exceeded: Exceeded, limits: &Limits) -> DecideError {
    match exceeded {
        Exceeded::Time => DecideError::Time { limit: limits.time },
        Exceeded::Memory => DecideError::Memory {
            limit: limits.memory,
        },
        Exceeded::TableElements => tables(),
    }
}

/// The error for one of the engine, given what the policy has printed.
pub(crate) fn of_engine(error: &wasmtime::Error, limits: &Limits, log: &[String]) -> DecideError {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return of_trap(*trap, log);
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return DecideError::Exit(*code);
    }
    let reason = error.root_cause().to_string();
    // What fails inside of the policy has a backtrace; what fails while its answer is read has none.
    let is_about_the_answer = error.downcast_ref::<WasmBacktrace>().is_none();
    if reason.starts_with(INSTANCE_COUNT) {
        DecideError::Instances { limit: INSTANCES }
    } else if reason.starts_with(TABLE_COUNT) {
        tables()
    } else if reason.starts_with(MEMORY_COUNT) {
        DecideError::Memories { limit: MEMORIES }
    } else if reason.ends_with(HANDLE_COUNT) {
        DecideError::Handles { limit: HANDLES }
    } else if is_about_the_answer && reason.contains(COPIED) {
        DecideError::Answer {
            limit: limits.answer,
        }
    } else if is_about_the_answer {
        DecideError::Invalid(printable(&reason))
    } else {
        DecideError::Trap(printable(&reason))
    }
}

fn of_trap(trap: Trap, log: &[String]) -> DecideError {
    match trap {
        Trap::StackOverflow => DecideError::Stack { limit: STACK },
        Trap::UnreachableCodeReached => DecideError::Trap(complaint(log).unwrap_or_else(|| {
            "it hit `unreachable`, as a panic does, and printed no reason".to_owned()
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
