//! The strategies that draw: the same for the same seed, nothing but what there is, everything that there is, and as often as they
//! say; and their faults.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use cooks_harness::explore::{ChanceFault, Counts, Dfs, Pct, Pos, RandomWalk, Strategy, explore};
use cooks_harness::model::{Choice, Outcome};
use cooks_harness::simulated::{Initial, Simulation, jump_if, load, reg, store};

use crate::compare::see;
use crate::programs::{Theme, simulation};

type Make = fn(u64, u64, Option<ChanceFault>) -> Box<dyn Strategy>;

const STRATEGIES: [(&str, Make); 3] = [
    ("random", |seed, executions, fault| match fault {
        Some(fault) => Box::new(RandomWalk::with_fault(seed, executions, fault)),
        None => Box::new(RandomWalk::new(seed, executions)),
    }),
    ("pct", |seed, executions, fault| match fault {
        Some(fault) => Box::new(Pct::with_fault(seed, executions, 4, fault)),
        None => Box::new(Pct::new(seed, executions, 4)),
    }),
    ("pos", |seed, executions, fault| match fault {
        Some(fault) => Box::new(Pos::with_fault(seed, executions, fault)),
        None => Box::new(Pos::new(seed, executions)),
    }),
];

/// The schedules and outcomes of a search.
fn run(strategy: &mut dyn Strategy, backend: &mut Simulation) -> (Counts, Vec<(Vec<Choice>, Outcome)>) {
    let mut seen = Vec::new();
    let explored = explore(strategy, backend, 200, &mut |execution| {
        seen.push((execution.schedule.clone(), execution.outcome.clone()));
        ControlFlow::Continue(())
    });
    let explored = explored.expect("strategies choose enabled processes");
    assert!(!explored.exhaustive);
    (explored.counts, seen)
}

#[test]
fn the_same_seed_gives_the_same_executions_and_nothing_that_cannot_be() {
    for theme in [Theme::Mixed, Theme::Locks] {
        for seed in 0..20 {
            let all = see(&mut Dfs::new(), &mut simulation(seed, theme)).expect("a simulation runs");
            for (name, make) in STRATEGIES {
                let once = || run(make(seed, 50, None).as_mut(), &mut simulation(seed, theme));
                let first = once();
                assert_eq!(first, once(), "{name}, {theme:?}, seed {seed}");
                assert_eq!(first.0.executions, 50, "{name}, {theme:?}, seed {seed}");
                let known = first.1.iter().all(|(_, outcome)| all.outcomes.contains(outcome));
                assert!(known, "{name}, {theme:?}, seed {seed}");
            }
        }
    }
}

/// The programs of few classes: how many outcomes of theirs the strategy does not come to.
fn missed(make: Make, fault: Option<ChanceFault>) -> usize {
    let mut missed = 0;
    for theme in [Theme::Data, Theme::Locks, Theme::Names, Theme::Mixed] {
        for seed in 0..60 {
            let all = see(&mut Dfs::new(), &mut simulation(seed, theme)).expect("a simulation runs");
            if all.classes.len() > 6 {
                continue;
            }
            let found = see(make(seed, 400, fault).as_mut(), &mut simulation(seed, theme));
            let found = found.expect("a simulation runs");
            missed += all.outcomes.difference(&found.outcomes).count();
        }
    }
    missed
}

#[test]
fn every_outcome_is_found_where_there_are_few() {
    for (name, make) in STRATEGIES {
        assert_eq!(missed(make, None), 0, "{name}");
        assert!(missed(make, Some(ChanceFault::LooksDoNotMatter)) > 0, "{name}: the fault is not found");
    }
}

/// A writes x three times, B reads it once: how often it reads each value, in 4,000 executions.
fn values_read(strategy: &mut dyn Strategy) -> Vec<usize> {
    let writer = (1..=3).map(|value| store(1, value)).collect();
    let (_, seen) = run(strategy, &mut Simulation::new(Initial::files(1), vec![writer, vec![load(1, 0)]]));
    let mut counts: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for (_, outcome) in seen {
        *counts.entry(outcome.stdout[1].clone()).or_default() += 1;
    }
    counts.into_values().collect()
}

