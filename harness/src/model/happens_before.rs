use std::collections::BTreeMap;

use super::access::{Access, AccessKind, Key};
use super::execution::Event;
use super::operation::Operation;
use super::process::ProcessId;

/// The partial order that dependence and the order within processes induce on the events of a trace, built event by event.
///
/// Kept as vector clocks: for each event, how many events of each process come before it (itself included).
#[derive(Clone, Debug, Default)]
pub struct HappensBefore {
    processes: Vec<ProcessId>,
    /// Of each event, its number among those of its process, from 1.
    ordinals: Vec<u32>,
    clocks: Vec<Vec<u32>>,
    last: Vec<Option<usize>>,
    /// The accesses made so far, by what they are on; ranges are compared within one list.
    history: BTreeMap<Key, Vec<(usize, Access)>>,
    /// Those of them that are not covered by a later one which comes after them in the partial order: all that a clock needs.
    frontier: BTreeMap<Key, Vec<(usize, Access)>>,
}

impl HappensBefore {
    /// The order of a whole trace.
    #[must_use]
    pub fn of(trace: &[Event]) -> Self {
        let mut order = Self::default();
        for event in trace {
            order.push(event.process, &event.operation);
        }
        order
    }

    /// Adds an event, the last so far, and gives its number.
    pub fn push(&mut self, process: ProcessId, operation: &Operation) -> usize {
        let number = self.clocks.len();
        let mut clock = self.clock_before(process, operation);
        if clock.len() <= process.0 {
            clock.resize(process.0 + 1, 0);
        }
        clock[process.0] += 1;
        self.ordinals.push(clock[process.0]);
        self.clocks.push(clock);
        self.processes.push(process);
        if self.last.len() <= process.0 {
            self.last.resize(process.0 + 1, None);
        }
        self.last[process.0] = Some(number);
        for access in operation.accesses.iter().chain([&Access::by(process)]) {
            let key = Key::of(&access.location);
            self.history.entry(key.clone()).or_default().push((number, access.clone()));
            let frontier = self.frontier.entry(key).or_default();
            frontier.retain(|(event, earlier)| {
                let same = self.processes[*event] == process && earlier.kind == access.kind;
                let comes_before = same || access.kind == AccessKind::Write;
                !(comes_before && access.location.contains(&earlier.location))
            });
            frontier.push((number, access.clone()));
        }
        number
    }

    /// The clock that an operation of `process` would have if it came now, its own tick left out: what it depends on.
    #[must_use]
    pub fn clock_before(&self, process: ProcessId, operation: &Operation) -> Vec<u32> {
        let mut clock = self.last_of(process).map_or_else(Vec::new, |last| self.clocks[last].clone());
        for access in operation.accesses.iter().chain([&Access::by(process)]) {
            for (event, earlier) in self.frontier.get(&Key::of(&access.location)).into_iter().flatten() {
                if access.conflicts(earlier) {
                    join(&mut clock, &self.clocks[*event]);
                }
            }
        }
        clock
    }

    /// The numbers of the earlier events that conflict with an operation of a process, each once, latest first.
    #[must_use]
    pub fn conflicting(&self, process: ProcessId, operation: &Operation) -> Vec<usize> {
        self.touching(operation.accesses.iter().chain([&Access::by(process)]))
    }

    /// The same of accesses by themselves.
    #[must_use]
    pub fn conflicting_by_themselves(&self, accesses: &[Access]) -> Vec<usize> {
        self.touching(accesses.iter())
    }

    fn touching<'a>(&self, accesses: impl Iterator<Item = &'a Access>) -> Vec<usize> {
        let mut found: Vec<usize> = accesses
            .flat_map(|access| {
                let history = self.history.get(&Key::of(&access.location));
                history
                    .into_iter()
                    .flatten()
                    .filter(|(_, earlier)| access.conflicts(earlier))
                    .map(|(event, _)| *event)
            })
            .collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found
    }

    /// Whether event `a` is event `b` or comes before it in the partial order.
    #[must_use]
    pub fn leads_to(&self, a: usize, b: usize) -> bool {
        self.clocks[b].get(self.processes[a].0).is_some_and(|&seen| seen >= self.ordinals[a])
    }

    /// The last event of a process so far.
    #[must_use]
    pub fn last_of(&self, process: ProcessId) -> Option<usize> {
        self.last.get(process.0).copied().flatten()
    }

    /// The event's number among those of its process, from 0.
    #[must_use]
    pub fn ordinal(&self, event: usize) -> u32 {
        self.ordinals[event] - 1
    }

    /// The clock of an event: of each process, how many of its events come before it in the partial order, itself included.
    /// Processes past the end of the slice have none. Equal trace classes have equal clocks, event for event.
    #[must_use]
    pub fn clock(&self, event: usize) -> &[u32] {
        &self.clocks[event]
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clocks.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clocks.is_empty()
    }
}

/// Raises `clock` to cover `other`.
fn join(clock: &mut Vec<u32>, other: &[u32]) {
    if clock.len() < other.len() {
        clock.resize(other.len(), 0);
    }
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}

#[cfg(test)]
mod tests {
    use super::HappensBefore;
    use crate::model::{Access, Location, ObjectId, Operation, ProcessId};

    fn operation(accesses: Vec<Access>) -> Operation {
        Operation { accesses, ..Operation::default() }
    }

    fn byte(file: u32) -> Location {
        Location::Data { object: ObjectId::Initial(file), start: 0, end: 1 }
    }

    #[test]
    fn conflicts_order_and_the_rest_does_not() {
        let mut order = HappensBefore::default();
        let (a, b, c) = (ProcessId(0), ProcessId(1), ProcessId(2));
        let write_x = order.push(a, &operation(vec![Access::write(byte(1))]));
        let write_y = order.push(b, &operation(vec![Access::write(byte(2))]));
        let read_x = order.push(c, &operation(vec![Access::read(byte(1))]));
        let read_y = order.push(c, &operation(vec![Access::read(byte(2))]));
        assert!(order.leads_to(write_x, read_x) && order.leads_to(write_x, read_y));
        assert!(!order.leads_to(write_x, write_y) && !order.leads_to(write_y, read_x));
        assert!(order.leads_to(write_y, read_y) && order.leads_to(read_x, read_x));
        let of_c = operation(vec![Access::write(Location::Process(c))]);
        assert_eq!(order.conflicting(a, &of_c), [read_y, read_x]);
        let signal = order.push(a, &of_c);
        let next_of_c = order.push(c, &operation(Vec::new()));
        assert!(order.leads_to(read_y, signal) && order.leads_to(signal, next_of_c));
        assert_eq!((order.ordinal(read_y), order.last_of(c)), (1, Some(next_of_c)));
        assert_eq!(order.conflicting(a, &operation(vec![Access::write(byte(1))])), [read_x, write_x]);
    }
}
