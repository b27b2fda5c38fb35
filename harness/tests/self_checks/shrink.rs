//! Schedules made simpler, held against the simplest there are; the pair of operations that an outcome hangs on; and planted faults.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use cooks_harness::backend::{Backend, Chooser, Detail};
use cooks_harness::explore::{
    Budget, Critical, Dfs, Measure, RandomWalk, Shows, ShrinkFault, Shrinker, Suspects, Trial, explore,
};
use cooks_harness::model::{AccessKind, Choice, Cut, Ending, Entry, Execution, Outcome, ProcessId, View};
use cooks_harness::simulated::{
    Error, Initial, Program, Simulation, jump_if, load, lock, reg, store, unlock,
};

use crate::programs::{Theme, simulation};

const BUDGET: Budget = Budget { executions: 200, steps: 200_000 };

/// An outcome that is wrong, as this says.
struct Wrong<'w> {
    simulation: Simulation,
    is_wrong: &'w dyn Fn(&Execution) -> bool,
    runs: u64,
}

impl<'w> Wrong<'w> {
    fn new(simulation: Simulation, is_wrong: &'w dyn Fn(&Execution) -> bool) -> Self {
        Self { simulation, is_wrong, runs: 0 }
    }

    /// The first execution of a random walk that is wrong.
    fn found(&mut self, seed: u64) -> Execution {
        let mut found = None;
        let mut walk = RandomWalk::new(seed, 1_000);
        let explored = explore(&mut walk, &mut self.simulation, 1_000, &mut |execution| {
            if !(self.is_wrong)(execution) {
                return ControlFlow::Continue(());
            }
            found = Some(execution.clone());
            ControlFlow::Break(())
        });
        assert!(explored.is_ok());
        found.expect("the walk finds it")
    }
}

impl Trial for Wrong<'_> {
    type Error = Error;

    fn run(&mut self, chooser: &mut dyn Chooser) -> Result<(Execution, Shows), Error> {
        self.runs += 1;
        let execution = self.simulation.execute(chooser, Detail::Evidence)?;
        let shows = if (self.is_wrong)(&execution) { Shows::Same } else { Shows::Nothing };
        Ok((execution, shows))
    }
}

/// Follows a schedule to the letter.
struct Exactly<'s>(&'s [Choice]);

impl Chooser for Exactly<'_> {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        self.0.get(view.trace.len()).copied().ok_or(Cut::Steps)
    }
}

fn shrunk(trial: &mut Wrong<'_>, from: Execution, fault: Option<ShrinkFault>) -> Execution {
    let mut shrinker = Shrinker::new(trial, from, 1_000, BUDGET);
    if let Some(fault) = fault {
        shrinker = shrinker.with_fault(fault);
    }
    shrinker.shrink().expect("a simulation runs")
}

/// Sixteen processes that count in one file, with work of their own before and after.
fn counters() -> Simulation {
    let counter = |number: i64| -> Program {
        let own = |value: i64| store(2 + number, value);
        vec![own(1), own(2), load(1, 0), own(3), store(1, reg(0) + 1), own(4), own(5), own(6)]
    };
    Simulation::new(Initial::files(17), (0..16).map(counter).collect())
}

fn counts_to_sixteen(execution: &Execution) -> bool {
    let Some(Entry::File { content, .. }) = execution.outcome.tree.get("#1") else { return false };
    content == b"16"
}

/// The fewest there can be: one of two is interrupted by the other, once; the others run at a stretch.
fn is_least(measure: Measure) -> bool {
    (measure.switches, measure.processes) == (16, 2) && measure.steps <= 16
}

#[test]
fn of_a_random_walk_among_sixteen_two_processes_are_left() {
    let lost = |execution: &Execution| execution.is_complete() && !counts_to_sixteen(execution);
    for seed in 0..20 {
        let mut trial = Wrong::new(counters(), &lost);
        let from = trial.found(seed);
        assert!(Measure::of(&from).switches > 25, "seed {seed}: {:?}", Measure::of(&from));
        let simple = shrunk(&mut trial, from.clone(), None);
        assert!(lost(&simple) && is_least(Measure::of(&simple)), "seed {seed}: {:?}", Measure::of(&simple));
        assert!(trial.runs <= 60, "seed {seed}: {} executions", trial.runs);
        let again = trial.run(&mut Exactly(&simple.schedule)).expect("a simulation runs").0;
        assert_eq!(again, simple, "seed {seed}: the schedule alone gives it again");
        let left = Measure::of(&shrunk(&mut trial, from.clone(), Some(ShrinkFault::RunsStay)));
        assert!(!is_least(left), "seed {seed}: the fault is not found: {left:?}");
        let untried = shrunk(&mut trial, from, Some(ShrinkFault::Untried));
        assert!(!lost(&untried), "seed {seed}: the fault is not found");
    }
}

