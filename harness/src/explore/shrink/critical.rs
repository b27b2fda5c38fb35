use super::plan::outline;
use super::{Shows, ShrinkFault, Shrinker, Trial};
use crate::explore::dpor::{Race, Races};
use crate::model::{Ending, Execution, Operation, ProcessId};

/// Two operations of two processes that conflict and could stand next to each other: the other way round, what is wrong goes.
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

impl<T: Trial> Shrinker<'_, T> {
    /// Looks for a pair of operations that it hangs on, among those that conflict with nothing in between and could be swapped.
    ///
    /// They are swapped by trial: all that does not depend on the first one before both, the second, the first, and what comes
    /// after them as before so far as it still does. A pair with which nothing is wrong any more is preferred to one with which
    /// something else is. `likely` are the steps that are known to have had a part: pairs of these are tried first, and then
    /// the later ones, nearer to where it shows.
    ///
    /// # Errors
    /// Those of the trials.
    pub fn critical(&mut self, likely: &[usize]) -> Result<Option<Critical>, T::Error> {
        let execution = self.best.clone();
        let held = held(&execution);
        let mut races = Races::of(&execution, &held, None);
        let is_likely = |step: Option<usize>| step.is_none_or(|step| likely.contains(&step));
        races.sort_by_key(|race| {
            let likely =
                [Some(race.earlier()), race.later()].into_iter().filter(|step| is_likely(*step)).count();
            (2 - likely, usize::MAX - race.earlier())
        });
        let mut second_best = None;
        for race in &races {
            let Some((_, shows)) = self.try_out(&outline(swapped(&execution, race)))? else { break };
            let shows = if self.fault == Some(ShrinkFault::AnyPair) { Shows::Nothing } else { shows };
            let found = Critical {
                first: race.earlier(),
                second: race.later(),
                process: race.process(),
                operation: race.overtakes().clone(),
                clean: shows == Shows::Nothing,
            };
            match shows {
                Shows::Nothing => return Ok(Some(found)),
                Shows::Another => second_best = second_best.or(Some(found)),
                Shows::Same => {}
            }
        }
        Ok(second_best)
    }
}

/// What processes wait at in the end; who waits for itself cannot go on in any order.
fn held(execution: &Execution) -> Vec<(ProcessId, Operation)> {
    let Ending::Blocked(waiting) = &execution.ending else { return Vec::new() };
    let others = waiting.iter().filter(|at| !at.holders.contains(&at.process));
    others.map(|at| (at.process, at.operation.clone())).collect()
}

/// The processes of the steps, with the later operation of a race just before the earlier one.
fn swapped(execution: &Execution, race: &Race<'_>) -> Vec<ProcessId> {
    let process = |step: usize| execution.trace[step].process;
    let before = (0..race.earlier()).chain(race.independent().iter().copied()).map(process);
    let rest = (race.earlier() + 1..execution.trace.len())
        .filter(|step| !race.independent().contains(step) && Some(*step) != race.later());
    let swapped = [race.process(), process(race.earlier())];
    before.chain(swapped).chain(rest.map(process)).collect()
}
