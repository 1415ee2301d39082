//! What a policy may use up, and who counts it.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// What one decision may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long the policy may run. Time in which the machine runs something else does not count.
    pub time: Duration,
    /// The size of all its memories together, in bytes.
    pub memory: usize,
    /// What its answer may take in our memory, in bytes.
    pub answer: usize,
    /// What it may print, in bytes.
    pub log: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(500),
            memory: 64 << 20,
            answer: 256 << 10,
            log: 16 << 10,
        }
    }
}

/// How many core instances, and how many tables, a policy may have. A component made from Python needs over 250.
pub(crate) const INSTANCES: usize = 512;
/// See [`INSTANCES`].
pub(crate) const TABLES: usize = 512;
/// How many memories a policy may have.
pub(crate) const MEMORIES: usize = 16;
/// How many elements its tables may have together. An element takes 8 bytes of our memory; there is one for each function
/// that is called by address, a few thousand in an interpreter.
pub(crate) const TABLE_ELEMENTS: usize = 200_000;
/// How many handles of WASI a policy may have at once; each is an object in our memory.
pub(crate) const HANDLES: usize = 1_000;

/// The limits that the engine does not report by a type of its own: whoever enforces one notes it here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Time,
    Memory,
    TableElements,
}

/// Counts what one instance takes, and ends it when that is too much.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_limit: usize,
    memory: usize,
    table_elements: usize,
    exceeded: Option<Exceeded>,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory_limit: limits.memory,
            memory: 0,
            table_elements: 0,
            exceeded: None,
        }
    }

    /// The size of all memories together, in bytes. A memory never shrinks, so that is also the peak.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// Notes the limit and ends the instance. Only the first one counts: what follows is a consequence.
    pub(crate) fn exceed(&mut self, limit: Exceeded) -> wasmtime::Error {
        self.exceeded.get_or_insert(limit);
        wasmtime::format_err!("limit exceeded: {limit:?}")
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let memory = self.memory.saturating_add(desired.saturating_sub(current));
        if memory > self.memory_limit {
            return Err(self.exceed(Exceeded::Memory));
        }
        self.memory = memory;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        if elements > TABLE_ELEMENTS {
            return Err(self.exceed(Exceeded::TableElements));
        }
        self.table_elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}
