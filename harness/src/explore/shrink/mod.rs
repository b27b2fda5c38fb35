//! Making the schedule of an execution simpler, so that it still shows what it shows; and finding what that hangs on. `plan.rs` has
//! schedules in outline, `critical.rs` the pair of operations.

mod critical;
mod plan;

use std::collections::BTreeSet;
use std::ops::Range;

pub use self::critical::{Critical, Suspects};
use self::plan::{Following, Run, outline, straightened, tidy};
use crate::backend::Chooser;
use crate::model::{Access, Choice, Event, Execution, ProcessId};

/// Whether an execution shows what it is to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shows {
    /// It does.
    Same,
    /// It shows something else that is wrong.
    Another,
    /// Nothing is wrong with it.
    Nothing,
}

/// Runs an execution, and tells whether it shows the same as the one that is to be made simpler.
pub trait Trial {
    /// Why it could not be run.
    type Error;

    /// Runs an execution under this chooser.
    ///
    /// # Errors
    /// Those of the backend.
    fn run(&mut self, chooser: &mut dyn Chooser) -> Result<(Execution, Shows), Self::Error>;

    /// Looks more closely at an execution that seems to show the same, before it is taken for the simpler one.
    ///
    /// # Errors
    /// Those of the backend.
    fn confirms(&mut self, _execution: &Execution) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// How much may be tried: whichever is used up first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Executions.
    pub executions: u64,
    /// Steps of all of them.
    pub steps: u64,
}

/// How simple a schedule is: less is simpler, the first that differs decides.
///
/// Its *tangle* goes from the first step of a process that is interrupted to the last of one. What runs at a stretch before or
/// after it does not make a schedule harder to read, however long it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Measure {
    /// How often the schedule goes from one process to another.
    pub switches: usize,
    /// The steps of its tangle.
    pub steps: usize,
    /// The processes that have a step in its tangle.
    pub processes: usize,
    /// All its steps.
    pub length: usize,
}

impl Measure {
    /// That of an execution.
    #[must_use]
    pub fn of(execution: &Execution) -> Self {
        let runs = outline(processes(execution));
        let tangle = tangle(&runs);
        Self {
            switches: runs.len().saturating_sub(1),
            steps: steps(&runs, &tangle),
            processes: among(&runs[tangle]).len(),
            length: execution.schedule.len(),
        }
    }
}

/// The runs from the first of a process that is interrupted to the last of one.
fn tangle(runs: &[Run]) -> Range<usize> {
    let times = |run: &Run| runs.iter().filter(|other| other.process == run.process).count();
    let first = runs.iter().position(|run| times(run) > 1);
    let last = runs.iter().rposition(|run| times(run) > 1);
    first.zip(last).map_or(0..0, |(first, last)| first..last + 1)
}

/// The steps of the runs of a tangle.
fn steps(runs: &[Run], tangle: &Range<usize>) -> usize {
    let before = |at: usize| {
        let earlier = runs[..at].iter().rfind(|earlier| earlier.process == runs[at].process);
        earlier.map_or(0, |earlier| earlier.until)
    };
    tangle.clone().map(|at| runs[at].until - before(at)).sum()
}

/// The processes of some runs.
fn among(runs: &[Run]) -> Vec<ProcessId> {
    let all: BTreeSet<ProcessId> = runs.iter().map(|run| run.process).collect();
    all.into_iter().collect()
}

/// A fault to plant, so that the tests can be seen to find it. Not part of the interface.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShrinkFault {
    /// What is simpler is taken, whatever it shows.
    Untried,
    /// The first pair of operations is taken, whatever becomes of it.
    AnyPair,
    /// A process that is not needed stays where it is.
    ProcessesStay,
    /// Steps that commute stay where they are, and runs are not joined.
    RunsStay,
}

/// Makes a schedule simpler by trial: fewer context switches first, then fewer steps, then fewer processes: see
/// [`Measure`].
///
/// What it tries, again and again until nothing helps or the budget is used up:
/// 1. another order of the same trace class, which needs no luck (`straightened`): of a random walk most switches go so;
/// 2. to run some processes only when all others are over, or before them: half of them, a quarter, … one (as in Andreas Zeller and
///    Ralf Hildebrandt, *Simplifying and Isolating Failure-Inducing Input*, IEEE TSE 28, 2002). A process that is not needed is not
///    left out: what the serial orders leave, which all is held against, is of all processes. It runs at a stretch instead;
/// 3. to leave out runs, whose steps then come later, and to let a run go on to where its process stops next time;
/// 4. to end a run before its last looks, which are then repeated for nothing less often.
///
/// A candidate is kept if it shows the same and is simpler. It is only ever judged by running it.
#[derive(Debug)]
pub struct Shrinker<'t, T> {
    trial: &'t mut T,
    /// How many steps an execution may have.
    most_steps: usize,
    left: Budget,
    best: Execution,
    tried: BTreeSet<Vec<Run>>,
    suspects: Suspects<'t>,
    fault: Option<ShrinkFault>,
}

impl<'t, T: Trial> Shrinker<'t, T> {
    /// Begins with an execution that shows what is to be kept.
    #[must_use]
    pub fn new(trial: &'t mut T, execution: Execution, most_steps: usize, budget: Budget) -> Self {
        Self {
            trial,
            most_steps,
            left: budget,
            best: execution,
            tried: BTreeSet::new(),
            suspects: Suspects::default(),
            fault: None,
        }
    }

    /// With what is known to have had a part in it: that is tried first.
    #[must_use]
    pub fn suspecting(mut self, suspects: Suspects<'t>) -> Self {
        self.suspects = suspects;
        self
    }

