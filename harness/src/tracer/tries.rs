//! Calls that wait for a change: for room, or for one of several things. Each is tried; in vain, its task is held until
//! another process changes something of what it looked at.

use super::TraceError;
use super::decode::{Action, Decision, Held};
use super::execution::Running;
use super::task::{Name, State, Task};
use super::tracee::{Registers, Stop};
use crate::model::{Access, Call, Event, GapKind, Location, Operation, ProcessId, Sighting};

impl Running<'_> {
    /// Does what can be done of a call that may not be done as a whole: writes what there is room for; looks at several things and
    /// finds none ready. `None` where it is over, with its result.
    pub(super) fn try_part(
        &mut self,
        name: &Name,
        held: &Held,
        entry: Registers,
    ) -> Result<Option<Event>, TraceError> {
        let mut operation = held.operation.clone();
        match held.action {
            Action::Await => {
                let mut registers = entry;
                registers.back_before();
                let task = self.task(name)?;
                task.tracee.set_registers(registers)?;
                task.state = State::Ready;
                Ok(Some(self.done(name, operation, 0, None)))
            }
            Action::AwaitRoom => self.go_on_where_there_is_room(name, held, entry).map(Some),
            Action::Through { room: Some(0), .. } => {
                let call = Call { detail: Call::WAITS_FOR_ROOM.into(), ..operation.call.clone() };
                self.hold_for_change(name, call, &mut operation, Action::Await, entry)?;
                Ok(Some(self.done(name, operation, -i64::from(libc::EAGAIN), None)))
            }
            Action::Through { room: Some(room), .. } => {
                let result = self.write_part(name, entry, room)?;
                self.count_what_went_through(name, &mut operation, (&held.action, result))?;
                Ok(Some(self.done(name, operation, result, None)))
            }
            Action::Through { .. } | Action::Post { .. } if held.action.is_tried() => {
                self.try_to_send(name, held, entry)
            }
            Action::Poll => {
                if self.try_call(name)?.is_some() {
                    return Ok(None);
                }
                let task = self.task(name)?;
                task.tracee.back_to(&entry)?;
                let entry = task.tracee.registers()?;
                let call = operation.call.clone();
                self.hold_for_change(name, call, &mut operation, Action::Poll, entry)?;
                Ok(Some(self.done(name, operation, 0, None)))
            }
            _ => Ok(None),
        }
    }

    /// Holds a task, at the entry of a call that was in vain, until something changes of what it has looked at.
    pub(super) fn hold_for_change(
        &mut self,
        name: &Name,
        call: Call,
        done: &mut Operation,
        action: Action,
        entry: Registers,
    ) -> Result<(), TraceError> {
        let accesses = only_read(&done.accesses);
        done.accesses.clone_from(&accesses);
        let operation = Operation { call, accesses, awaits: true, ..Operation::default() };
        self.turns += 1;
        let turn = self.turns;
        let process = &self.processes[name.process];
        let (moved, operations) = (process.moved, process.operations + 1);
        let task = self.task(name)?;
        (task.come, task.looked, task.waits_since) = (false, moved, operations);
        task.state = State::Held { held: Box::new(Held { operation, action }), entry, turn };
        Ok(())
    }

    /// Lets a task run through a call that may sleep; its result, or `None` where it sleeps: then it is at rest in it.
    fn try_call(&mut self, name: &Name) -> Result<Option<i64>, TraceError> {
        if let Some(registers) = self.run_into_call(name)? {
            return Ok(Some(registers.result()));
        }
        Ok(self.take_out(name)?.map(|registers| registers.result()))
    }

    /// Takes a task out of the call that it sleeps in: to its exit, or, where there is nothing to show for it, `None`: then it is at rest
    /// in it.
    pub(super) fn take_out(&mut self, name: &Name) -> Result<Option<Registers>, TraceError> {
        let tracee = &self.task(name)?.tracee;
        tracee.interrupt()?;
        let stop = tracee.wait_for_stop()?;
        let registers = tracee.registers()?;
        // `epoll_wait` is not made again by itself.
        let is_interrupted = registers.is_to_be_made_again() || registers.result() == -i64::from(libc::EINTR);
        let is_over = stop == Stop::CallExit && !is_interrupted;
        Ok(is_over.then_some(registers))
    }

    /// Those that wait for a change of what this has changed need not wait any longer.
    pub(super) fn note_change(&mut self, by: ProcessId, operation: &Operation) {
        for task in self.tasks.values_mut() {
            if let State::Held { held, .. } = &task.state
                && held.operation.awaits
                && operation.changes(by, &held.operation.accesses)
            {
                task.come = true;
                // The kernel has found the socket, and does not look for it again.
                if held.operation.call.detail.ends_with(Call::AT_SOCKET)
                    && operation.changes(by, &of_the_way(&held.operation))
                {
                    let what = "a name that changes while somebody waits for room at its Unix socket";
                    self.world.not_covered.insert(Sighting::new(GapKind::Socket, by, what));
                }
            }
        }
    }

    /// Of the tasks of a process that wait for one of several things, one for which its own process may have done one since it looked.
    pub(super) fn to_look_within(&self, process: usize) -> Option<Name> {
        let moved = self.processes[process].moved;
        let others = self.processes[process].tasks > 1;
        let looks = |task: &Task| {
            let State::Held { held, .. } = &task.state else { return false };
            let waits = held.operation.awaits && matches!(held.action, Action::Poll);
            waits && others && !task.come && task.looked < moved
        };
        self.of(process).find(|(_, task)| looks(task)).map(|(name, _)| name.clone())
    }

    /// Lets it look; what other processes do is as it was.
    pub(super) fn look_within(&mut self, name: &Name) -> Result<(), TraceError> {
        let moved = self.processes[name.process].moved;
        let task = self.task(name)?;
        task.looked = moved;
        let State::Held { entry, .. } = &task.state else { return Ok(()) };
        let entry = *entry;
        if self.try_call(name)?.is_some() {
            self.task(name)?.state = State::Ready;
            self.processes[name.process].moved += 1;
        } else {
            let tracee = &self.task(name)?.tracee;
            tracee.back_to(&entry)?;
            let entry = tracee.registers()?;
            // What its own process has done may have changed what it looks at.
            if let Decision::Hold(fresh) = self.meaning(name, &entry)?
                && let State::Held { held, .. } = &mut self.task(name)?.state
            {
                held.operation.accesses = only_read(&fresh.operation.accesses);
            }
        }
        Ok(())
    }
}

/// What a call has touched on its way to a socket.
fn of_the_way(operation: &Operation) -> Vec<Access> {
    let is_at_it =
        |access: &&Access| matches!(access.location, Location::Stream { .. } | Location::Ends { .. });
    operation.accesses.iter().filter(|access| !is_at_it(access)).cloned().collect()
}

/// Of the same, as it is looked at.
fn only_read(accesses: &[Access]) -> Vec<Access> {
    accesses.iter().map(|access| Access::read(access.location.clone())).collect()
}
