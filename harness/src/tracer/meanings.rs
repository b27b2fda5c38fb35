//! What the calls mean that tasks are held at: in the present state, and again whenever that changes.

use super::TraceError;
use super::decode::{Action, Caller, Decision, Held, decode};
use super::execution::Running;
use super::footprint;
use super::streams::Streams;
use super::task::{Name, State};
use super::tracee::Registers;
use crate::model::{Access, AccessKind, Location, Operation, ProcessId};

impl Running<'_> {
    /// What the call that a task has come to means now.
    pub(super) fn meaning(&mut self, name: &Name, registers: &Registers) -> Result<Decision, TraceError> {
        let task =
            self.tasks.get(name).ok_or_else(|| TraceError::Lost(format!("task {name} is not known")))?;
        let state = &self.processes[name.process];
        let caller = Caller {
            tracee: &task.tracee,
            process: name.process,
            group: task.group,
            descriptors: &task.descriptors,
            runs: task.runs,
            now: state.clock,
            busy: state.busy,
            has_slept: state.has_slept,
        };
        let decision = decode(&mut self.world, &caller, registers);
        let (mut decision, changes) = footprint::note(&mut self.world, &caller, registers, decision);
        if changes {
            // A copy of the process would not do it again.
            self.processes[name.process].end_prefix();
        }
        if let Decision::Hold(held) = &mut decision {
            self.world.times.order(&mut held.operation);
        }
        if let (Some(forget), Decision::Hold(held)) = (self.world.faults.forget, &mut decision) {
            forget(&mut held.operation);
        }
        Ok(decision)
    }

    /// What is pending may mean something else after an operation that it conflicts with.
    pub(super) fn redo_meanings(&mut self, by: ProcessId, done: &Operation) -> Result<(), TraceError> {
        if self.world.faults.stale {
            return Ok(());
        }
        let is_touched = |accesses: &[Access]| {
            done.changes(by, accesses) || accesses.iter().any(|access| changes_what_it_looks_at(done, access))
        };
        // Tasks of one process may share an offset, or a place in a listing.
        let several = self.of(by.0).count() > 1;
        let shares = |name: &Name, held: &Held| several && name.process == by.0 && !held.action.is_tried();
        let stale = self.tasks.iter().filter_map(|(name, task)| match &task.state {
            State::Held { held, entry, .. }
                if !held.operation.awaits && (shares(name, held) || is_touched(&held.operation.accesses)) =>
            {
                Some((name.clone(), *entry))
            }
            _ => None,
        });
        let stale: Vec<_> = stale.collect();
        let ending = self.tasks.iter().filter_map(|(name, task)| match &task.state {
            State::Ending { operation, alone, .. } if is_touched(&operation.accesses) => {
                Some((name.clone(), *alone))
            }
            _ => None,
        });
        for (name, alone) in ending.collect::<Vec<_>>() {
            let accesses = self.released_by_end(&name, alone);
            if let State::Ending { operation, .. } = &mut self.task(&name)?.state {
                (operation.adds, operation.accesses) = (Streams::closed(&accesses), accesses);
            }
        }
        self.redo(stale)
    }

    /// Asks again what the calls mean that tasks are held at, at their entries.
    pub(super) fn redo(&mut self, stale: Vec<(Name, Registers)>) -> Result<(), TraceError> {
        for (name, entry) in stale {
            let fresh = self.meaning(&name, &entry)?;
            let State::Held { held, .. } = &mut self.task(&name)?.state else { continue };
            match fresh {
                Decision::Hold(fresh) => **held = fresh,
                // The call would do nothing now. That still depends on what it looked at before.
                other => only_look(held, other),
            }
        }
        Ok(())
    }

    /// Decodes again what the tasks of a process are held at, if the process has slept for the first time: from then on it is told times.
    pub(super) fn redo_if_more_is_seen(&mut self, process: usize) -> Result<(), TraceError> {
        if !std::mem::take(&mut self.processes[process].sees_more) {
            return Ok(());
        }
        let held = self.of(process).filter_map(|(name, task)| match &task.state {
            State::Held { held, entry, .. } if !held.operation.awaits && !held.action.is_tried() => {
                Some((name.clone(), *entry))
            }
            _ => None,
        });
        let held = held.collect();
        self.redo(held)
    }

    /// Decodes a call again when it is made, and compares its accesses with those that its task was held at. Operations that conflict with
    /// the call have led to a new decoding already, so the two must be equal.
    pub(super) fn check_meaning(
        &mut self,
        name: &Name,
        held: &Held,
        entry: &Registers,
    ) -> Result<(), TraceError> {
        // A call that was tried, or that waits for something, has changed the state of its own task since.
        if held.operation.awaits || held.action.is_tried() {
            return Ok(());
        }
        let fresh = match self.meaning(name, entry)? {
            Decision::Hold(fresh) => fresh.operation.accesses,
            _ => held.operation.accesses.iter().map(|access| Access::read(access.location.clone())).collect(),
        };
        if fresh == held.operation.accesses {
            return Ok(());
        }
        Err(TraceError::StaleDecoding {
            process: ProcessId(name.process),
            call: held.operation.call.name.clone(),
            held: format!("{:?}", held.operation.accesses),
            fresh: format!("{fresh:?}"),
        })
    }
}

/// Whether an operation reads what this access is on, and yet changes it for operations after it: the size of a file of which it writes the
/// bytes before that size, or the bytes in a FIFO, which are lost when it closes the FIFO.
fn changes_what_it_looks_at(done: &Operation, access: &Access) -> bool {
    let writes_data =
        |access: &Access| matches!(access.location, Location::Data { .. }) && access.kind != AccessKind::Read;
    let looks = |own: &Access| match own.location {
        Location::Data { .. } => done.accesses.iter().any(writes_data),
        Location::Left(_) => true,
        _ => false,
    };
    let looked_at = done.accesses.iter().filter(|own| own.kind == AccessKind::Read && own.conflicts(access));
    looked_at.into_iter().any(looks)
}

/// Makes what a task is held at a look at the same things: the call has come to mean something that touches nothing.
fn only_look(held: &mut Held, meaning: Decision) {
    let operation = &mut held.operation;
    for access in &mut operation.accesses {
        access.kind = AccessKind::Read;
    }
    operation.acquires = None;
    operation.adds.clear();
    operation.needs.clear();
    held.action = match meaning {
        Decision::Watch(action) => action,
        _ => Action::None,
    };
}
