//! Where a schedule matters: the operations that conflict with one that another process was seen to make.

use std::collections::BTreeMap;

use crate::model::{Access, Ending, Execution, Key, Operation, ProcessId, View};

/// What each process was seen to touch in the executions so far. An operation that conflicts with none seen of another process
/// is no *scheduling point*: it commutes with all that is known, so that when it runs makes no difference.
///
/// What is held at counts as seen. So when an execution comes to an operation that was never seen, it is seen there, and those
/// that conflict with it are points from then on.
///
/// In memory is each access of each process once: as much as the programs can touch, not as much as was run.
#[derive(Clone, Debug, Default)]
pub(super) struct Points {
    /// Of each process, by its number.
    seen: BTreeMap<Key, Vec<Vec<Access>>>,
}

impl Points {
    /// Takes note of what the processes are held at, and of what was done last.
    pub(super) fn learn(&mut self, view: View<'_>) {
        if let Some(event) = view.trace.last() {
            self.add(event.process, &event.operation);
        }
        for (index, status) in view.processes.iter().enumerate() {
            if let Some(operation) = status.operation() {
                self.add(ProcessId(index), operation);
            }
        }
    }

    /// Takes note of an execution's end, which no view shows: the last step, and what processes wait at.
    pub(super) fn learn_end(&mut self, execution: &Execution) {
        if let Some(event) = execution.trace.last() {
            self.add(event.process, &event.operation);
        }
        if let Ending::Blocked(waiting) = &execution.ending {
            for at in waiting {
                self.add(at.process, &at.operation);
            }
        }
    }

    /// Takes note of a whole execution.
    pub(super) fn learn_all(&mut self, execution: &Execution) {
        for event in &execution.trace {
            self.add(event.process, &event.operation);
        }
        self.learn_end(execution);
    }

    fn add(&mut self, process: ProcessId, operation: &Operation) {
        for access in operation.accesses.iter().chain([&Access::by(process)]) {
            let of_location = self.seen.entry(Key::of(&access.location)).or_default();
            if of_location.len() <= process.0 {
                of_location.resize_with(process.0 + 1, Vec::new);
            }
            let own = &mut of_location[process.0];
            if !own.contains(access) {
                own.push(access.clone());
            }
        }
    }

    /// Whether it matters when the process does what touches this.
    pub(super) fn is_point(&self, process: ProcessId, accesses: &[Access]) -> bool {
        accesses.iter().chain([&Access::by(process)]).any(|access| {
            let all = self.seen.get(&Key::of(&access.location)).into_iter().flatten().enumerate();
            let mut others = all.filter(|(who, _)| *who != process.0).flat_map(|(_, seen)| seen);
            others.any(|other| access.conflicts(other))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Points;
    use crate::model::{Access, Location, ObjectId, Operation, ProcessId, Status, View};

    fn on(file: u32, access: fn(Location) -> Access) -> Operation {
        let location = Location::Data { object: ObjectId::Initial(file), start: 0, end: 4 };
        Operation { accesses: vec![access(location)], ..Operation::default() }
    }

    #[test]
    fn a_point_is_what_conflicts_with_something_seen_of_another_process() {
        let held = [on(1, Access::write), on(1, Access::read), on(2, Access::write)].map(Status::Enabled);
        let mut points = Points::default();
        points.learn(View { trace: &[], processes: &held });
        let is_point =
            |process, operation: Operation| points.is_point(ProcessId(process), &operation.accesses);
        assert!(is_point(1, on(1, Access::read)), "A writes it");
        assert!(is_point(0, on(1, Access::write)), "B reads it");
        assert!(!is_point(2, on(2, Access::write)), "nobody else touches it");
        assert!(is_point(0, on(2, Access::read)), "C writes it, though A was never seen there");
        assert!(!is_point(1, on(3, Access::write)));
        let reads = [on(1, Access::read), on(1, Access::read)].map(Status::Enabled);
        let mut points = Points::default();
        points.learn(View { trace: &[], processes: &reads });
        assert!(!points.is_point(ProcessId(0), &on(1, Access::read).accesses), "reads commute");
    }
}