/// C only has to come before A's second step: it goes before A and B, who interrupt each other.
#[test]
fn a_process_that_is_needed_before_goes_before() {
    let counter = vec![load(1, 0), load(2, 1), jump_if(reg(1), 0, 99), store(1, reg(0) + 1)];
    let other = vec![load(1, 0), store(1, reg(0) + 1)];
    let program = Simulation::new(Initial::files(2), vec![counter, other, vec![store(2, 1)]]);
    let lost = |execution: &Execution| {
        execution.outcome.stdout[0].starts_with(b"[0, 1,") && execution.outcome.stdout[1].starts_with(b"[0,")
    };
    let mut trial = Wrong::new(program, &lost);
    let schedule = [0, 1, 2, 1, 0, 0].map(|process| Choice::Process(ProcessId(process)));
    let from = trial.run(&mut Exactly(&schedule)).expect("a simulation runs").0;
    let mut least = |fault| Measure::of(&shrunk(&mut trial, from.clone(), fault));
    let found = Measure { switches: 3, steps: 5, processes: 2, length: 6 };
    assert_eq!(least(None), found);
    let left = least(Some(ShrinkFault::ProcessesStay));
    assert_eq!((left.switches, left.processes), (3, 3), "the fault is not found");
}

#[test]
fn what_an_update_is_lost_by_is_a_read_before_a_write() {
    let lost = |execution: &Execution| execution.is_complete() && !counts_to_sixteen(execution);
    let is_it = |execution: &Execution, found: &Critical| {
        let first = &execution.trace[found.first];
        let reads = first.operation.accesses.iter().all(|access| access.kind == AccessKind::Read);
        let path = |operation: &cooks_harness::model::Operation| operation.call.path.clone();
        reads
            && found.clean
            && first.process != found.process
            && (path(&first.operation), path(&found.operation)) == (Some("#1".into()), Some("#1".into()))
    };
    for seed in 0..20 {
        let mut trial = Wrong::new(counters(), &lost);
        let from = trial.found(seed);
        let simple = shrunk(&mut trial, from, None);
        let critical = |fault: Option<ShrinkFault>, trial: &mut Wrong<'_>| {
            let mut shrinker = Shrinker::new(trial, simple.clone(), 1_000, BUDGET);
            if let Some(fault) = fault {
                shrinker = shrinker.with_fault(fault);
            }
            shrinker.critical().expect("a simulation runs")
        };
        let found = critical(None, &mut trial);
        assert!(found.is_some_and(|found| is_it(&simple, &found)), "seed {seed}");
        let any = critical(Some(ShrinkFault::AnyPair), &mut trial).expect("the first pair");
        assert!(!is_it(&simple, &any), "seed {seed}: the fault is not found");
    }
}

/// A reads in two calls: no swap of neighbours keeps B from coming in between, that of the first read and the write does.
#[test]
fn a_pair_with_something_in_between_is_found() {
    let reader = vec![load(1, 0), load(1, 1), store(2, reg(0) + 1)];
    let program = Simulation::new(Initial::files(2), vec![reader, vec![store(1, 5)]]);
    let stale = |execution: &Execution| execution.outcome.stdout[0].starts_with(b"[0,");
    let mut trial = Wrong::new(program, &stale);
    let schedule = [0, 0, 1, 0].map(|process| Choice::Process(ProcessId(process)));
    let from = trial.run(&mut Exactly(&schedule)).expect("a simulation runs").0;
    let mut found = |steps: &[usize]| {
        let suspects = Suspects { steps, processes: &[] };
        let mut shrinker = Shrinker::new(&mut trial, from.clone(), 100, BUDGET).suspecting(suspects);
        let critical = shrinker.critical().expect("a simulation runs");
        critical.map(|found| (found.first, found.second, found.clean))
    };
    assert_eq!(found(&[]), None);
    assert_eq!(found(&[0]), Some((0, Some(2), true)));
}

