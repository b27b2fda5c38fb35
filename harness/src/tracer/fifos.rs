//! The two ends of a FIFO of the workspace come together: who opens one end waits in the kernel for who opens the other. And what calls
//! have put into FIFOs and sockets, or taken out of them.

use super::TraceError;
use super::decode::{Action, Held};
use super::execution::Running;
use super::streams::{End, Streams};
use super::task::{Name, State};
use crate::model::{Access, AccessKind, Location, Operation, ProcessId};

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
            self.world.not_covered.insert("signals to who waits for the other end of a FIFO".into());
        }
        Ok(())
    }

    /// What a call has put into a FIFO or connection, or taken out of it. One that took nothing has but looked.
    pub(super) fn count_what_went_through(
        &mut self,
        name: &Name,
        operation: &mut Operation,
        (action, result): (&Action, i64),
    ) {
        let would_wait = -i64::from(libc::EAGAIN);
        match action {
            Action::Through { end, written, length, .. } => {
                let moved = u64::try_from(result).unwrap_or(0);
                if let End::Fifo(object, _) = end
                    && !self.world.streams.lay(*object, *written, *length, moved)
                {
                    self.world.not_covered.insert("a FIFO of another size than usual".into());
                }
                let is_short = *written && (moved < *length && result >= 0 || result == would_wait);
                self.note_full(is_short && matches!(end, End::Connection(..)));
                if result > 0 {
                    operation.adds = vec![(end.stream(*written), if *written { result } else { -result })];
                } else {
                    operation.accesses.iter_mut().for_each(|access| access.kind = AccessKind::Read);
                }
            }
            Action::Connect { .. } if result < 0 => self.note_full(result == would_wait),
            Action::Accept { from, .. } if result >= 0 => {
                operation.adds = vec![(End::Listener(*from).stream(false), -1)];
            }
            Action::Connect { to, .. } if result >= 0 => {
                let made = self.made_by(name);
                operation.adds = self.world.streams.connect(*to, made);
                let ends =
                    operation.adds.iter().map(|(of, _)| of).filter(|of| matches!(of, Location::Ends { .. }));
                operation.accesses.extend(ends.cloned().map(Access::join));
            }
            _ => {}
        }
    }

    /// How much fits into a socket is not counted: what comes of that it is full depends on more than is known here.
    fn note_full(&mut self, is_full: bool) {
        if is_full {
            self.world.not_covered.insert("a Unix socket that is full".into());
        }
    }

    /// Which of several tasks of a process goes on that wait for others is for these others to say; where the order of tasks is not
    /// explored, it is tried in one way.
    pub(super) fn note_others_that_wait(&mut self, name: &Name, operation: &Operation) {
        let waits = |of: &Operation| !of.needs.is_empty();
        if !waits(operation) || self.world.by_task || self.processes[name.process].tasks < 2 {
            return;
        }
        let others = self.of(name.process).filter_map(|(_, task)| task.pending());
        if others.into_iter().any(|(other, _)| waits(other)) {
            let process = ProcessId(name.process);
            let what = format!(
                "the order in which tasks of {process} go on that wait for others (--threads explore)"
            );
            self.world.not_covered.insert(what);
        }
    }

    /// A call that was thought to come back sleeps.
    pub(super) fn note_unexpected_wait(&mut self, call: u64) {
        let call = usize::try_from(call).ok().and_then(syscalls::Sysno::new);
        let name = call.map_or("a system call", |call| call.name());
        self.world.not_covered.insert(format!("{name} that waits, as on a FIFO or socket that is full"));
    }
}