    /// With a fault.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(mut self, fault: ShrinkFault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// What is left of the budget.
    #[must_use]
    pub fn left(&self) -> Budget {
        self.left
    }

    /// The simplest execution found.
    ///
    /// # Errors
    /// Those of the trials.
    pub fn shrink(&mut self) -> Result<Execution, T::Error> {
        loop {
            let before = Measure::of(&self.best);
            if self.fault != Some(ShrinkFault::RunsStay) {
                let straight = straightened(&self.best.trace);
                self.attempt(&straight)?;
            }
            if self.fault != Some(ShrinkFault::ProcessesStay) {
                self.set_processes_apart()?;
            }
            if self.fault != Some(ShrinkFault::RunsStay) {
                self.join_runs()?;
            }
            self.leave_looks_out()?;
            if Measure::of(&self.best) == before {
                return Ok(self.best.clone());
            }
        }
    }

    /// The processes of the tangle.
    fn tangled(&self) -> Vec<ProcessId> {
        let runs = self.runs();
        among(&runs[tangle(&runs)])
    }

    fn runs(&self) -> Vec<Run> {
        outline(processes(&self.best))
    }

    /// Runs a candidate, unless it was tried or the budget is used up. The execution, and what it shows.
    fn try_out(&mut self, runs: &[Run]) -> Result<Option<(Execution, Shows)>, T::Error> {
        let Budget { executions, steps } = self.left;
        if executions == 0 || steps < self.best.schedule.len() as u64 {
            return Ok(None);
        }
        let (execution, shows) = self.trial.run(&mut Following::new(runs, self.most_steps))?;
        let steps = steps.saturating_sub(execution.schedule.len() as u64);
        self.left = Budget { executions: executions - 1, steps };
        Ok(Some((execution, shows)))
    }

    /// Keeps a candidate if it is simpler and shows the same.
    fn attempt(&mut self, runs: &[Run]) -> Result<bool, T::Error> {
        let runs = tidy(runs);
        if runs == self.runs() || !self.tried.insert(runs.clone()) {
            return Ok(false);
        }
        let Some((execution, shows)) = self.try_out(&runs)? else { return Ok(false) };
        let shows = if self.fault == Some(ShrinkFault::Untried) { Shows::Same } else { shows };
        let simpler = shows == Shows::Same && Measure::of(&execution) < Measure::of(&self.best);
        let better = simpler && self.trial.confirms(&execution)?;
        if better {
            self.best = execution;
        }
        Ok(better)
    }

    /// Lets processes that need not be interrupted run after all others, or before them: first all that are not suspect.
    fn set_processes_apart(&mut self) -> Result<(), T::Error> {
        let suspects = self.suspects.processes;
        if !suspects.is_empty() {
            let others: Vec<ProcessId> =
                self.tangled().into_iter().filter(|process| !suspects.contains(process)).collect();
            self.set_apart(&others)?;
        }
        let mut size = self.tangled().len() / 2;
        while size > 0 {
            let all = self.tangled();
            // Of two the one is needed as much as the other.
            if all.len() <= 2 {
                return Ok(());
            }
            for some in all.chunks(size) {
                self.set_apart(some)?;
            }
            size /= 2;
        }
        Ok(())
    }

    fn set_apart(&mut self, some: &[ProcessId]) -> Result<(), T::Error> {
        let rest: Vec<Run> = self.runs().into_iter().filter(|run| !some.contains(&run.process)).collect();
        let whole = some.iter().map(|&process| Run { process, until: usize::MAX });
        let before: Vec<Run> = whole.chain(rest.iter().copied()).collect();
        let _ = self.attempt(&rest)? || self.attempt(&before)?;
        Ok(())
    }

    /// Leaves out runs of the tangle, and lets them go on.
    fn join_runs(&mut self) -> Result<(), T::Error> {
        let mut size = tangle(&self.runs()).len() / 2;
        while size > 0 {
            let mut at = tangle(&self.runs()).start;
            while at < tangle(&self.runs()).end {
                let runs = self.runs();
                let mut without = runs.clone();
                without.drain(at..tangle(&runs).end.min(at + size));
                let better = self.attempt(&without)? || (size == 1 && self.let_go_on(&runs, at)?);
                at += if better { 0 } else { size };
            }
            size /= 2;
        }
        Ok(())
    }

    /// Lets a run go on to where the next one of its process ends.
    fn let_go_on(&mut self, runs: &[Run], at: usize) -> Result<bool, T::Error> {
        let next = runs[at + 1..].iter().find(|run| run.process == runs[at].process);
        let Some(next) = next else { return Ok(false) };
        let mut longer = runs.to_vec();
        longer[at].until = next.until;
        self.attempt(&longer)
    }

    /// Ends runs before their last looks.
    fn leave_looks_out(&mut self) -> Result<(), T::Error> {
        for at in tangle(&self.runs()) {
            let mut runs = self.runs();
            let Some(run) = runs.get_mut(at) else { return Ok(()) };
            let own = self.best.trace.iter().filter(|event| event.process == run.process);
            let own: Vec<&Event> = own.take(run.until).collect();
            let looks = |event: &&&Event| event.operation.accesses.iter().all(Access::only_looks);
            run.until -= own.iter().rev().take_while(looks).count();
            self.attempt(&runs)?;
        }
        Ok(())
    }
}

/// Of each step the process.
fn processes(execution: &Execution) -> impl Iterator<Item = ProcessId> + '_ {
    execution.schedule.iter().map(|Choice::Process(process)| *process)
}
