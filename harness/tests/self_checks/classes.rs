//! What the search is held against: trace classes counted without it, from the schedules one by one.

use std::collections::BTreeSet;

use cooks_harness::model::{Access, Ending, Event, Execution};

/// An event, whatever the schedule: who, the how-manieth of its process, and what it touched.
type Letter = (usize, usize, Vec<Access>);

/// The trace class of an execution in Foata's normal form: each event as early as those that it depends on allow, events that are
/// equally early in one set. Two executions have the same one exactly if swaps of independent neighbours lead from one to the
/// other (P. Cartier and D. Foata, Problèmes combinatoires de commutation et réarrangements, 1969). Computed from the definition
/// of dependence alone, by comparing every event with every one before it.
pub type Class = (bool, Vec<BTreeSet<Letter>>);

pub fn class(execution: &Execution) -> Class {
    let trace = &execution.trace;
    let mut levels: Vec<usize> = Vec::with_capacity(trace.len());
    let mut sets: Vec<BTreeSet<Letter>> = Vec::new();
    for (at, event) in trace.iter().enumerate() {
        let depends = |earlier: &Event| {
            earlier.process == event.process
                || earlier.operation.disturbs(earlier.process, &event.operation, event.process)
        };
        let level =
            (0..at).filter(|&earlier| depends(&trace[earlier])).map(|earlier| levels[earlier] + 1).max();
        let level = level.unwrap_or(0);
        let ordinal = trace[..at].iter().filter(|earlier| earlier.process == event.process).count();
        levels.push(level);
        if sets.len() == level {
            sets.push(BTreeSet::new());
        }
        sets[level].insert((event.process.0, ordinal, event.operation.accesses.clone()));
    }
    (execution.ending == Ending::Complete, sets)
}
