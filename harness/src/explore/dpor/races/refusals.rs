//! Waits for a lock that the kernel refuses, since they would close a cycle of processes that wait.
//!
//! Such a wait is the end of two kinds of races. As a refusal, it can come wherever all other processes of its cycle are held at their
//! waits, and the locks are as it reads them. As an acquisition that waits, which it is if it closes no cycle, it can come before the
//! operation that took the lock.
//!
//! An event can take a refusal away: another process of the cycle is refused, or the lock is released. Such an event can also come after
//! the refusal, though in this execution the process that was held at it does something else instead. So a refusal that is held before such
//! an event is the end of races, too.

use std::borrow::Cow;

use super::Later;
use crate::model::{Event, HappensBefore, Location, Waiter};

impl Later<'_> {
    /// For each refusal from the `first` on: notes the events that brought the other processes of its cycle to their waits, and adds the
    /// acquisition that it would be otherwise as the end of further races.
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

    /// Whether the other processes of its cycle are held at their waits after these events and all before the `earlier` one. True if it is
    /// no refusal.
    pub(super) fn is_refused_before(&self, earlier: usize, independent: &[usize]) -> bool {
        let is_reached = |event: &usize| *event < earlier || independent.contains(event);
        self.brought.iter().all(is_reached)
    }

    /// Whether it is a refusal that may be something else before this event, since the locks that it reads may differ there.
    pub(super) fn may_not_be_refused_before(&self, earlier: usize) -> bool {
        self.operation.refused.is_some() && self.signal != Some(earlier)
    }
}

/// Whether an event is of the process of a waiter.
fn is_of(event: &Event, of: &Location) -> bool {
    match of {
        Location::Tasks(process) => event.operation.of_task_of() == Some(*process),
        of => *of == Location::Process(event.process),
    }
}
