//! The limits of the compilation of a policy. They grow with the file.

use std::time::Duration;

/// The resources for the compilation of one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompileLimits {
    /// The processor time of the compiler, in whole seconds. A busy machine does not shorten it.
    pub(crate) time: Duration,
    /// The time until the compiled policy is there. Where processor time cannot be limited, it is
    /// the only limit of time.
    pub(crate) wait: Duration,
    /// The memory of the compiler, in bytes.
    pub(crate) memory: u64,
}

/// The processor time for a file of at most 1 MiB. A policy in Rust takes some 20 ms.
const TIME: Duration = Duration::from_secs(8);

/// The time for each MiB beyond the first. A policy with a Python interpreter of 18 MiB takes about
/// 6 s of two processors, and three times as long with an unoptimised build of keyrelay.
const TIME_A_MIB: Duration = Duration::from_secs(5);

/// The memory for a file of at most 1 MiB, in bytes. Each thread of the compiler has a stack of 2 MiB.
const MEMORY: u64 = 256 << 20;

/// The memory for each byte beyond the first MiB.
const MEMORY_A_BYTE: u64 = 40;

/// The size of the largest compiled policy, in bytes. It is read into the memory of the caller.
pub(crate) const LARGEST_CODE: u64 = 128 << 20;

impl CompileLimits {
    /// The limits for a file of `length` bytes.
    pub(crate) fn of(length: usize) -> Self {
        let beyond = (length as u64).saturating_sub(1 << 20);
        let mebibytes = u32::try_from(beyond.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        let time = TIME + TIME_A_MIB.saturating_mul(mebibytes);
        Self {
            time,
            wait: if cfg!(unix) { time * 5 } else { time },
            memory: MEMORY + MEMORY_A_BYTE.saturating_mul(beyond),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_grow_with_the_file() {
        let small = CompileLimits::of(30 << 10);
        assert_eq!(small, CompileLimits::of(1 << 20));
        let large = CompileLimits::of(18 << 20);
        assert_eq!(large.time, Duration::from_secs(93));
        assert_eq!(large.memory, (256 << 20) + 40 * (17 << 20));
    }
}
