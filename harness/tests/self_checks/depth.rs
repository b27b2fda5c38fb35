//! A bug that needs three preemptions, one after another, among three processes with forty operations each: how often the
//! strategies that draw find it, against what they guarantee.

use std::ops::ControlFlow;

use cooks_harness::explore::{ChanceFault, Pct, Pos, RandomWalk, Strategy, explore};
use cooks_harness::model::Execution;
use cooks_harness::simulated::{Expr, Initial, Instruction, Program, Simulation, load, reg, store};

/// Each is a search of its own.
const SEEDS: u64 = 100;

/// Operations of each process.
const OPERATIONS: usize = 40;

/// A opens a window (`x` is 1) and looks into `z` before it closes it. B copies `x`, as it finds it first of all, into `y`, for a
/// window of its own; C does the same from `y` to `z`. A sees a 1 only if it is preempted in its window, then B in its, begun
/// after that, then C in its, begun after that, and A goes on before C's window closes.
fn program(noise: [i64; 3]) -> Simulation {
    let [x, y, z] = [1, 2, 3];
    let process = |number: usize, first: Instruction, opened: (i64, Expr), last: Instruction| {
        let mut program: Program = (0..OPERATIONS).map(|at| store(noise[number], at as i64)).collect();
        program[0] = first;
        program[19] = store(opened.0, opened.1);
        program[29] = last;
        program[30] = store(opened.0, 0);
        program
    };
    let a = process(0, store(noise[0], 0), (x, 1.into()), load(z, 0));
    let b = process(1, load(x, 0), (y, reg(0)), store(noise[1], 0));
    let c = process(2, load(y, 0), (z, reg(0)), store(noise[2], 0));
    Simulation::new(Initial::files(6), vec![a, b, c])
}

/// All but the windows is private: 8 operations of 120 conflict with anything.
fn narrow() -> Simulation {
    program([4, 5, 6])
}

/// Every operation conflicts with some of the others.
fn wide() -> Simulation {
    program([4, 4, 4])
}

fn shows(execution: &Execution) -> bool {
    execution.outcome.stdout[0].starts_with(b"[1,")
}

/// How many executions show the bug, of all seeds together.
fn found(simulation: fn() -> Simulation, strategy: &mut dyn FnMut(u64) -> Box<dyn Strategy>) -> u64 {
    let mut found = 0;
    for seed in 0..SEEDS {
        let explored = explore(strategy(seed).as_mut(), &mut simulation(), 1_000, &mut |execution| {
            found += u64::from(shows(execution));
            ControlFlow::Continue(())
        });
        assert!(explored.is_ok_and(|explored| !explored.exhaustive));
    }
    found
}

/// Held to the exact number, and to what is guaranteed: so many executions with at least this probability each.
fn held(name: &str, executions: u64, found: u64, exactly: u64, one_in: u64) {
    let guaranteed = SEEDS * executions / one_in;
    let of = SEEDS * executions;
    assert_eq!(
        found, exactly,
        "{name}: {found} of {of} executions; the guarantee of 1 in {one_in} is {guaranteed}"
    );
    assert!(
        found >= guaranteed,
        "{name}: {found} of {of} executions, fewer than the guaranteed {guaranteed}"
    );
}

/// Nine steps matter (A's look into `z` and its two changes of `x`, and so on), three change points are needed: depth 4.
#[test]
fn found_at_the_guaranteed_rate_where_few_operations_conflict() {
    let n = 3;
    let k: u64 = 9;
    let pct = found(narrow, &mut |seed| Box::new(Pct::new(seed, 300, 4)));
    held("pct", 300, pct, 26, n * k.pow(3));
    let pos = found(narrow, &mut |seed| Box::new(Pos::new(seed, 100)));
    held("pos", 100, pos, 106, 3_u64.pow(9));
    let walk = found(narrow, &mut |seed| Box::new(RandomWalk::new(seed, 100)));
    held("a random walk", 100, walk, 23, 3_u64.pow(9));
}

/// Here all 120 steps matter. By chance alone A never gets as far as its window before B has begun.
#[test]
fn found_at_the_guaranteed_rate_where_all_operations_conflict() {
    let pct = found(wide, &mut |seed| Box::new(Pct::new(seed, 100, 4)));
    held("pct", 100, pct, 4, 3 * 120_u64.pow(3));
    let pos = found(wide, &mut |seed| Box::new(Pos::new(seed, 100)));
    held("pos", 100, pos, 1, u64::MAX);
    let walk = found(wide, &mut |seed| Box::new(RandomWalk::new(seed, 100)));
    held("a random walk", 100, walk, 0, u64::MAX);
}

/// What the restriction to operations that conflict is worth, and the change points: without them the guarantee does not hold.
#[test]
fn not_found_without_restriction_or_change_points() {
    let everything = ChanceFault::EverythingMatters;
    let walk = found(narrow, &mut |seed| Box::new(RandomWalk::with_fault(seed, 100, everything)));
    let fixed = ChanceFault::NoChangePoints;
    let pct = found(narrow, &mut |seed| Box::new(Pct::with_fault(seed, 100, 4, fixed)));
    let shallow = found(narrow, &mut |seed| Box::new(Pct::new(seed, 100, 3)));
    assert_eq!((walk, pct, shallow), (0, 0, 0));
}
