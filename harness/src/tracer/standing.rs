//! Where the processes of an execution stand, as the strategy sees it.

use super::arch::name_of;
use super::execution::Running;
use super::task::{Name, State, Task};
use crate::model::{Call, Exit, GapKind, Operation, ProcessId, Sighting, Status};

impl Running<'_> {
    /// Where each process stands.
    pub fn statuses(&self) -> Vec<Status> {
        (0..self.processes.len()).map(|process| self.status(process)).collect()
    }

    /// If several tasks of a process are held, and their order is fixed: the claim is about that order.
    pub(super) fn note_order_of_tasks(&mut self, process: usize) {
        let held = self.of(process).filter(|(_, task)| task.pending().is_some()).take(2).count();
        if held > 1 {
            self.note_one_order(process);
        }
    }

    /// The tasks of a process come in one order, unless the search chooses among them: the claim is about that order.
    pub(super) fn note_one_order(&mut self, process: usize) {
        if self.world.by_task {
            return;
        }
        let process = ProcessId(process);
        let detail = format!("threads and children of {process} in one order");
        self.world.not_covered.insert(Sighting::new(GapKind::ThreadOrder, process, detail).harmless());
    }

    /// The task whose operation a process offers: of those that can go on the one that has waited longest, else of the others.
    pub(super) fn offered(&self, process: usize) -> Option<&Name> {
        let preferred = self.preferred.get(process).into_iter().flatten();
        let goes_on = |name: &Name| self.tasks[name].pending().is_some() && !self.is_barred(name);
        preferred
            .filter_map(|task| self.offered_by(process, |other| other.number == *task))
            .find(|name| goes_on(name))
            .or_else(|| self.offered_by(process, |_| true))
    }

    /// The same of those tasks of a process that are `among` some.
    pub(super) fn offered_by(&self, process: usize, among: impl Fn(&Task) -> bool) -> Option<&Name> {
        let held = self.of(process).filter(|(_, task)| among(task)).filter_map(|(name, task)| {
            let (operation, turn) = task.pending()?;
            // A process gets its next input if nothing else in it can go on. A wait that is refused comes after all that can go on without
            // that.
            let barred = self.barred(name, operation).is_some();
            let rank = (task.is_held_for_input(), barred, self.refusal(name).is_some(), turn);
            Some((rank, name))
        });
        held.min_by_key(|(rank, _)| *rank).map(|(_, name)| name)
    }

    pub(super) fn status(&self, process: usize) -> Status {
        if let Some(look) = self.next_look(process) {
            return Status::Enabled(look.event.operation.clone());
        }
        if let Some(status) = self.stands_for_signal(process) {
            return status;
        }
        if let Some(status) = self.waits(process) {
            return status;
        }
        if let Some(timer) = self.waits_with_timer(process) {
            return Status::Enabled(timer);
        }
        if let Some(status) = self.stands_at_end(process) {
            return status;
        }
        if let Some(name) = self.offered(process) {
            let task = &self.tasks[name];
            let Some((operation, _)) = task.pending() else { return Status::Finished(Exit::Status(0)) };
            if let Some(refusal) = self.refusal(name) {
                return Status::Enabled(refusal);
            }
            let (mut operation, barred) = (operation.clone(), self.barred(name, operation));
            self.may_time_out(process, &mut operation);
            // Where its own process has gone on since, it is not sure that a change comes behind that.
            operation.awaits &= barred.is_some() || task.waits_since == self.processes[process].operations;
            return match barred {
                None => Status::Enabled(operation),
                Some(holders) => Status::Blocked { operation, holders },
            };
        }
        if let Some(operation) = self.next_unit(process) {
            return Status::Enabled(operation);
        }
        match (self.of(process).next(), self.processes[process].exit) {
            (None, Some(exit)) => Status::Finished(exit),
            _ => Status::Blocked { operation: self.sleeping(process), holders: Vec::new() },
        }
    }

    /// Who keeps a task from going on with what it is held at; `None` where it can.
    pub(super) fn barred(&self, name: &Name, operation: &Operation) -> Option<Vec<ProcessId>> {
        let task = &self.tasks[name];
        if let State::Meeting { come, .. } = task.state {
            return (!come).then(Vec::new);
        }
        if operation.awaits && matches!(task.state, State::Held { .. }) {
            return (!task.come).then(|| self.world.streams.open_in(ProcessId(name.process), operation));
        }
        if !operation.needs.is_empty() {
            return self.world.streams.barred(ProcessId(name.process), operation);
        }
        let holders = self.holders(task, operation);
        (!holders.is_empty() && self.refusal(name).is_none()).then_some(holders)
    }

    /// Whether a task is held at something that it has to wait for.
    pub(super) fn is_barred(&self, name: &Name) -> bool {
        let pending = self.tasks[name].pending();
        pending.is_some_and(|(operation, _)| self.barred(name, operation).is_some())
    }

    /// Where a process has a timer, a lock is not waited for without fail.
    pub(super) fn may_time_out(&self, process: usize, operation: &mut Operation) {
        if !self.processes[process].has_timer {
            return;
        }
        if let Some(acquires) = &mut operation.acquires {
            acquires.blocking = false;
        }
        operation.needs.clear();
        operation.awaits = false;
    }

    /// What a process sleeps in that is not an operation.
    fn sleeping(&self, process: usize) -> Operation {
        let asleep = self.of(process).find_map(|(_, task)| match &task.state {
            State::Asleep { call, .. } => Some(name_of(call.call())),
            _ => None,
        });
        let stopped = self.of(process).any(|(_, task)| matches!(task.state, State::Suspended));
        let (name, detail) = match asleep {
            None if stopped => ("stop", "by a signal, until it is continued"),
            None => ("a system call", "waits for something outside"),
            Some(call) => (call, "waits for something outside"),
        };
        let call = Call { name: name.to_owned(), detail: detail.into(), ..Call::default() };
        Operation { call, ..Operation::default() }
    }
}
