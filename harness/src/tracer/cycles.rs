//! Cycles of processes that wait for each other's record locks: the kernel finds them, and refuses the wait that would close one.
//!
//! As `posix_locks_deadlock` has it (`fs/locks.c`): whoever waits for a POSIX lock looks who holds it, what that one waits for, who holds
//! that, and so on, and is refused (`EDEADLK`) if that leads to itself. Whom the kernel takes for one is the owner of POSIX locks, a process
//! with all its threads: so what it takes for a cycle need not be a deadlock. It looks so far and no further. Who waits for the lock of an
//! open file description is not found, and who waits for one of his own never looks: in a cycle with such a one all may wait for ever, and
//! that is what is shown of it.
//!
//! Nobody can see whether a task that is held at such a call waits already, so each of a cycle may be the last: see
//! [`Refusal`](crate::model::Refusal).

use super::TraceError;
use super::decode::{Action, Held};
use super::execution::Running;
use super::locks::{Claim, Family, Owner};
use super::task::{Name, State, Task};
use super::tracee::Registers;
use crate::model::{Event, GapKind, Location, LockMode, Operation, ProcessId, Waiter};

/// So many times the kernel looks what an owner waits for (`MAX_DEADLK_ITERATIONS`, and one).
const MOST_LOOKS: usize = 11;

/// The tasks that wait in a cycle, but for the one that would close it.
type Cycle = Vec<Name>;

/// What a task would wait for, if it is held at the wait for a record lock.
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
    /// The refusal that a task is held at, where its wait would close a cycle.
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

    /// Those who wait on a way from this owner of locks back to the one who asks, if it leads there whichever of several holders of a lock
    /// the kernel takes to be waited for. `passed`: the owners on the way so far.
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

    /// Has the call fail that a task is held at: its wait would close a cycle.
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

    /// Takes note of waits of which it cannot be told in each order of operations whether they close a cycle: by who holds locks himself, for
    /// a lock that several hold, or while other threads of his go on. Of those it matters that one has not to wait as well: the others may
    /// give back what is held before it would have to.
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
