//! Serial executions: the units of all processes, one after another.
//!
//! Processes that need each other alive, as a server and who asks it, have none. The nearest to it is *helped*: a process goes on as
//! long as it can, and others only while it waits, a step at a time; first those that it waits for.

use crate::backend::Chooser;
use crate::model::{Begins, Call, Choice, Cut, Execution, Operation, ProcessId, Status, View};

/// Which units run when.
#[derive(Clone, Copy, Debug)]
pub enum Serial<'a> {
    /// The next unit of each of these, as often as it is named; those that are over are passed over. Then what is left: of the
    /// process that ran last, and so on.
    Units(&'a [ProcessId]),
    /// Each of these from its beginning to its end.
    Whole(&'a [ProcessId]),
}

/// A unit that was picked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picked {
    /// Whose.
    pub process: ProcessId,
    /// Whose could have been picked, in the order in which they are tried.
    options: Vec<ProcessId>,
    /// The step that it began with.
    step: usize,
}

/// Chooses the units of processes one after another. An execution in which a unit cannot come to its end is cut.
#[derive(Debug)]
pub struct Merge<'a> {
    serial: Serial<'a>,
    left_out: &'a [ProcessId],
    most_steps: usize,
    helped: bool,
    /// How many of the units that are named were picked or passed over.
    used: usize,
    picked: Vec<Picked>,
    stuck: Option<(ProcessId, Call)>,
}

impl<'a> Merge<'a> {
    /// Of all processes but those left out.
    #[must_use]
    pub fn new(serial: Serial<'a>, left_out: &'a [ProcessId], most_steps: usize) -> Self {
        Self { serial, left_out, most_steps, helped: false, used: 0, picked: Vec::new(), stuck: None }
    }

    /// The same, but others go on while a process waits.
    #[must_use]
    pub fn helped(self, helped: bool) -> Self {
        Self { helped, ..self }
    }

    /// The units in the order in which they were picked.
    #[must_use]
    pub fn picked(&self) -> &[Picked] {
        &self.picked
    }

    /// Whose unit could not go on, and what it waited for.
    #[must_use]
    pub fn stuck(&self) -> Option<&(ProcessId, Call)> {
        self.stuck.as_ref()
    }

    /// Whether the unit that was picked last goes on.
    fn goes_on(&self, view: &View<'_>) -> Option<ProcessId> {
        let last = self.picked.last()?;
        let status = &view.processes[last.process.0];
        let begins = || status.operation().is_some_and(|operation| operation.call.begins().is_some());
        let over = status.exit().is_some() || (view.trace.len() > last.step && begins());
        (!over).then_some(last.process)
    }

    /// Whose end is offered, of those that came to it in a unit before this one: it belongs to that.
    fn ends(&self, view: &View<'_>) -> Option<ProcessId> {
        let ends = |picked: &&Picked| {
            let status = &view.processes[picked.process.0];
            let ends = |held: &Operation| held.is_end() && held.accesses.is_empty();
            status.is_enabled() && status.operation().is_some_and(ends)
        };
        self.picked.iter().find(ends).map(|picked| picked.process)
    }

    /// Whose unit may be next: first those at the end of their input, which most often do nothing more; then whose ran last.
    fn options(&self, view: &View<'_>) -> Vec<ProcessId> {
        let last = self.picked.last().map(|picked| picked.process);
        let ends = |process: &ProcessId| {
            let operation = view.processes[process.0].operation();
            operation.is_some_and(|operation| operation.call.begins() == Some(Begins::End))
        };
        let mut options: Vec<ProcessId> =
            view.enabled().filter(|process| !self.left_out.contains(process)).collect();
        options.sort_by_key(|process| (!ends(process), Some(*process) != last, *process));
        options
    }

    /// Who goes on while a process waits: of those that it waits for, and they in turn, the first that can; else of all.
    fn helper(&self, waits: ProcessId, view: &View<'_>) -> Option<ProcessId> {
        let mut chain = vec![waits];
        let mut at = 0;
        while let Some(process) = chain.get(at) {
            let status = &view.processes[process.0];
            if status.is_enabled() {
                return Some(*process);
            }
            let holders = if let Status::Blocked { holders, .. } = status { holders.as_slice() } else { &[] };
            let new: Vec<ProcessId> =
                holders.iter().copied().filter(|holder| !chain.contains(holder)).collect();
            chain.extend(new.into_iter().filter(|holder| !self.left_out.contains(holder)));
            at += 1;
        }
        let (Serial::Whole(order) | Serial::Units(order)) = self.serial;
        let options: Vec<ProcessId> = view.enabled().filter(|one| !self.left_out.contains(one)).collect();
        order.iter().find(|process| options.contains(process)).or(options.first()).copied()
    }

