use super::{Chance, ChanceFault};
use crate::explore::Strategy;
use crate::model::{Choice, Cut, Execution, Operation, ProcessId, View};

/// Partial order sampling: Xinhao Yuan, Junfeng Yang and Ronghui Gu, *Partial Order Aware Concurrency Sampling* (CAV 2018).
///
/// What a process is held at has a priority, drawn evenly when the process comes there. The highest runs; then those that conflict
/// with what it did draw anew: they were behind in a race that is now decided, and nothing follows from it for the next. Those
/// that do not conflict keep theirs, so that what commutes does not thin out the orders of what does not.
///
/// Only operations that conflict with one seen so far of another process have a priority; the others are run with the step before
/// them. No parameter, no estimate of the length.
///
/// **Guarantee.** Each execution shows a given trace class with a probability of at least `1/n^k`, of `n` processes with `k` steps
/// that matter, once these are known: the bound of a random walk, which the paper betters by a factor that grows exponentially
/// with the number of steps that do not all race with each other.
#[derive(Clone, Debug)]
pub struct Pos {
    chance: Chance,
    /// The priority of what each process is held at; drawn when it is needed.
    priorities: Vec<Option<u64>>,
}

impl Pos {
    /// So many executions, drawn from this seed.
    #[must_use]
    pub fn new(seed: u64, executions: u64) -> Self {
        Self { chance: Chance::new(seed, executions, None), priorities: Vec::new() }
    }

    /// One with a fault.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(seed: u64, executions: u64, fault: ChanceFault) -> Self {
        Self { chance: Chance::new(seed, executions, Some(fault)), priorities: Vec::new() }
    }

    /// The priority of what an enabled process is held at.
    fn priority(&mut self, process: ProcessId) -> u64 {
        let random = &mut self.chance.random;
        *self.priorities[process.0].get_or_insert_with(|| random.next_u64())
    }

    /// Forgets the priorities of what is done, and of what races with it.
    fn done(&mut self, process: ProcessId, operation: &Operation, view: View<'_>) {
        self.priorities[process.0] = None;
        if self.chance.fault == Some(ChanceFault::NoNewPriority) {
            return;
        }
        for (other, (priority, status)) in self.priorities.iter_mut().zip(view.processes).enumerate() {
            if status.operation().is_some_and(|held| held.disturbs(ProcessId(other), operation, process)) {
                *priority = None;
            }
        }
    }
}

impl Strategy for Pos {
    fn begin(&mut self) -> bool {
        self.priorities.clear();
        self.chance.begin()
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        self.priorities.resize(view.processes.len(), None);
        if let Some(process) = self.chance.without_choice(view) {
            self.priorities[process.0] = None;
            return Ok(Choice::Process(process));
        }
        if let Some(last) = self.chance.last_in_vain(view) {
            self.priorities[last.0] = Some(0);
        }
        let enabled: Vec<ProcessId> = view.enabled().collect();
        let drawn: Vec<(u64, ProcessId)> =
            enabled.into_iter().map(|process| (self.priority(process), process)).collect();
        let process = drawn.into_iter().max().ok_or(Cut::Steps)?.1;
        if let Some(operation) = view.processes[process.0].operation() {
            self.done(process, operation, view);
        }
        Ok(Choice::Process(process))
    }

    fn end(&mut self, execution: &Execution) {
        self.chance.points.learn_end(execution);
    }

    fn name(&self) -> Vec<usize> {
        self.chance.name()
    }

    fn ahead(&self, wanted: &mut dyn FnMut(&[usize]) -> bool) -> Option<Box<dyn Strategy + Send>> {
        Some(Box::new(Self { chance: self.chance.ahead(wanted)?, ..self.clone() }))
    }

    fn is_exhaustive(&self) -> bool {
        false
    }
}
