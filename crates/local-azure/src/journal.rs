//! Bounded records in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A list that drops its oldest entries, which bounds the memory of a stand-in that runs for days.
#[derive(Debug)]
pub(crate) struct Journal<T> {
    entries: Mutex<VecDeque<T>>,
    capacity: usize,
}

impl<T: Clone> Journal<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: Mutex::new(VecDeque::new()),
            capacity,
        }
    }

    pub(crate) fn push(&self, entry: T) {
        let mut entries = self.lock();
        if entries.len() >= self.capacity {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// The remaining entries, oldest first.
    pub(crate) fn snapshot(&self) -> Vec<T> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_the_oldest_entries() {
        let journal = Journal::new(2);
        for entry in 1..=3 {
            journal.push(entry);
        }
        assert_eq!(journal.snapshot(), [2, 3]);
    }
}
