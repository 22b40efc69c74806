//! What is yet to happen, in order of time; what is due at one instant happens in the order it was put down.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Things to come, each with its instant.
#[derive(Debug)]
pub struct Agenda<T> {
    heap: BinaryHeap<Entry<T>>,
    sequence: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at_ms: u64,
    sequence: u64,
    what: T,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0 }
    }
}

impl<T> Agenda<T> {
    /// Puts `what` down for `at_ms`.
    pub fn add(&mut self, at_ms: u64, what: T) {
        self.sequence += 1;
        self.heap.push(Entry { at_ms, sequence: self.sequence, what });
    }

    /// Takes what is due next, and when.
    pub fn take(&mut self) -> Option<(u64, T)> {
        self.heap.pop().map(|entry| (entry.at_ms, entry.what))
    }

    /// When something is due next.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.at_ms)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest first.
        (other.at_ms, other.sequence).cmp(&(self.at_ms, self.sequence))
    }
}
