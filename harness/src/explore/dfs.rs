use super::Strategy;
use super::patience::Patience;
use crate::model::{Choice, Cut, Execution, ProcessId, View};

/// Every schedule, in lexicographic order: the reference that the other strategies are held against. With a bound: every schedule
/// with at most so many preemptions, as [`Bounded`](super::Bounded) counts them.
#[derive(Clone, Debug, Default)]
pub struct Dfs {
    stack: Vec<Level>,
    begun: bool,
    /// How many levels from the start are not to be gone back to.
    fixed: usize,
    most: Option<u32>,
    patience: Patience,
    /// Whether the bound has kept anything out.
    reached: bool,
}

/// A step of the present execution.
#[derive(Clone, Debug)]
struct Level {
    /// The processes that are still to be chosen here, the present one last.
    left: Vec<ProcessId>,
    /// The process that would be preempted here by another.
    going_on: Option<ProcessId>,
    /// The preemptions before this step.
    preemptions: u32,
}

impl Level {
    /// The preemptions, this step included, if it is of this process.
    fn with(&self, process: ProcessId) -> u32 {
        self.preemptions + u32::from(self.going_on.is_some_and(|going_on| going_on != process))
    }

    fn chosen(&self) -> Option<ProcessId> {
        self.left.last().copied()
    }
}

impl Dfs {
    /// An exploration from the start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One of the schedules with at most so many preemptions.
    #[must_use]
    pub fn bounded(preemptions: u32) -> Self {
        Self { most: Some(preemptions), ..Self::default() }
    }

    fn level(&mut self, view: View<'_>) -> Level {
        let preemptions =
            self.stack.last().map_or(0, |level| level.chosen().map_or(0, |chosen| level.with(chosen)));
        let mut level = Level { left: view.enabled().collect(), going_on: None, preemptions };
        if let Some(most) = self.most {
            self.patience.note(view.trace);
            let last = view.trace.last().map(|event| event.process);
            level.going_on =
                last.filter(|last| view.processes[last.0].is_enabled() && !self.patience.is_spent(*last));
            let all = level.left.clone();
            level.left = all.iter().copied().filter(|process| level.with(*process) <= most).collect();
            self.reached |= level.left.len() < all.len();
        }
        level.left.reverse();
        level
    }
}

impl Strategy for Dfs {
    fn begin(&mut self) -> bool {
        self.patience.begin();
        if !self.begun {
            self.begun = true;
            return true;
        }
        while self.stack.len() > self.fixed {
            let Some(level) = self.stack.last_mut() else { break };
            level.left.pop();
            if !level.left.is_empty() {
                return true;
            }
            self.stack.pop();
        }
        false
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let step = view.trace.len();
        if step == self.stack.len() {
            let level = self.level(view);
            self.stack.push(level);
        }
        let process = self.stack[step].chosen().expect("a step on the stack has a choice left");
        Ok(Choice::Process(process))
    }

    fn end(&mut self, _execution: &Execution) {}

    fn name(&self) -> Vec<usize> {
        self.stack.iter().filter_map(Level::chosen).map(|process| process.0).collect()
    }

    fn ahead(&self, wanted: &mut dyn FnMut(&[usize]) -> bool) -> Option<Box<dyn Strategy + Send>> {
        let mut name = self.name();
        for depth in (0..self.stack.len()).rev() {
            for (place, process) in self.stack[depth].left.iter().enumerate().rev().skip(1) {
                name.truncate(depth);
                name.push(process.0);
                if wanted(&name) {
                    let stack = self.stack[..=depth].to_vec();
                    let mut copy = Self { stack, begun: false, fixed: depth + 1, ..self.clone() };
                    copy.stack[depth].left.truncate(place + 1);
                    return Some(Box::new(copy));
                }
            }
        }
        None
    }

    fn is_exhaustive(&self) -> bool {
        !self.reached
    }

    fn covered(&self, _processes: usize) -> Option<String> {
        self.most.map(super::bounded::words)
    }
}
