//! The units of a process: commands one after another, requests, marks.

use super::TraceError;
use super::chance::{Stream, TICK};
use super::decode::Action;
use super::execution::Running;
use super::files::{Description, Descriptor, What};
use super::ids::id_of;
use super::input::waits_for_input;
use super::task::{Name, State, Task};
use super::tracee::Registers;
use crate::model::{Begins, Call, CallResult, Event, Exit, Operation, ProcessId};

/// What a process looks for to say that a unit ends.
pub(super) const MARK: &str = "/proc/cooks/unit";

/// For how long a process that could be asked is let wait for its own timers first, since it was asked last, in nanoseconds of its
/// own time: a request that is being dealt with may sleep, and what still ticks then is a clock of its own.
const PATIENCE: u64 = 10_000_000_000;

/// Ends a unit of the process that calls it, and begins the next: what comes before and after must look indivisible each, but other
/// processes' units may come in between. For closures under test; does nothing elsewhere. A program in another language says the same
/// by reading the link `/proc/cooks/unit`.
pub fn unit() {
    // It is never there; that it is looked for is what counts.
    let _ = std::fs::read_link(MARK);
}

impl Task {
    /// Whether it is held where it would wait for its standard input.
    pub(super) fn is_held_for_input(&self) -> bool {
        matches!(&self.state, State::Held { held, .. } if matches!(held.action, Action::Ask))
    }
}

impl Running<'_> {
    /// The step with which the next unit of a process begins, where no task is held at it: its next command, or what it is asked next
    /// where it sleeps until there is something to read.
    pub(super) fn next_unit(&self, process: usize) -> Option<Operation> {
        if self.of(process).next().is_some() {
            return self.next_request(process);
        }
        let state = &self.processes[process];
        let number = state.command + 1;
        let exit = state.exit?;
        let command = self.sandbox.command(self.programs[process], number)?;
        let call = Call::beginning(Begins::Command, format!("{}: {command}, after {exit}", number + 1));
        Some(Operation { call, ..Operation::default() })
    }

    /// What a process is asked next, where it sleeps until there is something to read.
    fn next_request(&self, process: usize) -> Option<Operation> {
        let feed = self.world.inputs.get(&process)?;
        let mut asleep = self.of(process).filter_map(|(_, task)| match &task.state {
            State::Asleep { call, .. } => Some((task, call)),
            _ => None,
        });
        let waits =
            asleep.any(|(task, call)| waits_for_input(&task.tracee, &task.descriptors.borrow(), call));
        if waits { feed.next() } else { None }
    }

    /// Whether a sleeping task will be given something to read: its call's own timeout does not count then.
    pub(super) fn is_asked_in(&self, process: usize, task: &Task, call: &Registers) -> bool {
        self.world.inputs.get(&process).is_some_and(|feed| feed.next().is_some())
            && waits_for_input(&task.tracee, &task.descriptors.borrow(), call)
    }

    /// Whether a process would be asked next if nothing else happened in it.
    pub(super) fn could_be_asked(&self, process: usize) -> bool {
        self.of(process).any(|(_, task)| task.is_held_for_input()) || self.next_request(process).is_some()
    }

    /// Whether a process that could be asked has been waited for long enough, were a timer of it to run out after this time.
    pub(super) fn is_long_enough(&self, process: usize, after: u64) -> bool {
        let state = &self.processes[process];
        self.could_be_asked(process) && state.clock + after > state.asked + PATIENCE
    }

    /// Begins the next unit of a process, where no task is held at it.
    pub(super) fn begin_unit(&mut self, process: usize, operation: Operation) -> Result<Event, TraceError> {
        self.advance_clock(process, &operation);
        self.processes[process].operations += 1;
        let mut result = 0;
        if operation.call.begins() == Some(Begins::Command) {
            self.begin_command(process)?;
        } else {
            result = self.ask(process)?;
        }
        Ok(Event {
            process: ProcessId(process),
            task: String::new(),
            operation,
            result: CallResult::Value(result),
            exit: None,
            payload: None,
        })
    }

    fn begin_command(&mut self, process: usize) -> Result<(), TraceError> {
        let state = &mut self.processes[process];
        state.earlier.extend(state.exit.take());
        state.command += 1;
        let (program, command, tasks) = (self.programs[process], state.command, state.tasks);
        state.tasks += 1;
        let task = self.sandbox.spawn_part(program, command, id_of(process, tasks))?;
        let name = Name { process, way: Vec::new() };
        self.adopt(task, name.clone(), None);
        // Another one than the command before had.
        self.task(&name)?.random = Stream::new(&format!("{process}/ of command {command}"));
        self.settle(process)
    }

    /// Gives a process what it is asked next; how many bytes.
    pub(super) fn ask(&mut self, process: usize) -> Result<i64, TraceError> {
        let state = &mut self.processes[process];
        state.asked = state.clock + TICK;
        let feed = self.world.inputs.get_mut(&process);
        feed.map_or(Ok(0), |feed| feed.give().map_err(Into::into))
    }

    /// Gives a process more of a request that was longer than its pipe; whether there was anything.
    pub(super) fn top_up(&mut self, process: usize) -> Result<bool, TraceError> {
        let Some(feed) = self.world.inputs.get(&process) else { return Ok(false) };
        let more = feed.top_up()?;
        self.processes[process].moved += u64::from(more);
        Ok(more)
    }

    /// Lets the tracer know the standard input of a process that is asked.
    pub(super) fn connect_input(&mut self, process: usize) -> Result<(), TraceError> {
        if !self.world.inputs.contains_key(&process) {
            return Ok(());
        }
        self.descriptions += 1;
        let description = Description {
            number: self.descriptions,
            what: What::Input,
            path: Default::default(),
            flags: libc::O_RDONLY,
            append: false.into(),
            offset: 0.into(),
            listed: std::cell::RefCell::default(),
            listed_all: false.into(),
            ended: false.into(),
            slots: 0.into(),
        };
        let descriptor = Descriptor::new(std::rc::Rc::new(description), false);
        let first = Name { process, way: Vec::new() };
        self.task(&first)?.descriptors.borrow_mut().set(0, descriptor);
        Ok(())
    }

    /// How the processes ended: their last commands, and of those that had several, the others.
    pub fn ends(&self) -> (Vec<Option<Exit>>, Vec<Vec<Exit>>) {
        let exit = |(process, state): (usize, &super::task::Process)| {
            let last = self.sandbox.command(self.programs[process], state.command + 1).is_none();
            self.end(process).or(state.exit).filter(|_| last)
        };
        let exits = self.processes.iter().enumerate().map(exit).collect();
        let earlier: Vec<Vec<Exit>> = self.processes.iter().map(|state| state.earlier.clone()).collect();
        let any = earlier.iter().any(|exits| !exits.is_empty());
        (exits, if any { earlier } else { Vec::new() })
    }
}
