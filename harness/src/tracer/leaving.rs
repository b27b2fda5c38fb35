//! The end of a process as an operation: until it has come, others find the process there, and can send it signals.
//!
//! As a rule the process itself is gone by then: it runs on to its end behind its last operation, and nobody can see when it is gone, unless
//! its end gives back a lock or an end of a FIFO or socket. So the end is offered only once another process asks for this one, or is held
//! at a call that does. Where a signal is sent to a process that has run to its end, it is to take that in front of its end: from then
//! on, also in other executions, the process is held at the call that ends it.

use super::TraceError;
use super::decode::released_words;
use super::execution::Running;
use super::ids::{first_pid, id_of, place_of};
use super::signals::To;
use super::streams::Streams;
use super::task::{Name, State, Task};
use super::tracee::Registers;
use crate::model::{CallResult, Event, Exit, GapKind, Location, Operation, ProcessId, Status};

/// The processes that an operation of a process asks for, other than that process. Those that a refusal looks at wait, so they live.
pub fn asked_by(process: usize, operation: &Operation) -> impl Iterator<Item = usize> + '_ {
    let asks = operation.accesses.iter().filter(|_| operation.refused.is_none());
    asks.filter_map(move |access| match access.location {
        Location::Process(other) if other.0 != process => Some(other.0),
        _ => None,
    })
}

impl Running<'_> {
    /// Whether a task is to be held at the call that ends it: it is the last of its process, which others are known to send signals there.
    pub(super) fn is_held_at_end(&self, name: &Name) -> bool {
        let process = name.process;
        let next = self.processes[process].command + 1;
        name.way.is_empty()
            && self.known.signalled_at_end.contains(&process)
            && self.of(process).count() == 1
            && self.sandbox.command(self.programs[process], next).is_none()
    }

    /// Holds a task at its end. `alone`: it is the last of its thread group; `call`: where it is held at a call.
    pub(super) fn hold_at_end(
        &mut self,
        name: &Name,
        alone: bool,
        call: Option<(Registers, Exit)>,
    ) -> Result<(), TraceError> {
        let accesses = self.released_by_end(name, alone);
        let detail = if accesses.is_empty() { String::new() } else { released_words(&accesses) };
        let adds = Streams::closed(&accesses);
        let operation = Operation { adds, ..Operation::ending(detail, accesses) };
        self.turns += 1;
        let turn = self.turns;
        self.task(name)?.state = State::Ending { operation, turn, alone, call: call.map(Box::new) };
        Ok(())
    }

    /// Where a process has nothing left to do but to end, which gives nothing back: how it ends.
    pub(super) fn end(&self, process: usize) -> Option<Exit> {
        let state = &self.processes[process];
        let mut tasks = self.of(process).map(|(_, task)| &task.state);
        match (tasks.next(), tasks.next()) {
            (None, None) => state.exit.filter(|_| !state.is_over),
            (Some(State::Ending { operation, call: Some(call), .. }), None) => {
                operation.accesses.is_empty().then_some(call.1)
            }
            _ => None,
        }
    }

    /// The same of a process that is not held there: it is gone.
    pub(super) fn ends_unheld(&self, process: usize) -> Option<Exit> {
        let is_gone = self.of(process).next().is_none() && self.next_unit(process).is_none();
        self.end(process).filter(|_| is_gone)
    }

    /// Where a process stands that has nothing left to do but to end. What it does as its next unit ends it as well.
    pub(super) fn stands_at_end(&self, process: usize) -> Option<Status> {
        let exit = self.end(process)?;
        let operation = Operation::end();
        Some(match self.next_unit(process) {
            Some(unit) => Status::Enabled(unit),
            None if self.asked_for.contains(&process) => Status::Enabled(operation),
            None => Status::Ends { operation, exit },
        })
    }

    /// The end of a process has come: it is there for nobody any more.
    pub(super) fn is_over(&mut self, process: usize) {
        self.processes[process].is_over = true;
        self.world.over.insert(process);
    }

    /// The same where a task ends that is the last of its process.
    pub(super) fn is_over_with(&mut self, last: &Name) {
        if self.of(last.process).count() == 1 {
            self.is_over(last.process);
        }
    }

    /// Ends a process that is gone.
    pub(super) fn do_end(&mut self, process: usize) -> Result<Event, TraceError> {
        let operation = Operation::end();
        self.advance_clock(process, &operation);
        self.record(process, &operation);
        self.processes[process].operations += 1;
        self.processes[process].end_prefix();
        self.is_over(process);
        let exit = self.status(process).exit();
        let result = CallResult::Value(0);
        let event = Event {
            process: ProcessId(process),
            task: String::new(),
            operation,
            result,
            exit,
            payload: None,
        };
        self.redo_meanings(ProcessId(process), &event.operation)?;
        self.wake_sleepers(process)?;
        Ok(event)
    }

    /// The processes that a signal of `sender` is for which have run to their ends, and can take none there.
    pub(super) fn at_their_ends(&self, sender: &Name, to: To) -> Vec<usize> {
        let is_meant = |process: usize| match to {
            To::Group(id) | To::Task(id) | To::Groups(id) => u32::try_from(id) == Ok(first_pid(process)),
            To::All => process != sender.process,
        };
        let is_first = |process: usize| self.processes[process].command == 0;
        let cannot_take = |task: &Task| matches!(task.state, State::Ending { call: None, .. });
        let at_end = |process: &usize| {
            let is_gone = is_first(*process) && self.ends_unheld(*process).is_some();
            let mut tasks = self.of(*process).map(|(_, task)| task).peekable();
            is_meant(*process) && (is_gone || (tasks.peek().is_some() && tasks.all(cannot_take)))
        };
        (0..self.processes.len()).filter(at_end).collect()
    }

    /// A process is sent a signal where it ends: it is to be held there. Where it was to be, and could not, nobody knows what it does.
    pub(super) fn signal_at_end(&mut self, process: usize) {
        if self.known.signalled_at_end.insert(process) {
            self.has_learned = true;
            return;
        }
        let what = format!("a signal to {} where it ends", ProcessId(process));
        self.sight(process, GapKind::Signal, what);
    }

    /// Whether an id is that of a task which was there and is not, though its end was no operation: of a child, or of the first task of a
    /// process that goes on without it.
    pub(super) fn is_of_one_that_was_there(&self, to: To) -> bool {
        let (To::Group(id) | To::Task(id)) = to else { return false };
        let Some(process) = place_of(id).filter(|process| *process < self.processes.len()) else {
            return false;
        };
        let state = &self.processes[process];
        let first = if state.is_over && state.command == 0 { 1 } else { 0 };
        (first..state.tasks).any(|number| i32::try_from(id_of(process, number)) == Ok(id))
    }
}