    fn pick(&mut self, options: &[ProcessId]) -> Option<ProcessId> {
        match self.serial {
            Serial::Whole(order) => order.iter().find(|process| options.contains(process)).copied(),
            Serial::Units(order) => {
                let named = order.get(self.used..)?.iter().position(|process| options.contains(process));
                self.used += named.map_or(order.len() - self.used, |at| at + 1);
                named.map(|_| order[self.used - 1]).or_else(|| options.first().copied())
            }
        }
    }
}

impl Chooser for Merge<'_> {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        if view.trace.len() >= self.most_steps {
            return Err(Cut::Steps);
        }
        if let Some(process) = self.ends(&view) {
            return Ok(Choice::Process(process));
        }
        if let Some(process) = self.goes_on(&view) {
            let status = &view.processes[process.0];
            if status.is_enabled() {
                return Ok(Choice::Process(process));
            }
            if self.helped
                && let Some(helper) = self.helper(process, &view)
            {
                return Ok(Choice::Process(helper));
            }
            self.stuck = status.operation().map(|operation| (process, operation.call.clone()));
            return Err(Cut::Steps);
        }
        let options = self.options(&view);
        let process = self.pick(&options).ok_or(Cut::Steps)?;
        self.picked.push(Picked { process, options, step: view.trace.len() });
        Ok(Choice::Process(process))
    }
}

/// The beginning of the merge to run after this one, in an order in which every merge comes once; none after the last. What a unit
/// does that touches nothing shared is the same wherever it comes: it is tried in one place.
#[must_use]
pub fn next_merge(picked: &[Picked], execution: &Execution) -> Option<Vec<ProcessId>> {
    (0..picked.len()).rev().find_map(|at| {
        if is_silent(picked, at, execution) {
            return None;
        }
        let Picked { process, options, .. } = &picked[at];
        let place = options.iter().position(|option| option == process)?;
        let next = *options.get(place + 1)?;
        Some(picked[..at].iter().map(|picked| picked.process).chain([next]).collect())
    })
}

fn is_silent(picked: &[Picked], at: usize, execution: &Execution) -> bool {
    let end = picked.get(at + 1).map_or(execution.trace.len(), |next| next.step);
    execution.trace[picked[at].step..end].iter().all(|event| event.operation.accesses.is_empty())
}

/// How many merges there are of as many units as were picked of each process, silent ones left out.
#[must_use]
pub fn count_of_merges(picked: &[Picked], execution: &Execution) -> u128 {
    let mut counts: Vec<(ProcessId, u128)> = Vec::new();
    let mut merges = 1u128;
    let loud = (0..picked.len()).filter(|at| !is_silent(picked, *at, execution));
    for (all, at) in loud.enumerate() {
        let process = picked[at].process;
        if !counts.iter().any(|(known, _)| *known == process) {
            counts.push((process, 0));
        }
        for (_, own) in counts.iter_mut().filter(|(known, _)| *known == process) {
            *own += 1;
            // A binomial coefficient, step by step: each division is exact.
            merges = merges.saturating_mul(all as u128 + 1) / *own;
        }
    }
    merges
}

#[cfg(test)]
mod tests {
    use super::{Merge, Serial, count_of_merges, next_merge};
    use crate::backend::Chooser;
    use crate::model::{
        Access, Begins, Call, CallResult, Choice, Cut, Ending, Event, Execution, Exit, Location, ObjectId,
        Operation, Outcome, ProcessId, Status, View,
    };

    /// Processes that have so many units of two steps each; those of the second kind are silent, and the last is the end of input.
    struct Units(Vec<(usize, bool)>);

    impl Units {
        fn operation(&self, process: usize, done: usize) -> Option<Operation> {
            let (units, silent) = self.0[process];
            if done >= 2 * units {
                return None;
            }
            let begins = if silent && done + 2 >= 2 * units { Begins::End } else { Begins::Request };
            let begins = (done.is_multiple_of(2) && done > 0).then_some(begins);
            let call = begins.map_or_else(Call::default, |begins| Call::beginning(begins, String::new()));
            let loud = !silent || done + 2 < 2 * units;
            let access = Access::write(Location::Listing(ObjectId::Initial(0)));
            let accesses = if loud { vec![access] } else { Vec::new() };
            Some(Operation { call, accesses, ..Operation::default() })
        }

        fn run(&self, merge: &mut Merge<'_>) -> Execution {
            let (mut trace, mut schedule) = (Vec::<Event>::new(), Vec::new());
            let ending = loop {
                let done =
                    |process: usize| trace.iter().filter(|event| event.process == ProcessId(process)).count();
                let status = |process| match self.operation(process, done(process)) {
                    Some(operation) => Status::Enabled(operation),
                    None => Status::Finished(Exit::Status(0)),
                };
                let statuses: Vec<Status> = (0..self.0.len()).map(status).collect();
                if !statuses.iter().any(Status::is_enabled) {
                    break Ending::Complete;
                }
                match merge.choose(View { trace: &trace, processes: &statuses }) {
                    Ok(choice @ Choice::Process(process)) => {
                        schedule.push(choice);
                        let operation = statuses[process.0].operation().unwrap().clone();
                        let (task, result) = (String::new(), CallResult::Value(0));
                        trace.push(Event { process, task, operation, result, exit: None, payload: None });
                    }
                    Err(cut) => break Ending::Cut(cut),
                }
            };
            Execution { schedule, trace, ending, outcome: Outcome::default() }
        }

