//! What closing descriptors and the end of a task release, and who keeps whom from a lock.

use std::collections::BTreeSet;
use std::rc::Rc;

use nix::sys::stat::stat;

use super::TraceError;
use super::decode::{Action, is_program};
use super::execution::Running;
use super::files::Description;
use super::locks::Owner;
use super::streams::{End, Streams};
use super::task::{Name, State, Task};
use super::timers;
use crate::model::{Access, GapKind, Location, Operation, ProcessId, Sighting};

impl Running<'_> {
    /// Closes descriptors, with the locks that go with them.
    pub(super) fn close_descriptors(&mut self, name: &Name, numbers: &[i32]) -> Result<(), TraceError> {
        let task = &self.tasks[name];
        let mut table = task.descriptors.borrow_mut();
        let group = Owner::Process(task.group.as_raw());
        for number in numbers {
            let last = table.last_references(&[*number]);
            if let Some(object) = table.get(*number).and_then(|description| description.with_posix_locks()) {
                self.world.locks.release_all(group, Some(object));
            }
            for description in last {
                self.world.locks.release_all(Owner::Description(description.number), None);
                let timer = timers::Owner::Description(description.number);
                self.world.timers.forget(|owner| owner == timer);
            }
            table.remove(*number);
        }
        Ok(())
    }

    /// What the end of a task releases. `alone`: it is the last of its thread group.
    pub(super) fn released_by_end(&self, name: &Name, alone: bool) -> Vec<Access> {
        let task = &self.tasks[name];
        let mut accesses: Vec<Access> = self
            .closed_by_end(task)
            .iter()
            .flat_map(|description| {
                let locks =
                    self.world.locks.accesses_of_release(Owner::Description(description.number), None);
                [locks, self.world.streams.closing_of(description)].concat()
            })
            .collect();
        if let State::Meeting { held, .. } = &task.state
            && let Action::OpenFifo { object, flags, .. } = held.action
        {
            accesses.extend(self.world.streams.closing(End::Fifo(object, flags)));
        }
        accesses.extend(self.programs_left(task));
        if alone {
            accesses.extend(self.world.locks.accesses_of_release(Owner::Process(task.group.as_raw()), None));
            accesses.extend(task.runs.map(|program| Access::join(Location::Runners(program))));
        }
        accesses
    }

    /// The programs that are open for writing by descriptors which the end of a task closes.
    fn programs_left(&self, task: &Task) -> BTreeSet<Access> {
        let closed = self.closed_by_end(task);
        let table = task.descriptors.borrow();
        let written = |number: i32| {
            let description = table.get(number)?;
            let is_last = closed.iter().any(|last| Rc::ptr_eq(last, description));
            let object = description.object().filter(|_| is_last && description.writable())?;
            let status = stat(format!("/proc/{}/fd/{number}", task.tracee.id()).as_str()).ok()?;
            is_program(&status).then(|| Access::join(Location::Writers(object)))
        };
        table.numbers_in(0, i32::MAX).into_iter().filter_map(written).collect()
    }

    fn closed_by_end(&self, task: &Task) -> Vec<Rc<Description>> {
        if Rc::strong_count(&task.descriptors) > 1 {
            return Vec::new();
        }
        let table = task.descriptors.borrow();
        table.last_references(&table.numbers_in(0, i32::MAX))
    }

    /// Releases what the end of a task releases. `counted`: there is an operation that says so.
    pub(super) fn release_at_end(&mut self, name: &Name, counted: bool) {
        let Some(task) = self.tasks.get(name) else { return };
        let closed = self.closed_by_end(task);
        let group = task.group;
        let alone =
            !self.tasks.values().any(|other| other.group == group && other.tracee.id() != task.tracee.id());
        for description in closed {
            self.world.locks.release_all(Owner::Description(description.number), None);
            let ends = Streams::closed(&self.world.streams.closing_of(&description));
            if !ends.is_empty() {
                description.ended.set(true);
                if !counted {
                    self.world.streams.note(ProcessId(name.process), &ends);
                    let what = "the end of one of several tasks that have a FIFO or Unix socket open";
                    let process = ProcessId(name.process);
                    self.world.not_covered.insert(Sighting::new(GapKind::Pipe, process, what));
                }
            }
        }
        if alone {
            self.world.locks.release_all(Owner::Process(group.as_raw()), None);
        }
    }

    /// The processes that keep a task from its lock, where it waits for one.
    pub(super) fn holders(&self, task: &Task, operation: &Operation) -> Vec<ProcessId> {
        let blocking = operation.acquires.as_ref().is_some_and(|acquires| acquires.blocking);
        match &task.state {
            State::Held { held, .. } if blocking => match &held.action {
                Action::Lock { claim, mode, .. } => self.world.locks.holders_against(claim, *mode),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}
