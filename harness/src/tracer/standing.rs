//! Where the processes of an execution stand, as the strategy sees it.

use super::arch::name_of;
use super::execution::Running;
use super::task::{Name, State, Task};
use crate::model::{Call, Exit, Operation, Status};

impl Running<'_> {
    /// Where each process stands.
    pub fn statuses(&self) -> Vec<Status> {
        (0..self.processes.len()).map(|process| self.status(process)).collect()
    }

    /// The task whose operation a process offers: of those that can go on the one that has waited longest, else of the others.
    pub(super) fn offered(&self, process: usize) -> Option<&Name> {
        let preferred = self.preferred.get(process).into_iter().flatten();
        let goes_on = |name: &Name| {
            let task = &self.tasks[name];
            task.pending().is_some_and(|(operation, _)| self.holders(task, operation).is_empty())
        };
        preferred
            .filter_map(|task| self.offered_by(process, |other| other.number == *task))
            .find(|name| goes_on(name))
            .or_else(|| self.offered_by(process, |_| true))
    }

    /// The same of those tasks of a process that are `among` some.
    pub(super) fn offered_by(&self, process: usize, among: impl Fn(&Task) -> bool) -> Option<&Name> {
        let held = self.of(process).filter(|(_, task)| among(task)).filter_map(|(name, task)| {
            let (operation, turn) = task.pending()?;
            // What a process is asked next comes when nothing else in it can go on.
            let rank = (task.is_held_for_input(), !self.holders(task, operation).is_empty(), turn);
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
        if let Some(name) = self.offered(process) {
            let task = &self.tasks[name];
            let Some((operation, _)) = task.pending() else { return Status::Finished(Exit::Status(0)) };
            let (mut operation, holders) = (operation.clone(), self.holders(task, operation));
            self.may_time_out(process, &mut operation);
            return if holders.is_empty() {
                Status::Enabled(operation)
            } else {
                Status::Blocked { operation, holders }
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

    /// Where a process has a timer, a lock is not waited for without fail.
    pub(super) fn may_time_out(&self, process: usize, operation: &mut Operation) {
        if self.processes[process].has_timer
            && let Some(acquires) = &mut operation.acquires
        {
            acquires.blocking = false;
        }
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
