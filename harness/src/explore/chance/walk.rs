use super::{Chance, ChanceFault};
use crate::explore::Strategy;
use crate::model::{Choice, Cut, Execution, ProcessId, View};

/// A random walk: at each scheduling point any of the enabled processes, each as likely as the others.
///
/// An operation that conflicts with none seen so far of another process is no scheduling point: it is run with the step before it.
///
/// **Guarantee.** Of `n` processes, each schedule with `k` scheduling points has, once these are known, a probability of at least
/// `1/n^k`; so has each trace class. It is not uniform over schedules or classes, and a process that must get far ahead of the
/// others before something goes wrong gets there rarely: use [`Pct`](super::Pct) for that. Nothing is known at first: the
/// executions up to the last in which something new was touched have no guarantee.
#[derive(Clone, Debug)]
pub struct RandomWalk {
    chance: Chance,
}

impl RandomWalk {
    /// So many executions, drawn from this seed.
    #[must_use]
    pub fn new(seed: u64, executions: u64) -> Self {
        Self { chance: Chance::new(seed, executions, None) }
    }

    /// One with a fault.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(seed: u64, executions: u64, fault: ChanceFault) -> Self {
        Self { chance: Chance::new(seed, executions, Some(fault)) }
    }

    /// The seed, for the report.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.chance.seed
    }
}

impl Strategy for RandomWalk {
    fn begin(&mut self) -> bool {
        self.chance.begin()
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        if let Some(process) = self.chance.without_choice(view) {
            return Ok(Choice::Process(process));
        }
        let enabled: Vec<ProcessId> = view.enabled().collect();
        Ok(Choice::Process(enabled[self.chance.random.below(enabled.len())]))
    }

    fn end(&mut self, execution: &Execution) {
        self.chance.points.learn_end(execution);
    }

    fn name(&self) -> Vec<usize> {
        self.chance.name()
    }

    fn ahead(&self, wanted: &mut dyn FnMut(&[usize]) -> bool) -> Option<Box<dyn Strategy + Send>> {
        Some(Box::new(Self { chance: self.chance.ahead(wanted)? }))
    }

    fn is_exhaustive(&self) -> bool {
        false
    }
}
