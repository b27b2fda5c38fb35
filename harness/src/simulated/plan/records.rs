//! Record locks: a wait for one fails if it would close a cycle of processes that wait for record locks.

use super::{Plan, Planner, excludes, lock_access, path_of};
use crate::model::{Access, Acquisition, Location, LockMode, ObjectId, Operation, ProcessId, Waiter};
use crate::simulated::program::{Instruction, Register};
use crate::simulated::world::Effect;

/// The record lock of a file as a whole.
pub(super) fn record(object: ObjectId) -> Location {
    Location::RecordLock { object, start: 0, end: u64::MAX }
}

/// The processes that wait in a cycle, each with the lock that it waits for.
type Cycle = Vec<(ProcessId, Location)>;

impl Planner<'_> {
    /// A request that waits, or fails if its wait would close a cycle.
    pub(super) fn record_lock(&self, object: ObjectId, mode: LockMode, into: Register) -> Plan {
        let lock = record(object);
        let converts = self.world.holders(&lock).iter().any(|(holder, _)| *holder == self.id);
        let access = if converts { Access::write(lock.clone()) } else { lock_access(lock.clone(), mode) };
        let holders = self.against(self.id, object, mode);
        let acquires = Some(Acquisition { lock: lock.clone(), mode, blocking: true });
        let word = if mode == LockMode::Shared { "shared" } else { "exclusive" };
        let mut plan = Plan::new("fcntl", path_of(object), vec![access]).detail(word);
        plan.operation.acquires = acquires;
        if let Some(cycle) = self.cycle(&holders, &[]).filter(|_| !holders.is_empty()) {
            let since = |process: &ProcessId| self.processes[process.0].operations();
            let waiter =
                |process: &ProcessId| Waiter { of: Location::Process(*process), since: since(process) };
            let waiters = cycle.iter().map(|(process, _)| waiter(process)).collect();
            let locks = cycle.iter().map(|(_, lock)| lock.clone()).collect();
            plan.operation = Operation::refusal(plan.operation, locks, waiters);
            return plan.fails("EDEADLK", Some(into));
        }
        plan.holders = holders;
        let effects = [Effect::Release(lock.clone(), self.id), Effect::Acquire(lock, self.id, mode)];
        plan.does(effects).gives(1, into)
    }

    /// The other processes that hold the record lock of a file in a mode that makes a process wait.
    fn against(&self, process: ProcessId, object: ObjectId, mode: LockMode) -> Vec<ProcessId> {
        let holders = self.world.holders(&record(object)).iter();
        let against = holders.filter(|(holder, held)| *holder != process && excludes(mode, *held));
        against.map(|(holder, _)| *holder).collect()
    }

    /// The cycle that this process closes by waiting for these holders. `None` if one of them does not lead back to this process: the
    /// kernel follows only one holder of a lock.
    fn cycle(&self, holders: &[ProcessId], passed: &[ProcessId]) -> Option<Cycle> {
        let mut cycle = Cycle::new();
        for holder in holders.iter().filter(|holder| **holder != self.id) {
            if passed.contains(holder) {
                return None;
            }
            let (next, lock) = self.waits_for(*holder)?;
            cycle.push((*holder, lock));
            cycle.extend(self.cycle(&next, &[passed, &[*holder]].concat())?);
        }
        Some(cycle)
    }

    /// If another process is held at its wait for a record lock: the holders of that lock, and the lock.
    fn waits_for(&self, other: ProcessId) -> Option<(Vec<ProcessId>, Location)> {
        let process = &self.processes[other.0];
        let Some(Instruction::RecordLock { file, mode, .. }) = process.instruction() else { return None };
        let object = process.object(file).filter(|_| process.signal().is_none())?;
        let holders = self.against(other, object, *mode);
        (!holders.is_empty()).then(|| (holders, record(object)))
    }
}