/// Each write races with the read anew: 1/2, 1/4, 1/8 and 1/8. Within four standard deviations.
#[test]
fn partial_order_sampling_decides_each_race_anew() {
    let fits = |values: &[usize]| {
        let expected = [(2_000, 126), (1_000, 109), (500, 83), (500, 83)];
        let close = |(&found, (mean, far)): (&usize, (usize, usize))| found.abs_diff(mean) <= far;
        values.len() == 4 && values.iter().zip(expected).all(close)
    };
    let values = values_read(&mut Pos::new(2_018, 4_000));
    assert!(fits(&values), "{values:?}");
    let values = values_read(&mut Pos::with_fault(2_018, 4_000, ChanceFault::NoNewPriority));
    assert!(!fits(&values), "the fault is not found: {values:?}");
}

/// A polls for what B is to do. No execution goes on for ever because of whom it prefers.
#[test]
fn who_polls_gives_way() {
    let program = || {
        let poll = vec![load(1, 0), jump_if(reg(0), 0, 0)];
        Simulation::new(Initial::files(1), vec![poll, vec![store(1, 1)]])
    };
    for (name, make) in STRATEGIES {
        for seed in 0..50 {
            let (counts, _) = run(make(seed, 20, None).as_mut(), &mut program());
            assert_eq!((counts.complete, counts.overlong), (20, 0), "{name}, seed {seed}");
        }
    }
    let overlong =
        |seed| run(&mut Pct::with_fault(seed, 20, 3, ChanceFault::NoPatience), &mut program()).0.overlong;
    assert!((0..10).map(overlong).sum::<u64>() > 0, "the fault is not found");
}

/// Of 16 who write a variable, then read and write another one, two read the same in the first execution: not by priorities alone, by change points
/// in more than a third of the seeds.
#[test]
fn pct_that_was_shown_an_execution_has_change_points_from_the_first_on() {
    let program = || {
        let saves = (1..=16).map(|value| vec![store(2, value), load(1, 0), store(1, value)]).collect();
        Simulation::new(Initial::files(2), saves)
    };
    let mut serial = None;
    let shown = explore(&mut Pct::new(0, 1, 1), &mut program(), 200, &mut |execution| {
        serial = Some(execution.clone());
        ControlFlow::Break(())
    });
    assert_eq!(shown.expect("a simulation runs").counts.executions, 1);
    let serial = serial.expect("an execution");
    assert_eq!(Pct::new(0, 1, 3).after(&serial).most_steps(), 48);
    let overlaps = |strategy: &mut dyn Strategy| {
        let (_, seen) = run(strategy, &mut program());
        let read: BTreeSet<_> = seen[0].1.stdout.iter().collect();
        read.len() < 16
    };
    let found = |make: &dyn Fn(u64) -> Pct| (0..300).filter(|seed| overlaps(&mut make(*seed))).count();
    assert_eq!(found(&|seed| Pct::new(seed, 1, 3)), 0);
    let found = found(&|seed| Pct::new(seed, 1, 3).after(&serial));
    assert!(found > 100, "{found}");
}

/// What is guaranteed is told with the numbers that it was reckoned with.
#[test]
fn pct_tells_its_guarantee() {
    let writers = (0..3).map(|value| vec![store(1, value); 4]).collect();
    let mut pct = Pct::new(7, 10, 3);
    run(&mut pct, &mut Simulation::new(Initial::files(1), writers));
    assert_eq!(pct.most_steps(), 12);
    let told = "each shows a given bug of depth 3 with a chance of at least 1 in 432 (3 processes, 12 steps that matter)";
    assert_eq!(pct.covered(3).as_deref(), Some(told));
    assert_eq!((RandomWalk::new(7, 1).covered(3), Pos::new(7, 1).covered(3)), (None, None));
}
