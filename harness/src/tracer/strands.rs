//! Tasks as what is scheduled: each thread and child of a process stands where it stands itself, and is let go by itself.

use super::TraceError;
use super::execution::Running;
use super::task::{Name, State, Task};
use crate::model::{Call, Event, Exit, GapKind, Operation, ProcessId, Status, Strands, Waiting};

/// How a strand stands that has no task, or none any more.
const OVER: Status = Status::Finished(Exit::Status(0));

impl Running<'_> {
    /// Where each strand stands.
    pub fn statuses_of(&self, strands: Strands) -> Vec<Status> {
        let mut statuses = vec![OVER; strands.count()];
        for process in 0..self.processes.len() {
            let mut put = |strand: ProcessId, mut status: Status| {
                // What somebody sleeps in is no operation.
                let sleeps = status.is_stuck(ProcessId(usize::MAX));
                if let Status::Enabled(operation)
                | Status::Blocked { operation, .. }
                | Status::Ends { operation, .. } = &mut status
                    && !sleeps
                {
                    touch(operation, strands, process);
                }
                statuses[strand.0] = status;
            };
            if !strands.are_tasks() || self.processes[process].tasks <= 1 {
                put(strands.of(process, 0), self.status(process));
                continue;
            }
            match self.stands_as_a_whole(process) {
                Some(status) if self.is_an_end(process, &status) => put(strands.of(process, 0), status),
                Some(status) => put(strands.of_whole(process), status),
                None => {}
            }
            if self.end(process).is_some() {
                continue;
            }
            for (name, task) in self.of(process) {
                let strand = strands.of_task(process, task.number);
                if let Some(status) = self.status_of(strands, strand, name, task) {
                    put(strand, status);
                }
            }
        }
        statuses
    }

    /// Whether a process stands at its end: that is one of its first task.
    fn is_an_end(&self, process: usize, status: &Status) -> bool {
        let ends = self.end(process).is_some() && status.operation().is_some_and(Operation::is_end);
        ends || matches!(status, Status::Finished(_))
    }

    /// Where a process stands, where that is not for its tasks to say.
    fn stands_as_a_whole(&self, process: usize) -> Option<Status> {
        let timer = || self.waits_with_timer(process).map(Status::Enabled);
        let signal = self.stands_for_signal(process).or_else(|| self.waits(process)).or_else(timer);
        let signal = signal.or_else(|| self.stands_at_end(process));
        signal.or_else(|| self.offered(process).is_none().then(|| self.status(process)))
    }

    /// Where a task stands, unless another one of the same strand comes first.
    fn status_of(&self, strands: Strands, strand: ProcessId, name: &Name, task: &Task) -> Option<Status> {
        let process = name.process;
        let is_of_strand = |other: &Task| strands.of_task(process, other.number) == strand;
        let first = self.offered_by(process, is_of_strand);
        let Some((operation, _)) = task.pending() else {
            let asleep = matches!(task.state, State::Asleep { .. } | State::Suspended | State::AwaitsChild);
            return (first.is_none() && asleep).then(|| {
                let call = Call { name: "sleep".into(), ..Call::default() };
                let operation = Operation { call, ..Operation::default() };
                Status::Blocked { operation, holders: Vec::new() }
            });
        };
        let is_signalled = self.stands_for_signal(process).is_some();
        let asked_too_early = task.is_held_for_input()
            && self.offered_by(process, |_| true).is_some_and(|offered| offered != name);
        if first != Some(name) || is_signalled || asked_too_early {
            return None;
        }
        if let Some(refusal) = self.refusal(name) {
            return Some(Status::Enabled(refusal));
        }
        let (mut operation, barred) = (operation.clone(), self.barred(name, operation));
        self.may_time_out(process, &mut operation);
        let Some(mut holders) = barred else { return Some(Status::Enabled(operation)) };
        // Another task of its own process may give the lock back.
        let goes_on = |(other, task): (&Name, &Task)| task.pending().is_some() && !self.is_barred(other);
        if self.of(process).any(goes_on) {
            holders.retain(|holder| holder.0 != process);
        }
        Some(Status::Blocked { operation, holders })
    }

    /// Those that wait where no strand is enabled.
    pub fn waiting_of(&self, strands: Strands) -> Vec<Waiting> {
        let statuses = self.statuses_of(strands).into_iter().enumerate();
        let waits = statuses.filter_map(|(strand, status)| match status {
            Status::Blocked { operation, holders } => {
                Some(Waiting { process: ProcessId(strand), operation, holders })
            }
            _ => None,
        });
        waits.collect()
    }

    /// Does what a strand is held at.
    ///
    /// # Errors
    /// Those of [`step`](Running::step).
    pub fn step_of(&mut self, strands: Strands, strand: ProcessId) -> Result<Event, TraceError> {
        let process = strands.process(strand);
        let several = strands.are_tasks() && self.processes[process.0].tasks > 1;
        let of_task = several && strands.number(strand) < strands.each() - 1;
        let is_of_strand = |task: &Task| strands.of_task(process.0, task.number) == strand;
        let name = of_task.then(|| self.offered_by(process.0, is_of_strand).cloned()).flatten();
        if let Some(name) = &name
            && self.tasks[name].number > strands.most_tasks()
        {
            let what = format!("the order of more than {} tasks of {process}", strands.most_tasks());
            self.sight(process.0, GapKind::ThreadOrder, what);
        }
        if several && self.stands_for_signal(process.0).is_some() {
            let what = format!("signals to {process}, whose tasks are explored, in every order");
            self.sight(process.0, GapKind::ThreadOrder, what);
        }
        let mut event = match name {
            Some(name) => self.step_task(&name)?,
            None => self.step(process)?,
        };
        if several && !event.operation.adds.is_empty() {
            let what =
                format!("FIFOs and Unix sockets of {process}, whose tasks are explored, in every order");
            self.sight(process.0, GapKind::ThreadOrder, what);
        }
        event.process = strand;
        touch(&mut event.operation, strands, process.0);
        Ok(event)
    }
}

/// Adds what each operation of a strand of this process changes.
fn touch(operation: &mut Operation, strands: Strands, process: usize) {
    operation.accesses.splice(0..0, strands.touch(process));
    if let Some(refusal) = &mut operation.refused {
        refusal.instead.accesses.splice(0..0, strands.touch(process));
    }
}
