//! The serial runs: the processes one after another, in every order or in those that matter.

use std::collections::BTreeSet;

use super::{ALL_ORDERS, Session, SessionError};
use crate::backend::Backend;
use crate::explore::{Merge, Picked, Serial, count_of_merges, next_merge};
use crate::model::gap::sentence;
use crate::model::{Ending, Execution, Exit, Outcome, ProcessId};
use crate::oracle::{Order, SerialRun, orders};
use crate::report::words::pending;
use crate::scenario::StrategyName;

/// How a shell ends that does not find its command.
const NOT_FOUND: i32 = 127;

/// Up to this number of serial orders all of them are run: five processes have 120, two of five units each 252.
const MOST_ORDERS: u128 = 500;

impl Session<'_> {
    /// Runs every serial order; where there are too many, the first and the last one, and of processes that are several units each
    /// order in which they run whole.
    pub(super) fn run_serial_orders(&mut self) -> Result<(), SessionError> {
        let count = self.job.programs.len();
        self.serial.complete = self.run_merges(&[])?;
        self.serial.whole = self.serial.complete;
        if !self.serial.complete && count <= ALL_ORDERS {
            for order in orders(count) {
                self.run_whole(&order.processes)?;
            }
            self.serial.whole = true;
        } else if !self.serial.complete {
            let backward: Vec<ProcessId> = (0..count).rev().map(ProcessId).collect();
            self.run_whole(&backward)?;
        }
        if self.serial.runs().is_empty() {
            self.run_helped_orders()?;
        }
        if self.serial.runs().is_empty() {
            let mut notes: BTreeSet<String> = self.tracer.not_covered().iter().map(sentence).collect();
            if notes.is_empty() {
                notes.extend(self.stuck.clone());
            }
            let why = if notes.is_empty() {
                format!("none does within {} steps (--max-steps)", self.most_steps())
            } else {
                format!(
                    "in each of them a process waits for what does not come ({})",
                    notes.into_iter().collect::<Vec<_>>().join("; ")
                )
            };
            return Err(SessionError::NoSerialOrder(why));
        }
        self.refuse_what_is_not_found()
    }

    /// Where no process can come to its end before another begins: runs the orders in which others go on while one waits.
    fn run_helped_orders(&mut self) -> Result<(), SessionError> {
        let count = self.job.programs.len();
        self.helped = true;
        let all = count <= ALL_ORDERS;
        let forward: Vec<ProcessId> = (0..count).map(ProcessId).collect();
        let backward = forward.iter().rev().copied().collect();
        let orders = if all {
            orders(count).into_iter().map(|order| order.processes).collect()
        } else {
            vec![forward, backward]
        };
        for order in &orders {
            self.run_whole(order)?;
        }
        (self.serial.complete, self.serial.whole) = (all, all);
        Ok(())
    }

    /// Runs every merge of the units of all processes but these, or, where they are too many, the first one; whether it was all.
    fn run_merges(&mut self, left_out: &[ProcessId]) -> Result<bool, SessionError> {
        if let Some(all) = self.serial.enumerated(left_out) {
            return Ok(all);
        }
        let mut next = Some(Vec::new());
        let mut made = 0u128;
        while let Some(beginning) = next {
            let (picked, execution) = self.run_serially(Serial::Units(&beginning), left_out)?;
            made += 1;
            if made > MOST_ORDERS || (made == 1 && count_of_merges(&picked, &execution) > MOST_ORDERS) {
                self.serial.note_enumerated(left_out, false);
                return Ok(false);
            }
            next = next_merge(&picked, &execution);
        }
        self.serial.note_enumerated(left_out, true);
        Ok(true)
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
        let failed = |run: &SerialRun| run.outcome.exits_of(process).find(|exit| !exit.is_success());
        let exits: Vec<Option<Exit>> = runs.map(failed).collect();
        exits.first().copied().flatten().filter(|_| exits.iter().all(Option::is_some))
    }

    /// The last line of what a process said on its standard error when it failed.
    fn last_words(&self, process: ProcessId) -> String {
        self.last_words.get(&process).cloned().unwrap_or_default()
    }

    /// Keeps the last words of those who failed in the serial run that was just made.
    fn keep_last_words(&mut self, outcome: &Outcome) {
        for process in (0..self.job.programs.len()).map(ProcessId) {
            if outcome.exits_of(process).any(|exit| !exit.is_success()) {
                let said = self.tracer.stderr(process).unwrap_or_default();
                let said = String::from_utf8_lossy(&said);
                let last = said.lines().rev().find(|line| !line.trim().is_empty());
                let words = last.unwrap_or("it says nothing").trim().to_owned();
                self.last_words.entry(process).or_insert(words);
            }
        }
    }

    /// Where giving up is allowed: runs the orders of all but those who gave up in this outcome.
    pub(super) fn run_orders_without_the_aborted(&mut self, outcome: &Outcome) -> Result<(), SessionError> {
        let count = self.job.programs.len();
        for left_out in self.serial.left_out_sets(outcome) {
            if !left_out.is_empty() && count - left_out.len() <= ALL_ORDERS {
                self.run_merges(&left_out)?;
            }
        }
        Ok(())
    }

    /// Runs a serial order, unless it has been run.
    pub(super) fn run_order(&mut self, order: &Order) -> Result<(), SessionError> {
        if !self.serial.has_run(order) {
            self.run_serially(Serial::Units(&order.processes), &order.left_out)?;
        }
        Ok(())
    }

    /// Whether a serial order gives this outcome in which the tasks of each process come in the order in which they come here, so
    /// far as they can: which of them is first is no process's business but its own.
    pub(super) fn is_serial_by_task(&mut self, execution: &Execution) -> Result<bool, SessionError> {
        let strands = self.tracer.strands();
        if !strands.are_tasks() {
            return Ok(false);
        }
        let mut tasks = vec![Vec::new(); self.job.programs.len()];
        for event in &execution.trace {
            let (process, number) = (strands.process(event.process), strands.number(event.process));
            tasks[process.0].push(number);
        }
        if self.by_task.insert(tasks.clone()) {
            let mut orders: Vec<Order> = self.serial.runs().iter().map(|run| run.order.clone()).collect();
            orders.sort();
            orders.dedup();
            for Order { processes, left_out } in orders {
                let (_, mut run) = self.run_as(Serial::Units(&processes), &left_out, &tasks)?;
                self.keep_serial(Order { processes, left_out }, &mut run)?;
            }
        }
        Ok(self.serial.contains(&execution.outcome))
    }

    fn run_whole(&mut self, processes: &[ProcessId]) -> Result<(), SessionError> {
        self.run_serially(Serial::Whole(processes), &[]).map(drop)
    }

    /// Makes a serial run. One in which a unit waits for ever gives no outcome.
    fn run_serially(
        &mut self,
        serial: Serial<'_>,
        left_out: &[ProcessId],
    ) -> Result<(Vec<Picked>, Execution), SessionError> {
        let (picked, mut execution) = self.run_as(serial, left_out, &[])?;
        let processes = match serial {
            // Others have helped on the way: who they were follows from the order.
            Serial::Whole(order) | Serial::Units(order) if self.helped => order.to_vec(),
            _ => picked.iter().map(|picked| picked.process).collect(),
        };
        let order = Order { processes, left_out: left_out.to_vec() };
        if !self.serial.has_run(&order) {
            self.keep_serial(order, &mut execution)?;
        }
        Ok((picked, execution))
    }

    /// Adds the outcome of a serial run, if it came to its end.
    fn keep_serial(&mut self, order: Order, execution: &mut Execution) -> Result<(), SessionError> {
        if execution.ending == Ending::Complete {
            let is_shown =
                self.job.scenario.strategy == StrategyName::Pct && !self.tracer.strands().are_tasks();
            if is_shown && self.first.is_none() {
                self.first = Some(execution.clone());
            }
            self.keep_last_words(&execution.outcome);
            self.afterwards.finish(&mut self.tracer, execution)?;
            self.serial.push(SerialRun { order, outcome: execution.outcome.clone() });
        }
        Ok(())
    }

    /// Runs a serial order, with tasks in a certain order.
    fn run_as(
        &mut self,
        serial: Serial<'_>,
        left_out: &[ProcessId],
        tasks: &[Vec<usize>],
    ) -> Result<(Vec<Picked>, Execution), SessionError> {
        let mut merge = Merge::new(serial, left_out, self.most_steps()).helped(self.helped);
        let execution = self.tracer.execute_without(left_out, tasks, &mut merge)?;
        let picked = merge.picked().to_vec();
        let at_last = match &execution.ending {
            Ending::Blocked(waiting) => waiting.first().map(|at| (at.process, at.operation.call.clone())),
            _ => merge.stuck().cloned(),
        };
        if let (Some((process, call)), None) = (at_last, &self.stuck) {
            self.stuck = Some(format!("{process} waits to {}", pending(&call)));
        }
        Ok((picked, execution))
    }

    /// What a reader of the verdict should know of how it came about.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.serial.complete {
            let orders: BTreeSet<&Order> = self.serial.runs().iter().map(|run| &run.order).collect();
            let (run, count) = (orders.len(), self.job.programs.len());
            let units = self.serial.runs().iter().any(|run| run.order.processes.len() > count);
            let of = if units { "merges of the units".to_owned() } else { format!("{count}!") };
            remarks.push(format!("serial orders: {run} of {of} were run, those that the executions suggest"));
            if units && !self.serial.whole {
                remarks.push(
                    "updates that are lost to what a process remembers from an earlier unit".to_owned(),
                );
            }
        }
        if self.helped {
            remarks.push("no process can come to its end before another begins: in the serial runs one goes on as far as it can, \
                          and others only while it waits".to_owned());
        }
        if self.strands > self.job.programs.len() {
            let what = "what the tasks of one process do to each other in memory, in another order than their operations";
            remarks.push(format!("{what} (--threads explore)"));
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
