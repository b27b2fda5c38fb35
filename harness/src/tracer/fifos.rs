//! The two ends of a FIFO of the workspace come together: who opens one end waits in the kernel for who opens the other.

use super::TraceError;
use super::decode::{Action, Held};
use super::execution::Running;
use super::streams::Streams;
use super::task::{Name, State};
use super::tracee::{Resume, Stop, Waited};
use crate::model::{Access, AccessKind, Location, Operation, ProcessId, Way};

impl Running<'_> {
    /// Has a task open an end of a FIFO of which nobody has the other end open. `None` where it waits for that now, in the kernel.
    pub(super) fn open_first(&mut self, name: &Name) -> Result<Option<i64>, TraceError> {
        self.task(name)?.tracee.resume(Resume::ToCallExit, 0)?;
        loop {
            let task = self.task(name)?;
            match task.tracee.wait(&|| false)? {
                Waited::Asleep => return Ok(None),
                Waited::Stopped(Stop::CallExit) => return Ok(Some(task.tracee.registers()?.result())),
                Waited::Stopped(Stop::Signal(signal)) => task.signal = signal,
                Waited::Stopped(Stop::Gone(exit)) => {
                    return Err(TraceError::Lost(format!("task {name} ended within a call: {exit}")));
                }
                Waited::Stopped(_) => {}
            }
            self.task(name)?.tracee.resume(Resume::ToCallExit, 0)?;
        }
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
            let closed = Streams::closed(&Streams::closing(object, flags));
            self.world.streams.note(ProcessId(name.process), &closed);
            self.world.not_covered.insert("signals to who waits for the other end of a FIFO".into());
        }
        Ok(())
    }

    /// What a call has put into a FIFO, or taken out of it. One that took nothing has but looked.
    pub(super) fn count_what_went_through(
        &mut self,
        operation: &mut Operation,
        action: &Action,
        result: i64,
    ) {
        let Action::Through { object, written, length, .. } = action else { return };
        let stream = Location::stream(*object, Way::There);
        let moved = u64::try_from(result).unwrap_or(0);
        if !self.world.streams.lay(*object, *written, *length, moved) {
            self.world.not_covered.insert("a FIFO of another size than usual".into());
        }
        if result > 0 {
            operation.adds = vec![(stream, if *written { result } else { -result })];
        } else {
            operation.accesses.iter_mut().for_each(|access| access.kind = AccessKind::Read);
        }
    }

    /// A call that was thought to come back sleeps.
    pub(super) fn note_unexpected_wait(&mut self, call: u64) {
        let call = usize::try_from(call).ok().and_then(syscalls::Sysno::new);
        let name = call.map_or("a system call", |call| call.name());
        self.world.not_covered.insert(format!("{name} that waits, as on a FIFO that is full"));
    }
}
