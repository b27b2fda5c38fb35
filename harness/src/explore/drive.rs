use std::ops::ControlFlow;

use super::Strategy;
use crate::backend::{Backend, Chooser};
use crate::model::{Choice, Cut, Ending, Execution, View};

/// How many executions there were, by how they ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// All of them.
    pub executions: u64,
    /// Every process ran to its exit.
    pub complete: u64,
    /// Processes wait for each other.
    pub blocked: u64,
    /// Cut, because an equivalent one had been run.
    pub redundant: u64,
    /// Cut, because they had as many steps as one may have.
    pub overlong: u64,
    /// Ended in the midst of a step, behind which a process came to no further operation.
    pub endless: u64,
    /// They belong to another part of a search that was split, and are counted there.
    pub elsewhere: u64,
    /// The steps of all of them.
    pub steps: u64,
}

impl Counts {
    /// Adds those of another part of the same search.
    pub fn join(&mut self, other: &Self) {
        self.executions += other.executions;
        self.complete += other.complete;
        self.blocked += other.blocked;
        self.redundant += other.redundant;
        self.overlong += other.overlong;
        self.endless += other.endless;
        self.elsewhere += other.elsewhere;
        self.steps += other.steps;
    }

    /// Counts an execution.
    pub fn add(&mut self, execution: &Execution) {
        self.executions += 1;
        self.steps += execution.trace.len() as u64;
        *match &execution.ending {
            Ending::Complete => &mut self.complete,
            Ending::Blocked(_) => &mut self.blocked,
            Ending::Cut(Cut::Redundant) => &mut self.redundant,
            Ending::Cut(Cut::Steps) => &mut self.overlong,
            Ending::Cut(Cut::Elsewhere) => &mut self.elsewhere,
            Ending::Endless(_) => &mut self.endless,
        } += 1;
    }
}

/// What an exploration came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Exploration {
    /// How many executions there were.
    pub counts: Counts,
    /// Whether every interleaving is covered: the strategy is exhaustive, came to its end, and no execution was overlong.
    pub exhaustive: bool,
}

/// Runs executions until the strategy has no more of them or `seen`, which is shown each, breaks off.
///
/// An execution that reaches `max_steps` steps with a process still enabled is cut.
///
/// # Errors
/// Those of the backend.
pub fn explore<S: Strategy + ?Sized, B: Backend>(
    strategy: &mut S,
    backend: &mut B,
    max_steps: usize,
    seen: &mut dyn FnMut(&Execution) -> ControlFlow<()>,
) -> Result<Exploration, B::Error> {
    let mut counts = Counts::default();
    while strategy.begin() {
        let execution = run(strategy, backend, max_steps)?;
        counts.add(&execution);
        if seen(&execution).is_break() {
            return Ok(Exploration { counts, exhaustive: false });
        }
    }
    let exhaustive = strategy.is_exhaustive() && counts.overlong == 0 && counts.endless == 0;
    Ok(Exploration { counts, exhaustive })
}

/// Runs one execution of a strategy that has begun it, and tells it. One that it does not own is cut: it is counted
/// elsewhere.
///
/// # Errors
/// Those of the backend.
pub fn run<S: Strategy + ?Sized, B: Backend>(
    strategy: &mut S,
    backend: &mut B,
    max_steps: usize,
) -> Result<Execution, B::Error> {
    let detail = strategy.detail();
    let mut execution = backend.execute(&mut Steering { strategy, max_steps }, detail)?;
    strategy.end(&execution);
    if !strategy.owns(&execution) {
        execution.ending = Ending::Cut(Cut::Elsewhere);
    }
    Ok(execution)
}

/// Lets a strategy choose in one execution, up to a number of steps.
#[derive(Debug)]
pub struct Steering<'s, S: ?Sized> {
    /// Who chooses.
    pub strategy: &'s mut S,
    /// How many steps the execution may have.
    pub max_steps: usize,
}

impl<S: Strategy + ?Sized> Chooser for Steering<'_, S> {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        if view.trace.len() >= self.max_steps { Err(Cut::Steps) } else { self.strategy.choose(view) }
    }
}
