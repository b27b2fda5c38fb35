//! The strategies that draw: `walk.rs` is a random walk, `pct.rs` probabilistic concurrency testing, `pos.rs` partial order
//! sampling. They share what is in here: the numbers, the restriction to operations that conflict, patience.

mod pct;
mod pos;
mod walk;

pub use self::pct::Pct;
pub use self::pos::Pos;
pub use self::walk::RandomWalk;
use super::SplitMix64;
use super::patience::Patience;
use super::points::Points;
use crate::model::{AccessKind, Operation, ProcessId, View};

/// How many executions are looked ahead.
const FAR: u64 = 64;

/// A fault to plant in a strategy that draws, so that the tests can be seen to find it. Not part of the interface.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChanceFault {
    /// Every operation is a scheduling point.
    EverythingMatters,
    /// Only changes are scheduling points, not looks.
    LooksDoNotMatter,
    /// PCT: priorities stay as they were drawn at first.
    NoChangePoints,
    /// POS: what races with an operation that was done keeps its priority.
    NoNewPriority,
    /// A process that looks and looks goes on for ever.
    NoPatience,
}

/// What the strategies that draw have in common.
#[derive(Clone, Debug)]
struct Chance {
    seed: u64,
    /// Drawn from anew for each execution: which it is decides on its numbers, not what those before it drew.
    random: SplitMix64,
    /// How many executions were begun.
    begun: u64,
    /// How many there are to be.
    executions: u64,
    points: Points,
    patience: Patience,
    fault: Option<ChanceFault>,
}

impl Chance {
    fn new(seed: u64, executions: u64, fault: Option<ChanceFault>) -> Self {
        Self {
            seed,
            random: SplitMix64::new(seed),
            begun: 0,
            executions,
            points: Points::default(),
            patience: Patience::default(),
            fault,
        }
    }

    /// Begins an execution, if there is to be another.
    fn begin(&mut self) -> bool {
        self.patience.begin();
        if self.begun == self.executions {
            return false;
        }
        // One mixed into the other, in this order: number 3 of seed 5 is not number 5 of seed 3.
        let of_seed = SplitMix64::new(self.seed).next_u64();
        self.random = SplitMix64::new(SplitMix64::new(of_seed ^ self.begun).next_u64());
        self.begun += 1;
        true
    }

    /// The name of the execution that it has begun: its number.
    fn name(&self) -> Vec<usize> {
        vec![usize::try_from(self.begun).unwrap_or(usize::MAX)]
    }

    /// As it is before one of the next executions, the first that is wanted, with what is known now; for that execution alone.
    fn ahead(&self, wanted: &mut dyn FnMut(&[usize]) -> bool) -> Option<Self> {
        let last = self.executions.min(self.begun.saturating_add(FAR));
        let number = (self.begun..last)
            .find(|begun| usize::try_from(*begun).is_ok_and(|begun| wanted(&[begun.saturating_add(1)])))?;
        Some(Self { begun: number, executions: number + 1, ..self.clone() })
    }

    /// Takes note of a step, and gives the process to run without a choice: one whose operation conflicts with none seen of
    /// another. It goes with the step before it, so that a choice is among processes that are held where it matters.
    fn without_choice(&mut self, view: View<'_>) -> Option<ProcessId> {
        self.points.learn(view);
        self.patience.note(view.trace);
        view.enabled().find(|process| {
            let held = view.processes[process.0].operation();
            held.is_some_and(|operation| !self.matters(*process, operation)) && !self.gives_way(*process)
        })
    }

    fn matters(&self, process: ProcessId, operation: &Operation) -> bool {
        let is_point = self.points.is_point(process, &operation.accesses);
        match self.fault {
            Some(ChanceFault::EverythingMatters) => true,
            Some(ChanceFault::LooksDoNotMatter) => {
                is_point && operation.accesses.iter().any(|access| access.kind != AccessKind::Read)
            }
            _ => is_point,
        }
    }

    /// Whether a process looks in vain, so that it should not be preferred to others.
    fn gives_way(&self, process: ProcessId) -> bool {
        self.patience.is_spent(process) && self.fault != Some(ChanceFault::NoPatience)
    }

    /// The process that went on last, if it should give way.
    fn last_in_vain(&self, view: View<'_>) -> Option<ProcessId> {
        view.trace.last().map(|event| event.process).filter(|last| self.gives_way(*last))
    }
}
