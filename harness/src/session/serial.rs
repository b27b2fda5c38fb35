//! The serial runs: the processes one after another, in every order or in those that matter.

use std::collections::BTreeSet;

use super::ending::{Unfinish, Unfinished, limit};
use super::{ALL_ORDERS, Session, SessionError};
use crate::backend::Backend;
use crate::explore::{Merge, Picked, Serial, count_of_merges, next_merge};
use crate::limits::Phase;
use crate::model::gap::sentence;
use crate::model::{Ending, Execution, Exit, Outcome, ProcessId};
use crate::oracle::{Order, SerialRun, orders};
use crate::report::words::pending;
use crate::scenario::StrategyName;
use crate::tracer::TraceError;

/// How a shell ends that does not find its command.
const NOT_FOUND: i32 = 127;

/// Up to this number of serial orders all of them are run: five processes have 120, two of five units each 252.
const MOST_ORDERS: u128 = 500;

/// How the processes of a serial run begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    /// From the checkpoints that there are.
    AsKept,
    /// Afresh, also what they do before their first operation.
    Afresh,
}

impl Session<'_> {
    /// Runs every serial order; where there are too many, the first and the last one, and of processes that are several units each
    /// order in which they run whole.
    pub(super) fn run_serial_orders(&mut self) -> Result<(), SessionError> {
        let limits = self.limits.clone();
        let _serial = limits.during(Phase::Serial);
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
        let endless = |it: &Unfinished| matches!(it.why, Unfinish::Endless(_));
        if self.serial.runs().is_empty() && !self.unfinished.iter().any(endless) {
            self.run_helped_orders()?;
        }
        self.serial_were_far = limits.are_far();
        if self.serial.runs().is_empty() {
            let mut endless = self.unfinished.iter().filter_map(|it| match &it.why {
                Unfinish::Endless(endless) => Some(endless.clone()),
                _ => None,
            });
            if let Some(endless) = endless.next() {
                return Err(TraceError::Endless(Box::new(endless)).into());
            }
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
        let failures: Vec<_> =
            self.serial.runs().iter().map(|run| run.outcome.canon_failed.as_ref()).collect();
        if let [Some(first), rest @ ..] = failures.as_slice()
            && rest.iter().all(Option::is_some)
        {
            return Err(self.afterwards.canon_fails(first));
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
                let said = self.known_serial.last_line(process).to_owned();
                return Err(SessionError::NotFound { process, command, said });
            }
        }
        Ok(())
    }

    /// Keeps what those processes wrote to their standard error that failed in the serial run that was just made.
    fn keep_last_words(&mut self, outcome: &Outcome) {
        for process in (0..self.job.programs.len()).map(ProcessId) {
            if outcome.exits_of(process).any(|exit| !exit.is_success()) {
                let said = self.tracer.stderr(process).unwrap_or_default();
                self.known_serial.note_said(process, &said);
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
                let (_, mut run) = self.run_as(Serial::Units(&processes), &left_out, &tasks, How::AsKept)?;
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
        // The first one that comes to its end shows all that the processes look up: none may begin from a checkpoint then.
        let may_be_kept = self.known_serial.has_first() || self.unfinished.is_empty();
        let run = self.run_as(serial, left_out, &[], if may_be_kept { How::AsKept } else { How::Afresh });
        if let Err(error) = &run
            && let Some((end, _)) = limit(error)
        {
            let (Serial::Whole(order) | Serial::Units(order)) = serial;
            let order = Order { processes: order.to_vec(), left_out: left_out.to_vec() };
            self.unfinished.push(Unfinished { order, why: Unfinish::Limit(end, error.to_string()) });
        }
        let (picked, mut execution) = run?;
        let processes = match serial {
            // Others have helped on the way: who they were follows from the order.
            Serial::Whole(order) | Serial::Units(order) if self.helped => order.to_vec(),
            _ => picked.iter().map(|picked| picked.process).collect(),
        };
        let order = Order { processes, left_out: left_out.to_vec() };
        self.note_unfinished(&order, &execution);
        if let Err(endless) = self.note_endless(&execution) {
            self.serial_were_far = false;
            return Err(endless);
        }
        if !self.serial.has_run(&order) {
            self.keep_serial(order, &mut execution)?;
        }
        Ok((picked, execution))
    }

    /// Takes note of a serial order that did not come to its end.
    fn note_unfinished(&mut self, order: &Order, execution: &Execution) {
        let why = match &execution.ending {
            Ending::Complete => return,
            Ending::Endless(endless) => Unfinish::Endless(endless.clone()),
            _ if execution.trace.len() >= self.most_steps() => Unfinish::Steps,
            _ => Unfinish::Waits(self.waits.clone().unwrap_or_default()),
        };
        self.unfinished.push(Unfinished { order: order.clone(), why });
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
            let lookups = self.tracer.last_lookups();
            self.known_serial.note_serial(&order.processes, execution, lookups);
            self.afterwards.finish(&mut self.tracer, execution)?;
            self.note_compared(&execution.outcome);
            self.serial.push(SerialRun { order, outcome: execution.outcome.clone() });
        }
        Ok(())
    }

    /// Runs a serial order, with tasks in a certain order.
    pub(super) fn run_as(
        &mut self,
        serial: Serial<'_>,
        left_out: &[ProcessId],
        tasks: &[Vec<usize>],
        mut how: How,
    ) -> Result<(Vec<Picked>, Execution), SessionError> {
        let (merge, execution) = loop {
            let mut merge = Merge::new(serial, left_out, self.most_steps()).helped(self.helped);
            let execution = match how {
                How::AsKept => self.tracer.execute_without(left_out, tasks, &mut merge)?,
                How::Afresh => {
                    self.tracer.afresh(|tracer| tracer.execute_without(left_out, tasks, &mut merge))?
                }
            };
            // The caller looks at what this run has left. So if others were tried after it, it is made once more. The first serial run is
            // then made afresh, since it has to show all that its processes look up.
            if !self.try_times_of_serial(&execution, (left_out, tasks))? {
                break (merge, execution);
            }
            if !self.known_serial.has_first() {
                how = How::Afresh;
            }
        };
        let picked = merge.picked().to_vec();
        let at_last = match &execution.ending {
            Ending::Blocked(waiting) => waiting.first().map(|at| (at.process, at.operation.call.clone())),
            _ => merge.stuck().cloned(),
        };
        // The caller notes the order that was run last; the report names the first of all.
        self.waits = at_last.map(|(process, call)| format!("{process} waits to {}", pending(&call)));
        self.stuck = self.stuck.take().or_else(|| self.waits.clone());
        Ok((picked, execution))
    }
}

/// An order in words: `A, B, A`.
pub(super) fn names(order: &[ProcessId]) -> String {
    order.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
