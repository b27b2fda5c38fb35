//! Cycles of processes that wait for each other's record locks: the kernel finds them, and refuses the wait that would close one.
//!
//! The kernel's function is `posix_locks_deadlock` (`fs/locks.c`). Before an owner begins to wait for a POSIX lock, the kernel looks who
//! holds that lock, which lock that holder waits for, who holds that one, and so on; if this leads back to the owner, it refuses the wait
//! (`EDEADLK`). The owner of POSIX locks is a process with all its threads, so what the kernel takes for a cycle need not be a deadlock.
//! The kernel follows a limited number of owners. It does not find an owner that waits for the lock of an open file description, and does
//! not look for a cycle when such a wait begins: in a cycle with such a wait all processes may wait for ever, and the search shows that.
//!
//! Nobody can see whether a task that is held at such a call waits already, so each task of a cycle may be the last: see
//! [`Refusal`](crate::model::Refusal).

use super::TraceError;
use super::decode::{Action, Held};
use super::execution::Running;
use super::locks::{Claim, Family, Owner};
use super::task::{Name, State, Task};
use super::tracee::Registers;
use crate::model::{Event, GapKind, Location, LockMode, Operation, ProcessId, Waiter};

/// How many times the kernel looks which lock an owner waits for (`MAX_DEADLK_ITERATIONS` and one more).
const MOST_LOOKS: usize = 11;

/// The tasks that wait in a cycle, except for the one that would close it.
type Cycle = Vec<Name>;

/// The lock that a task would wait for, and its mode, if it is held at its wait for a record lock.
fn asked(task: &Task) -> Option<(&Claim, LockMode)> {
    match &task.state {
        State::Held { held, .. } => match &held.action {
            Action::Lock { claim, mode, without_blocking: Some(_) } if claim.family == Family::Record => {
                Some((claim, *mode))
            }
            _ => None,
        },
        _ => None,
    }
}

impl Running<'_> {
    /// The refusal of the wait that a task is held at, if the wait would close a cycle.
    pub(super) fn refusal(&self, name: &Name) -> Option<Operation> {
        let (claim, mode) = asked(&self.tasks[name])?;
        if !matches!(claim.owner, Owner::Process(_)) {
            return None;
        }
        let holders = self.world.locks.owners_against(claim, mode);
        if holders.is_empty() {
            return None;
        }
        let mut cycle = Cycle::new();
        for holder in holders {
            cycle.extend(self.leads_back(claim.owner, holder, &[])?);
        }
        let waiters = cycle.iter().filter(|waiter| waiter.process != name.process).map(|waiter| {
            let process = ProcessId(waiter.process);
            let of = if self.world.by_task { Location::Tasks(process) } else { Location::Process(process) };
            Waiter { of, since: self.tasks[waiter].held_since }
        });
        let locks = cycle.iter().filter_map(|waiter| Some(asked(&self.tasks[waiter])?.0.location()));
        let (instead, _) = self.tasks[name].pending()?;
        Some(Operation::refusal(instead.clone(), locks.collect(), waiters.collect()))
    }

    /// The tasks that wait on the way from this owner of locks back to the owner that `asks`. `None` if one of several holders of a lock
    /// does not lead back: the kernel follows only one of them. `passed`: the owners on the way so far.
    fn leads_back(&self, asks: Owner, owner: Owner, passed: &[Owner]) -> Option<Cycle> {
        let is_looked_for = matches!(owner, Owner::Process(_));
        if !is_looked_for || passed.len() == MOST_LOOKS || passed.contains(&owner) {
            return None;
        }
        let passed = [passed, &[owner]].concat();
        let way = |(name, task): (&Name, &Task)| {
            let (claim, mode) = asked(task).filter(|(claim, _)| claim.owner == owner)?;
            let holders = self.world.locks.owners_against(claim, mode);
            let mut cycle = vec![name.clone()];
            for holder in &holders {
                if *holder != asks {
                    cycle.extend(self.leads_back(asks, *holder, &passed)?);
                }
            }
            (!holders.is_empty()).then_some(cycle)
        };
        self.tasks.iter().find_map(way)
    }

    /// Makes the call fail that a task is held at: its wait would close a cycle.
    pub(super) fn refuse(
        &mut self,
        name: &Name,
        held: &Held,
        entry: Registers,
        operation: Operation,
    ) -> Result<Event, TraceError> {
        if self.processes[name.process].has_timer {
            let what = "a timer that may end a wait for a record lock, which would close a cycle";
            self.sight(name.process, GapKind::RecordLock, what);
        }
        self.advance_clock(name.process, &operation);
        self.run_out_due(name.process)?;
        let result = self.skip(name, entry, -i64::from(libc::EDEADLK))?;
        self.apply(name, &held.action, result, Some(&operation))?;
        Ok(self.done(name, operation, result, None))
    }

    /// Notes as gaps the waits that may close a cycle in an order of operations that is not run. The owner holds record locks already, and
    /// several hold the lock that it waits for, or it has several threads. A request of one of several threads is noted even if it need not
    /// wait: in this order, another thread may have released the locks of the process before the wait.
    pub(super) fn note_undecided_waits(&mut self) {
        let undecided = |(name, task): (&Name, &Task)| {
            let (claim, mode) = asked(task)?;
            if !self.world.locks.holds_records(claim.owner) {
                return None;
            }
            let threads = self.of(name.process).filter(|(_, other)| other.group == task.group).count();
            let what = if threads > 1 && matches!(claim.owner, Owner::Process(_)) {
                "a thread that asks for a record lock, while its process holds others"
            } else if self.world.locks.owners_against(claim, mode).len() > 1 {
                "a wait for a record lock that several hold, by a process that holds others"
            } else {
                return None;
            };
            Some((name.process, what))
        };
        let undecided: Vec<(usize, &str)> = self.tasks.iter().filter_map(undecided).collect();
        for (process, what) in undecided {
            self.sight(process, GapKind::RecordLock, what);
        }
    }
}
