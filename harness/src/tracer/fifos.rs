//! The two ends of a FIFO of the workspace come together: who opens one end waits in the kernel for who opens the other.

use super::TraceError;
use super::decode::{Action, Held};
use super::execution::Running;
use super::streams::{End, Streams};
use super::task::{Name, State};
use crate::model::{Access, GapKind, Location, Operation, ProcessId};

impl Running<'_> {
    /// Has a task open an end of a FIFO of which nobody has the other end open. `None` where it waits for that now, in the kernel.
    pub(super) fn open_first(&mut self, name: &Name) -> Result<Option<i64>, TraceError> {
        Ok(self.run_into_call(name)?.map(|registers| registers.result()))
    }

    /// Takes note that a task waits in the kernel for the other end to be opened.
    pub(super) fn await_meeting(&mut self, name: &Name, mut held: Held) -> Result<(), TraceError> {
        let Action::OpenFifo { waits_for: Some(ends), .. } = &held.action else { return Ok(()) };
        let call = held.operation.call.clone();
        let accesses = vec![Access::read(ends.clone())];
        held.operation = Operation { call, accesses, awaits: true, ..Operation::default() };
        self.turns += 1;
        let turn = self.turns;
        let operations = self.processes[name.process].operations + 1;
        let task = self.task(name)?;
        task.waits_since = operations;
        task.state = State::Meeting { held: Box::new(held), turn, come: false };
        Ok(())
    }

    /// Behind an operation: those who wait for an end that it has opened come out of the kernel. Of the same process, they go on at
    /// once.
    pub(super) fn let_those_meet(&mut self, by: usize, done: &Operation) -> Result<(), TraceError> {
        let opened = |ends: &Location| done.adds.iter().any(|(of, added)| of == ends && *added > 0);
        let met = |state: &State| match state {
            State::Meeting { held, come: false, .. } => match &held.action {
                Action::OpenFifo { waits_for: Some(ends), .. } => opened(ends),
                _ => false,
            },
            _ => false,
        };
        let names: Vec<Name> =
            self.tasks.iter().filter(|(_, task)| met(&task.state)).map(|(name, _)| name.clone()).collect();
        for name in names {
            let task = self.task(&name)?;
            task.tracee.wait_for_stop()?;
            if let State::Meeting { come, .. } = &mut task.state {
                *come = true;
            }
            if name.process == by
                && let State::Meeting { held, .. } = std::mem::replace(&mut task.state, State::Ready)
            {
                let result = task.tracee.registers()?.result();
                self.apply(&name, &held.action, result, None)?;
            }
        }
        Ok(())
    }

    /// A signal takes a task out of its waiting for the other end.
    pub(super) fn stop_meeting(&mut self, name: &Name) -> Result<(), TraceError> {
        let task = self.task(name)?;
        let State::Meeting { held, come, .. } = std::mem::replace(&mut task.state, State::Ready) else {
            return Ok(());
        };
        if !come {
            task.tracee.wait_for_stop()?;
        }
        if let Action::OpenFifo { object, flags, .. } = held.action {
            let closed = Streams::closed(&self.world.streams.closing(End::Fifo(object, flags)));
            self.world.streams.note(ProcessId(name.process), &closed);
            self.sight(
                name.process,
                GapKind::Signal,
                "signals to a task that waits for the other end of a FIFO",
            );
        }
        Ok(())
    }
}