        fn merges(&self) -> (u128, Vec<String>) {
            let (mut wanted, mut found, mut count) = (Some(Vec::new()), Vec::new(), 0);
            while let Some(order) = wanted {
                let mut merge = Merge::new(Serial::Units(&order), &[], 1000);
                let execution = self.run(&mut merge);
                assert_eq!(execution.ending, Ending::Complete);
                if found.is_empty() {
                    count = count_of_merges(merge.picked(), &execution);
                }
                found.push(merge.picked().iter().map(|picked| picked.process.to_string()).collect());
                wanted = next_merge(merge.picked(), &execution);
            }
            (count, found)
        }
    }

    #[test]
    fn every_merge_comes_once() {
        let (count, found) = Units(vec![(2, false), (2, false)]).merges();
        assert_eq!((count, found.len()), (6, 6));
        assert_eq!(found, ["AABB", "ABBA", "ABAB", "BBAA", "BAAB", "BABA"]);
        for (units, wanted) in [(vec![1, 1, 1], 6), (vec![3, 3], 20), (vec![2, 2, 2], 90), (vec![1, 4], 5)] {
            let units: Vec<(usize, bool)> = units.into_iter().map(|units| (units, false)).collect();
            let (count, mut found) = Units(units).merges();
            found.sort();
            found.dedup();
            assert_eq!((count, found.len()), (wanted, wanted as usize));
        }
    }

    /// Three units each, of which the last touches nothing: as many merges as of two each.
    #[test]
    fn what_touches_nothing_is_tried_in_one_place() {
        let (count, found) = Units(vec![(3, true), (3, true)]).merges();
        assert_eq!((count, found.len()), (6, 6), "{found:?}");
    }

    /// A server, which waits for a question after each of its steps, and two who ask it twice each and wait for the answer.
    #[test]
    fn others_go_on_while_one_waits() {
        let run = |order: [usize; 3]| -> Result<String, Cut> {
            let order = order.map(ProcessId);
            let mut merge = Merge::new(Serial::Whole(&order), &[], 1000).helped(true);
            let (mut trace, mut asked, mut done) = (Vec::<Event>::new(), Vec::new(), [0; 3]);
            loop {
                let waits = |holders: &[usize]| Status::Blocked {
                    operation: Operation::default(),
                    holders: holders.iter().copied().map(ProcessId).collect(),
                };
                let status = |process: usize| match process {
                    0 if done[0] == 4 => Status::Finished(Exit::Status(0)),
                    0 if asked.is_empty() => waits(&[]),
                    0 => Status::Enabled(Operation::default()),
                    _ if asked.contains(&process) => waits(&[0]),
                    _ if done[process] == 2 => Status::Finished(Exit::Status(0)),
                    _ => Status::Enabled(Operation::default()),
                };
                let statuses: Vec<Status> = (0..3).map(status).collect();
                if statuses.iter().all(|status| matches!(status, Status::Finished(_))) {
                    return Ok(trace.iter().map(|event| event.process.to_string()).collect());
                }
                let Choice::Process(process) = merge.choose(View { trace: &trace, processes: &statuses })?;
                done[process.0] += 1;
                match process.0 {
                    0 => _ = asked.remove(0),
                    who => asked.push(who),
                }
                let (task, result) = (String::new(), CallResult::Value(0));
                let operation = Operation::default();
                trace.push(Event { process, task, operation, result, exit: None, payload: None });
            }
        };
        // Whoever comes first has both of its answers before the other one asks, unless it is the server that everybody helps.
        assert_eq!(run([1, 2, 0]), Ok("BABACACA".to_owned()));
        assert_eq!(run([2, 0, 1]), Ok("CACABABA".to_owned()));
        assert_eq!(run([0, 1, 2]), Ok("BABACACA".to_owned()));
        assert_eq!(run([0, 2, 1]), Ok("CACABABA".to_owned()));
    }

    #[test]
    fn an_order_may_name_fewer_units_or_more_than_there_are_or_whole_processes() {
        let units = Units(vec![(2, false), (2, false)]);
        let ids =
            |text: &str| text.bytes().map(|letter| ProcessId(usize::from(letter - b'A'))).collect::<Vec<_>>();
        let run = |serial: Serial<'_>| {
            let mut merge = Merge::new(serial, &[], 1000);
            units.run(&mut merge);
            merge.picked().iter().map(|picked| picked.process.to_string()).collect::<String>()
        };
        assert_eq!(run(Serial::Units(&ids("B"))), "BBAA");
        assert_eq!(run(Serial::Units(&ids("ABBBBA"))), "ABBA");
        assert_eq!(run(Serial::Whole(&ids("BA"))), "BBAA");
    }
}
