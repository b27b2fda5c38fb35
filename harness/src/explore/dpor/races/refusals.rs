//! Waits for a lock that are refused, since they would close a cycle of processes that wait.
//!
//! Such a wait is the end of two kinds of races. As what it is, it can come wherever all the others of its cycle are held at their
//! waits, and what it looks at of the locks is so. As what it is where it closes no cycle, an acquisition that waits, it can come before
//! the one that took the lock. What takes a refusal away (another process of the cycle is refused, the lock is given back) may come
//! behind it as well, though the process that was held at it does something else then: so what is held there before such an event is the
//! end of races, too.

use std::borrow::Cow;

use super::Later;
use crate::model::{Event, HappensBefore, Location, Waiter};

impl Later<'_> {
    /// Adds to those from the `first` on the races of those among them that are refused as what they would be otherwise, and says what
    /// brought the others of their cycles to their waits.
    pub(super) fn add_refusals(later: &mut Vec<Self>, first: usize, order: &HappensBefore, trace: &[Event]) {
        for at in first..later.len() {
            let Some(refusal) = later[at].operation.refused.clone() else { continue };
            let events = |of: &Location| {
                let of = of.clone();
                trace.iter().enumerate().filter(move |(_, event)| is_of(event, &of)).map(|(number, _)| number)
            };
            let brought = |waiter: &Waiter| {
                let before = usize::try_from(waiter.since).ok()?.checked_sub(1)?;
                events(&waiter.of).nth(before)
            };
            let mut instead = later[at].clone();
            instead.conflicting = order.conflicting(instead.process, &refusal.instead);
            if let Some(signal) = instead.signal {
                instead.conflicting.insert(0, signal);
            }
            instead.operation = Cow::Owned(refusal.instead);
            later[at].brought = refusal.waiters.iter().filter_map(brought).collect();
            later.push(instead);
        }
    }

    /// Whether the others of its cycle are held at their waits behind these events and all before the earlier one, if it is refused.
    pub(super) fn is_refused_before(&self, earlier: usize, independent: &[usize]) -> bool {
        let is_reached = |event: &usize| *event < earlier || independent.contains(event);
        self.brought.iter().all(is_reached)
    }

    /// Whether it may be something else before this event: what it looks at of the locks may be otherwise.
    pub(super) fn may_not_be_refused_before(&self, earlier: usize) -> bool {
        self.operation.refused.is_some() && self.signal != Some(earlier)
    }
}

/// Whether an event is one of the process that a waiter is of.
fn is_of(event: &Event, of: &Location) -> bool {
    match of {
        Location::Tasks(process) => event.operation.of_task_of() == Some(*process),
        of => *of == Location::Process(event.process),
    }
}
