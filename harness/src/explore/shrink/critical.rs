use super::plan::outline;
use super::{Shows, ShrinkFault, Shrinker, Trial};
use crate::explore::dpor::Races;
use crate::model::{Ending, Execution, Operation, ProcessId};

/// Two operations of two processes that conflict: the other way round, what is wrong goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Critical {
    /// The step of the first.
    pub first: usize,
    /// The step of the second; `None` where its process waits at it in the end.
    pub second: Option<usize>,
    /// Whose the second is.
    pub process: ProcessId,
    /// What the second is.
    pub operation: Operation,
    /// Whether nothing at all is wrong the other way round; else something else is.
    pub clean: bool,
}

/// Of pairs of one sort no more are tried.
const MOST_PAIRS: usize = 40;

/// What is known to have had a part in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Suspects<'a> {
    /// Steps.
    pub steps: &'a [usize],
    /// Processes; none: any.
    pub processes: &'a [ProcessId],
}

/// Two operations that conflict, and how to run them the other way round.
struct Pair {
    found: Critical,
    /// Of each step the process.
    swapped: Vec<ProcessId>,
}

impl<T: Trial> Shrinker<'_, T> {
    /// Looks for a pair of operations that it hangs on, by running them the other way round, with all else as before so far as it
    /// still is.
    ///
    /// First come pairs that could stand next to each other: nothing in between conflicts with both, and what does not depend on the
    /// first goes before it. Then those with something in between (a file that is read in two calls is read at the first). A
    /// pair with which nothing is wrong any more is preferred to one with which something else is. Of the pairs those of suspect
    /// processes are tried first, those of suspect steps before others, and the later before the earlier, being nearer to where
    /// it shows.
    ///
    /// # Errors
    /// Those of the trials.
    pub fn critical(&mut self) -> Result<Option<Critical>, T::Error> {
        let suspects = self.suspects;
        let execution = self.best.clone();
        for pairs in [neighbours(&execution), apart(&execution, suspects)] {
            let found = self.first_that_matters(&execution, pairs, suspects)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn first_that_matters(
        &mut self,
        execution: &Execution,
        mut pairs: Vec<Pair>,
        suspects: Suspects<'_>,
    ) -> Result<Option<Critical>, T::Error> {
        pairs.sort_by_key(|pair| rank(execution, &pair.found, suspects));
        pairs.truncate(MOST_PAIRS);
        let mut second_best = None;
        for Pair { mut found, swapped } in pairs {
            let Some((_, shows)) = self.try_out(&outline(swapped))? else { break };
            let shows = if self.fault == Some(ShrinkFault::AnyPair) { Shows::Nothing } else { shows };
            found.clean = shows == Shows::Nothing;
            match shows {
                Shows::Nothing => return Ok(Some(found)),
                Shows::Another => second_best = second_best.or(Some(found)),
                Shows::Same => {}
            }
        }
        Ok(second_best)
    }
}

/// In which order pairs are tried: the number of processes that are not suspect, of steps that are not, and how early it is.
fn rank(execution: &Execution, pair: &Critical, suspects: Suspects<'_>) -> (usize, usize, usize) {
    let processes = [execution.trace[pair.first].process, pair.process];
    let is_other =
        |process: &&ProcessId| !suspects.processes.is_empty() && !suspects.processes.contains(*process);
    let steps = [Some(pair.first), pair.second].into_iter().flatten();
    (
        processes.iter().filter(is_other).count(),
        steps.filter(|step| !suspects.steps.contains(step)).count(),
        usize::MAX - pair.first,
    )
}

/// The pairs that could stand next to each other.
fn neighbours(execution: &Execution) -> Vec<Pair> {
    let held = held(execution);
    let process = |step: usize| execution.trace[step].process;
    let races = Races::of(execution, &held, (None, &[]), None, &|_| true);
    let pairs = races.iter().map(|race| {
        let independent = race.independent();
        let before = (0..race.earlier()).chain(independent.iter().copied()).map(process);
        let rest = (race.earlier() + 1..execution.trace.len())
            .filter(|step| !independent.contains(step) && Some(*step) != race.later());
        let swapped = before.chain([race.process(), process(race.earlier())]).chain(rest.map(process));
        let found = Critical {
            first: race.earlier(),
            second: race.later(),
            process: race.process(),
            operation: race.overtakes().clone(),
            clean: false,
        };
        Pair { found, swapped: swapped.collect() }
    });
    pairs.collect()
}

/// Pairs that conflict with something in between, one of them a suspect step. The later one's process runs up to it first.
fn apart(execution: &Execution, suspects: Suspects<'_>) -> Vec<Pair> {
    let trace = &execution.trace;
    let mut pairs = Vec::new();
    for second in 0..trace.len() {
        let event = &trace[second];
        let is_suspect = |step: usize| suspects.steps.contains(&step);
        let conflicting = (0..second).filter(|first| {
            let earlier = &trace[*first];
            earlier.process != event.process
                && event.operation.disturbs(event.process, &earlier.operation, earlier.process)
        });
        for first in conflicting.filter(|first| is_suspect(*first) || is_suspect(second)) {
            let goes_first = |step: &usize| *step <= second && trace[*step].process == event.process;
            let steps = || first..trace.len();
            let others = steps().filter(|step| !goes_first(step));
            let order = (0..first).chain(steps().filter(goes_first)).chain(others);
            let found = Critical {
                first,
                second: Some(second),
                process: event.process,
                operation: event.operation.clone(),
                clean: false,
            };
            pairs.push(Pair { found, swapped: order.map(|step| trace[step].process).collect() });
        }
    }
    pairs
}

/// What processes wait at in the end; who waits for itself cannot go on in any order.
fn held(execution: &Execution) -> Vec<(ProcessId, Operation)> {
    let Ending::Blocked(waiting) = &execution.ending else { return Vec::new() };
    let others = waiting.iter().filter(|at| !at.is_stuck());
    others.map(|at| (at.process, at.operation.clone())).collect()
}