/// Of two locks in opposite orders: who comes to wait, and the step that made it. Others are not in the way.
#[test]
fn a_deadlock_hangs_on_what_is_waited_for() {
    let takes =
        |first: i64, second: i64| vec![store(3, 1), lock(first), lock(second), unlock(second), unlock(first)];
    let bystander = || vec![store(3, 2), store(4, 1), store(3, 3)];
    let programs = vec![bystander(), takes(1, 2), bystander(), takes(2, 1), bystander()];
    let blocked = |execution: &Execution| matches!(execution.ending, Ending::Blocked(_));
    for seed in 0..20 {
        let mut trial = Wrong::new(Simulation::new(Initial::files(4), programs.clone()), &blocked);
        let from = trial.found(seed);
        let simple = shrunk(&mut trial, from, None);
        let measure = Measure::of(&simple);
        assert!(blocked(&simple) && measure.switches == 4, "seed {seed}: {measure:?}");
        let mut shrinker = Shrinker::new(&mut trial, simple.clone(), 1_000, BUDGET);
        let found = shrinker.critical().expect("a simulation runs").expect("a pair");
        let taken = simple.trace[found.first].operation.acquires.clone();
        assert!(
            taken.is_some()
                && taken.map(|taken| taken.lock) == found.operation.acquires.map(|waits| waits.lock)
        );
        assert_eq!((found.second, found.clean), (None, true), "seed {seed}");
    }
}

/// What all serial orders leave.
fn serial(simulation: &Simulation) -> BTreeSet<Outcome> {
    struct InOrder(Vec<ProcessId>);
    impl Chooser for InOrder {
        fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
            let next = self.0.iter().find(|process| view.processes[process.0].is_enabled());
            next.copied().map(Choice::Process).ok_or(Cut::Steps)
        }
    }
    let orders = cooks_harness::oracle::orders(simulation.processes());
    let run = |order: cooks_harness::oracle::Order| {
        simulation.clone().execute(&mut InOrder(order.processes), Detail::Search).map(|run| run.outcome)
    };
    orders.into_iter().map(|order| run(order).expect("a simulation runs")).collect()
}

/// How many switches more are left than the simplest wrong schedule has, over all programs; and how many programs there are.
fn excess(theme: Theme) -> (usize, usize) {
    let (mut excess, mut programs) = (0, 0);
    for seed in 0..300 {
        let mut program = simulation(seed, theme);
        let serial = serial(&program);
        let is_wrong =
            |execution: &Execution| execution.is_complete() && !serial.contains(&execution.outcome);
        let (mut least, mut worst): (usize, Option<Execution>) = (usize::MAX, None);
        let explored = explore(&mut Dfs::new(), &mut program, 200, &mut |execution| {
            if is_wrong(execution) {
                let switches = Measure::of(execution).switches;
                least = least.min(switches);
                if worst.as_ref().is_none_or(|worst| switches > Measure::of(worst).switches) {
                    worst = Some(execution.clone());
                }
            }
            ControlFlow::Continue(())
        });
        assert!(explored.is_ok());
        let Some(worst) = worst else { continue };
        let mut trial = Wrong::new(program, &is_wrong);
        let simple = shrunk(&mut trial, worst, None);
        assert!(is_wrong(&simple), "{theme:?}, seed {seed}");
        excess += Measure::of(&simple).switches - least;
        programs += 1;
    }
    (excess, programs)
}

#[test]
fn from_the_worst_schedule_to_the_simplest() {
    let found = [Theme::Data, Theme::Locks, Theme::Names, Theme::Mixed].map(excess);
    assert_eq!(found, [(0, 85), (0, 43), (0, 110), (0, 31)]);
}

#[test]
fn no_more_is_tried_than_allowed() {
    let lost = |execution: &Execution| execution.is_complete() && !counts_to_sixteen(execution);
    for (budget, most) in [((0, 1_000), 0), ((3, 1_000_000), 3), ((100, 400), 4)] {
        let mut trial = Wrong::new(counters(), &lost);
        let from = trial.found(1);
        let budget = Budget { executions: budget.0, steps: budget.1 };
        let mut shrinker = Shrinker::new(&mut trial, from, 1_000, budget);
        let simple = shrinker.shrink().expect("a simulation runs");
        assert!(lost(&simple) && shrinker.left().executions <= budget.executions);
        assert!(trial.runs <= most, "{} executions", trial.runs);
    }
}
