//! The strategies that draw: `walk.rs` is a random walk, `pct.rs` probabilistic concurrency testing, `pos.rs` partial order
//! sampling. They share what is in here: the numbers, the restriction to operations that conflict, patience.

mod pct;
mod pos;
mod walk;

use std::collections::BTreeSet;

pub use self::pct::Pct;
pub use self::pos::Pos;
pub use self::walk::RandomWalk;
use super::SplitMix64;
use super::points::Points;
use crate::model::{Access, AccessKind, ProcessId, View};

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

/// After so many steps that change nothing and look at nothing new, whoever they are of, somebody waits for what another is to do.
const PATIENCE: usize = 64;

/// What the strategies that draw have in common.
#[derive(Clone, Debug)]
struct Chance {
    seed: u64,
    random: SplitMix64,
    /// How many executions there are still to be.
    left: u64,
    points: Points,
    /// What was looked at in this execution since something was changed, and the steps since something new happened.
    looked: BTreeSet<(ProcessId, Access)>,
    idle: usize,
    fault: Option<ChanceFault>,
}

impl Chance {
    fn new(seed: u64, executions: u64, fault: Option<ChanceFault>) -> Self {
        Self {
            seed,
            random: SplitMix64::new(seed),
            left: executions,
            points: Points::default(),
            looked: BTreeSet::new(),
            idle: 0,
            fault,
        }
    }

    /// Begins an execution, if there is to be another.
    fn begin(&mut self) -> bool {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        self.looked.clear();
        self.idle = 0;
        more
    }

    /// Takes note of a step, and gives the process to run without a choice: one whose operation conflicts with none seen of
    /// another. It goes with the step before it, so that a choice is among processes that are held where it matters.
    fn without_choice(&mut self, view: View<'_>) -> Option<ProcessId> {
        self.points.learn(view);
        self.note(view);
        if self.is_idle() {
            return None;
        }
        view.enabled().find(|process| {
            let held = view.processes[process.0].operation();
            held.is_some_and(|operation| !self.matters(*process, operation))
        })
    }

    fn matters(&self, process: ProcessId, operation: &crate::model::Operation) -> bool {
        match self.fault {
            Some(ChanceFault::EverythingMatters) => true,
            Some(ChanceFault::LooksDoNotMatter) => {
                let changes = operation.accesses.iter().any(|access| access.kind != AccessKind::Read);
                changes && self.points.is_point(process, operation)
            }
            _ => self.points.is_point(process, operation),
        }
    }

    fn note(&mut self, view: View<'_>) {
        let Some(event) = view.trace.last() else { return };
        let accesses = &event.operation.accesses;
        if accesses.iter().any(|access| access.kind != AccessKind::Read) {
            self.looked.clear();
            self.idle = 0;
            return;
        }
        let mut news = false;
        for access in accesses {
            news |= self.looked.insert((event.process, access.clone()));
        }
        self.idle = if news { 0 } else { self.idle + 1 };
    }

    /// Whether nothing new has happened for long: then nobody is run without a choice, and whoever went on last gives way.
    fn is_idle(&self) -> bool {
        self.idle >= PATIENCE && self.fault != Some(ChanceFault::NoPatience)
    }
}
