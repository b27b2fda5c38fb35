//! What is known of processes from executions before this one. What a process does behind an operation follows from what happened
//! before that in the partial order: its *past*.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::endings::Ends;
use super::waits::Polls;

/// What is known of all processes behind their pasts.
#[derive(Debug, Default)]
pub struct Known {
    /// How they ended.
    pub ends: Ends,
    /// How long they looked in vain.
    pub polls: Polls,
    /// The processes that are sent signals where they end: they are held there.
    pub signalled_at_end: BTreeSet<usize>,
}

/// An event with all that happened before it in the partial order, as a number that no two of them share (but for a chance of 2^-64
/// that they do).
pub type Past = [u64; 2];

/// The past of the event of `process` that has this clock. `pasts`: those of the events so far, of each process.
#[must_use]
pub fn past(process: usize, clock: &[u32], pasts: &[Vec<Past>]) -> Past {
    [1u64, 2].map(|salt| {
        let mut hasher = DefaultHasher::new();
        (salt, process).hash(&mut hasher);
        for (other, &events) in clock.iter().enumerate() {
            let earlier = events as usize - usize::from(other == process);
            let latest = earlier.checked_sub(1).and_then(|latest| pasts.get(other)?.get(latest));
            (events, latest).hash(&mut hasher);
        }
        hasher.finish()
    })
}
