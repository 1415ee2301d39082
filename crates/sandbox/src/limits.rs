//! The limits of a policy's resources, and their enforcement.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// The resources that one decision may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyLimits {
    /// The run time of the policy. Time in which other policies run does not count.
    pub time: Duration,
    /// The total size of its memories, in bytes.
    pub memory: usize,
    /// The size of its decision in our memory, in bytes.
    pub decision: usize,
    /// The amount of output it may print, in bytes.
    pub log: usize,
}

impl Default for PolicyLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(500),
            memory: 64 << 20,
            decision: 256 << 10,
            log: 16 << 10,
        }
    }
}

impl PolicyLimits {
    /// The default limits, with another time or memory where one is set.
    pub fn with(time: Option<Duration>, memory: Option<usize>) -> Self {
        let default = Self::default();
        Self {
            time: time.unwrap_or(default.time),
            memory: memory.unwrap_or(default.memory),
            ..default
        }
    }
}

/// The stack of a policy, in bytes.
pub(crate) const STACK: usize = 1 << 20;
/// The number of core instances of a policy. A component built from Python needs more than 250.
pub(crate) const INSTANCES: usize = 512;
/// The number of tables of a policy. A component built from Python needs more than 250.
pub(crate) const TABLES: usize = 512;
/// The number of memories of a policy.
pub(crate) const MEMORIES: usize = 16;
/// The total number of elements in the tables of a policy. An element takes 8 bytes of our memory.
/// Each function that is called by address needs one; an interpreter has a few thousand.
pub(crate) const TABLE_ELEMENTS: usize = 200_000;
/// The number of WASI handles that a policy may have open at a time. Each is an object in our
/// memory.
pub(crate) const HANDLES: usize = 1_000;

/// The limits that are enforced outside the engine. The engine does not report them by a type of
/// its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Time,
    Memory,
    TableElements,
}

/// Counts the resources of one instance, and ends it when it exceeds a limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_limit: usize,
    memory: usize,
    table_elements: usize,
    exceeded: Option<Exceeded>,
}

impl Limiter {
    pub(crate) fn new(limits: &PolicyLimits) -> Self {
        Self {
            memory_limit: limits.memory,
            memory: 0,
            table_elements: 0,
            exceeded: None,
        }
    }

    /// The total size of all memories, in bytes. A memory never shrinks, so this is also the peak.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// Records the limit and returns the error that ends the instance. Only the first limit is
    /// kept, because later ones are consequences of it.
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
