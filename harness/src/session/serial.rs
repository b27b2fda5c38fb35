//! The serial runs: the processes one after another, in every order or in those that matter.

use super::{ALL_ORDERS, Session, SessionError};
use crate::backend::Backend;
use crate::model::{Ending, Exit, Outcome, ProcessId};
use crate::oracle::{Order, SerialRun, orders, orders_without};

/// How a shell ends that does not find its command.
const NOT_FOUND: i32 = 127;

impl Session<'_> {
    /// Runs every serial order; of many processes only the first and the last one.
    pub(super) fn run_serial_orders(&mut self) -> Result<(), SessionError> {
        let count = self.job.programs.len();
        if count <= ALL_ORDERS {
            for order in orders(count) {
                self.run_order(order)?;
            }
            self.serial.complete = true;
        } else {
            let forward: Vec<ProcessId> = (0..count).map(ProcessId).collect();
            let backward = forward.iter().rev().copied().collect();
            for processes in [forward, backward] {
                self.run_order(Order { processes, left_out: Vec::new() })?;
            }
        }
        if self.serial.runs().is_empty() {
            let why = "in each of them a process waits for what does not come";
            let notes = self.tracer.not_covered();
            let why = if notes.is_empty() { why.to_owned() } else { format!("{why} ({})", notes.join("; ")) };
            return Err(SessionError::NoSerialOrder(why));
        }
        self.refuse_what_is_not_found()
    }

    /// A shell ends with this status where it does not find its command: then there is nothing to explore.
    fn refuse_what_is_not_found(&self) -> Result<(), SessionError> {
        for process in (0..self.job.programs.len()).map(ProcessId) {
            if self.fails_always(process) == Some(Exit::Status(NOT_FOUND)) {
                let command = self.job.programs[process.0].to_string();
                return Err(SessionError::NotFound { process, command, said: self.last_words(process) });
            }
        }
        Ok(())
    }

    /// How a process ends that fails in every serial order; as in the first of them.
    fn fails_always(&self, process: ProcessId) -> Option<Exit> {
        let runs = self.serial.runs().iter().filter(|run| !run.order.left_out.contains(&process));
        let exits: Vec<Option<Exit>> =
            runs.filter_map(|run| run.outcome.exits.get(process.0).copied()).collect();
        let fails = |exit: &Option<Exit>| exit.is_some_and(|exit| !exit.is_success());
        exits.first().copied().flatten().filter(|_| exits.iter().all(fails))
    }

    /// The last line of what a process said on its standard error.
    fn last_words(&self, process: ProcessId) -> String {
        let said = self.tracer.stderr(process).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or("it says nothing").trim().to_owned()
    }

    /// Where giving up is allowed: runs the orders of all but those who gave up in this outcome.
    pub(super) fn run_orders_without_the_aborted(&mut self, outcome: &Outcome) -> Result<(), SessionError> {
        let count = self.job.programs.len();
        for left_out in self.serial.left_out_sets(outcome) {
            if !left_out.is_empty() && count - left_out.len() <= ALL_ORDERS {
                for order in orders_without(count, &left_out) {
                    self.run_order(order)?;
                }
            }
        }
        Ok(())
    }

    /// Runs a serial order, unless it has been run. One in which a process waits for ever gives no outcome.
    pub(super) fn run_order(&mut self, order: Order) -> Result<(), SessionError> {
        if self.serial.has_run(&order) {
            return Ok(());
        }
        let most_steps = self.most_steps();
        let mut execution = self.tracer.execute_in_order(&order.processes, most_steps)?;
        if execution.ending != Ending::Complete {
            return Ok(());
        }
        self.afterwards.finish(&mut self.tracer, &mut execution)?;
        self.serial.push(SerialRun { order, outcome: execution.outcome });
        Ok(())
    }

    /// What a reader of the verdict should know of how it came about.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.serial.complete {
            let (run, count) = (self.serial.runs().len(), self.job.programs.len());
            remarks.push(format!(
                "serial orders: {run} of {count}! were run, those that the executions suggest"
            ));
        }
        for process in (0..self.job.programs.len()).map(ProcessId) {
            if let Some(exit) = self.fails_always(process) {
                let said = self.last_words(process);
                remarks.push(format!("{process} fails in every serial order ({exit}): {said}"));
            }
        }
        remarks
    }
}
