//! Calls on FIFOs that wait for a change: for room, or for one of several things. Each is tried; in vain, its task is held until
//! another process changes something of what it looked at.

use super::TraceError;
use super::decode::{Action, Held};
use super::execution::Running;
use super::task::{Name, Parts, State, Task};
use super::tracee::{Registers, Stop};
use crate::model::{Access, Call, Event, Operation, ProcessId};

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
            Action::Through { room: Some(0), .. } | Action::Post { fits: false, waits: true, .. } => {
                let at = if matches!(held.action, Action::Post { .. }) { Call::AT_SOCKET } else { "" };
                let detail = format!("{} {at}", Call::WAITS_FOR_ROOM).trim_end().into();
                let call = Call { detail, ..operation.call.clone() };
                self.hold_for_change(name, call, &mut operation, Action::Await, entry)?;
                Ok(Some(self.done(name, operation, -i64::from(libc::EAGAIN), None)))
            }
            Action::Through { room: Some(room), .. } => {
                let result = self.write_part(name, entry, room)?;
                self.count_what_went_through(name, &mut operation, (&held.action, result));
                Ok(Some(self.done(name, operation, result, None)))
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
    fn hold_for_change(
        &mut self,
        name: &Name,
        call: Call,
        done: &mut Operation,
        action: Action,
        entry: Registers,
    ) -> Result<(), TraceError> {
        let accesses: Vec<Access> =
            done.accesses.iter().map(|access| Access::read(access.location.clone())).collect();
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
        let tracee = &self.task(name)?.tracee;
        tracee.interrupt()?;
        let stop = tracee.wait_for_stop()?;
        let registers = tracee.registers()?;
        // `epoll_wait` is not made again by itself.
        let is_interrupted = registers.is_to_be_made_again() || registers.result() == -i64::from(libc::EINTR);
        let is_over = stop == Stop::CallExit && !is_interrupted;
        Ok(is_over.then(|| registers.result()))
    }

    /// Writes so many of the bytes, and has the task come to the entry of a write of the others.
    fn write_part(&mut self, name: &Name, entry: Registers, room: u64) -> Result<i64, TraceError> {
        let mut part = entry;
        part.replace_argument(2, room);
        self.task(name)?.tracee.set_registers(part)?;
        let (result, _) = self.run_call(name)?;
        let task = self.task(name)?;
        let [_, address, length, ..] = entry.arguments();
        let moved = u64::try_from(result).unwrap_or(0);
        let parts = task.parts.get_or_insert(Parts { entry, moved: 0 });
        parts.moved += moved;
        let mut rest = task.tracee.registers()?;
        rest.make_again(&entry);
        rest.replace_argument(1, address + moved);
        rest.replace_argument(2, length - moved);
        task.tracee.set_registers(rest)?;
        task.state = State::Ready;
        Ok(result)
    }

    /// Where a call was made in parts, and this was the last: what its program sees of it.
    pub(super) fn end_parts(&mut self, name: &Name, result: i64) -> Result<(), TraceError> {
        let task = self.task(name)?;
        let Some(Parts { entry, moved }) = task.parts.take() else { return Ok(()) };
        let mut registers = task.tracee.registers()?;
        let [_, address, length, ..] = entry.arguments();
        registers.replace_argument(1, address);
        registers.replace_argument(2, length);
        registers.skip_with(moved.cast_signed() + result.max(0));
        task.tracee.set_registers(registers)?;
        Ok(())
    }

    /// Those that wait for a change of what this has changed need not wait any longer.
    pub(super) fn note_change(&mut self, by: ProcessId, operation: &Operation) {
        for task in self.tasks.values_mut() {
            if let State::Held { held, .. } = &task.state
                && held.operation.awaits
                && operation.changes(by, &held.operation.accesses)
            {
                task.come = true;
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
            self.task(name)?.tracee.back_to(&entry)?;
        }
        Ok(())
    }
}
