//! The policies that were used last, within limits of memory and number.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most memory for policies that are not in use, in bytes: a quarter of the smallest instance of a
/// function app.
const MEMORY: usize = 128 << 20;

/// Largest number of policies that are not in use. A search goes through all of them.
const NUMBER: usize = 32;

/// The values that were used last, by name. Others are dropped at once.
///
/// A list and not a cache of `moka`, which frees what it has evicted some time later.
#[derive(Debug)]
pub(super) struct Recent<T>(Mutex<Vec<Kept<T>>>);

#[derive(Debug)]
struct Kept<T> {
    name: String,
    memory: usize,
    /// Held, and not used.
    _value: T,
}

impl<T> Recent<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Keeps a value of `memory` bytes, and drops those that were used before as far as necessary. A
    /// value that is larger than the limit stays alone: it need not be loaded for each event.
    pub(super) fn keep(&self, name: &str, value: T, memory: usize) {
        let kept = Kept {
            name: name.to_owned(),
            memory,
            _value: value,
        };
        let mut values = self.lock();
        values.retain(|other| other.name != name);
        values.push(kept);
        let mut left = MEMORY;
        let fits = |value: &&Kept<T>| {
            let rest = left.checked_sub(value.memory);
            left = rest.unwrap_or_default();
            rest.is_some()
        };
        let fitting = values.iter().rev().take(NUMBER).take_while(fits).count();
        let dropped = values.len() - fitting.max(1);
        values.drain(..dropped);
    }

    pub(super) fn forget(&self, name: &str) {
        self.lock().retain(|other| other.name != name);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Weak};

    use super::*;

    const MIB: usize = 1 << 20;

    /// Keeps values of these sizes one after the other, and returns the positions of those that are
    /// still in memory.
    fn left(sizes: &[usize]) -> Vec<usize> {
        let recent = Recent::new();
        let keep = |(position, memory): (usize, &usize)| {
            let value = Arc::new(position);
            recent.keep(&position.to_string(), Arc::clone(&value), *memory);
            Arc::downgrade(&value)
        };
        let kept: Vec<Weak<usize>> = sizes.iter().enumerate().map(keep).collect();
        let left = kept.iter().filter_map(Weak::upgrade);
        left.map(|value| *value).collect()
    }

    #[test]
    fn large_values_stay_within_the_memory() {
        assert_eq!(left(&[40 * MIB; 10]), [7, 8, 9]);
        assert_eq!(left(&[128 * MIB, 1]), [1]);
    }

    #[test]
    fn a_value_that_is_larger_than_the_memory_stays_alone() {
        assert_eq!(left(&[1, 1, 500 * MIB]), [2]);
        assert_eq!(left(&[500 * MIB, usize::MAX]), [1]);
        assert_eq!(left(&[usize::MAX, 1]), [1]);
    }

    #[test]
    fn the_number_of_small_values_is_limited() {
        let last: Vec<usize> = (68..100).collect();
        assert_eq!(left(&[100_000; 100]), last);
    }

    #[test]
    fn a_value_that_is_used_again_stays() {
        let recent = Recent::new();
        let values: Vec<Arc<usize>> = (0..4).map(Arc::new).collect();
        for position in [0, 1, 2, 0, 3] {
            let value = Arc::clone(&values[position]);
            recent.keep(&position.to_string(), value, 40 * MIB);
        }
        let kept = values.iter().map(|value| Arc::strong_count(value) > 1);
        assert_eq!(kept.collect::<Vec<_>>(), [true, false, true, true]);
        recent.forget("0");
        assert_eq!(Arc::strong_count(&values[0]), 1);
    }
}
