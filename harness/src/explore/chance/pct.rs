use super::{Chance, ChanceFault};
use crate::explore::Strategy;
use crate::model::{Choice, Cut, Execution, ProcessId, View};

/// Probabilistic concurrency testing: Sebastian Burckhardt, Pravesh Kothari, Madanlal Musuvathi and Santosh Nagarakatte, *A
/// Randomized Scheduler with Probabilistic Guarantees of Finding Bugs* (ASPLOS 2010).
///
/// Each execution draws an order of priority of the processes, and `depth - 1` *change points* among the steps. The enabled
/// process of the highest priority runs; when it has done the step of the i-th change point, its priority becomes `i`, below all
/// that were drawn at first. So few things are drawn, and most executions have few context switches.
///
/// Steps count only where it matters: an operation that conflicts with none seen so far of another process is no step here, it is
/// run with the step before it. `k`, the number of steps, is the largest of the executions before; in the first one there are no
/// change points, unless it was shown [another one](Pct::after).
///
/// **Guarantee.** A bug has depth `d` if some `d` orderings of two steps are enough for it to show. Each execution shows a given
/// bug of depth `depth` or less with a probability of at least `1/(n·k^(depth-1))`, of `n` processes: once no execution is longer
/// and nothing new is touched.
///
/// Priorities alone would let a process that polls for what another is to do go on for ever. Who has looked in
/// vain for long gets the lowest priority of all.
#[derive(Clone, Debug)]
pub struct Pct {
    chance: Chance,
    depth: u32,
    /// The priority of each process in this execution; drawn when it is first seen.
    priorities: Vec<i64>,
    /// The steps after which the priority of their process changes: the i-th to `i`.
    changes: Vec<u64>,
    /// The steps of this execution so far.
    steps: u64,
    /// Of the longest execution so far.
    most_steps: u64,
    /// Below all priorities given so far.
    lowest: i64,
}

impl Pct {
    /// The depth where none is asked for: of the bugs of real programs most are of depth 1 or 2, says the paper.
    pub const DEPTH: u32 = 3;

    /// So many executions, drawn from this seed, for bugs up to this depth.
    #[must_use]
    pub fn new(seed: u64, executions: u64, depth: u32) -> Self {
        Self {
            chance: Chance::new(seed, executions, None),
            depth,
            priorities: Vec::new(),
            changes: Vec::new(),
            steps: 0,
            most_steps: 0,
            lowest: 0,
        }
    }

    /// The same behind an execution that was run otherwise, as one in which the processes run one after another: what they touch, and
    /// how long it is.
    #[must_use]
    pub fn after(mut self, seen: &Execution) -> Self {
        let points = &mut self.chance.points;
        points.learn_all(seen);
        let steps =
            seen.trace.iter().filter(|event| points.is_point(event.process, &event.operation.accesses));
        self.most_steps = steps.count() as u64;
        self
    }

    /// One with a fault.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(seed: u64, executions: u64, depth: u32, fault: ChanceFault) -> Self {
        Self { chance: Chance::new(seed, executions, Some(fault)), ..Self::new(seed, executions, depth) }
    }

    /// The number of steps at scheduling points in the longest execution so far: the `k` of the guarantee.
    #[must_use]
    pub fn most_steps(&self) -> u64 {
        self.most_steps
    }

    /// The priorities of an execution: above those of the change points, in an order that is drawn.
    fn draw_priorities(&mut self, processes: usize) {
        self.priorities = (i64::from(self.depth)..).take(processes).collect();
        for at in (1..processes).rev() {
            self.priorities.swap(at, self.chance.random.below(at + 1));
        }
    }

    /// Counts a step of this process, and changes its priority if it is a change point.
    fn count(&mut self, process: ProcessId) {
        self.steps += 1;
        if let Some(change) = self.changes.iter().rposition(|step| *step == self.steps) {
            self.priorities[process.0] = i64::try_from(change).unwrap_or(i64::MAX);
        }
    }
}

impl Strategy for Pct {
    fn begin(&mut self) -> bool {
        if !self.chance.begin() {
            return false;
        }
        self.priorities.clear();
        self.changes.clear();
        (self.steps, self.lowest) = (0, 0);
        let most = usize::try_from(self.most_steps).unwrap_or(usize::MAX);
        if most > 0 && self.chance.fault != Some(ChanceFault::NoChangePoints) {
            let random = &mut self.chance.random;
            self.changes.extend((1..self.depth).map(|_| 1 + random.below(most) as u64));
        }
        true
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        if self.priorities.is_empty() {
            self.draw_priorities(view.processes.len());
        }
        if let Some(process) = self.chance.without_choice(view) {
            return Ok(Choice::Process(process));
        }
        if let Some(last) = self.chance.last_in_vain(view) {
            self.lowest -= 1;
            self.priorities[last.0] = self.lowest;
        }
        let highest = view.enabled().max_by_key(|process| self.priorities[process.0]);
        let process = highest.ok_or(Cut::Steps)?;
        self.count(process);
        Ok(Choice::Process(process))
    }

    fn end(&mut self, execution: &Execution) {
        self.chance.points.learn_end(execution);
        self.most_steps = self.most_steps.max(self.steps);
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

    fn covered(&self, processes: usize) -> Option<String> {
        let (depth, steps) = (self.depth, self.most_steps.max(1));
        let bound = (steps as f64).powi(i32::try_from(depth).unwrap_or(i32::MAX) - 1) * processes as f64;
        let what = format!("{processes} processes, {steps} steps that matter");
        let one_in = if bound < 1e15 { format!("{bound:.0}") } else { format!("{bound:.0e}") };
        Some(format!(
            "each shows a given bug of depth {depth} with a chance of at least 1 in {one_in} ({what})"
        ))
    }
}
