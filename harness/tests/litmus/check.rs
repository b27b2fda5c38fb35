use std::ops::ControlFlow;

use cooks_harness::explore::{Counts, Dfs, Dpor, Split, SplitMix64, Strategy, explore};
use cooks_harness::simulated::{Initial, Program, Simulation};

/// Draws the orders of the processes where there are too many to try all.
const SEED: u64 = 20_140_122;

/// No program here has an execution with more steps.
const MAX_STEPS: usize = 1_000;

/// What an exploration of a program must come to.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub complete: u64,
    pub blocked: u64,
    /// How many schedules there are, where they can be counted one by one.
    pub schedules: Option<u64>,
}

pub fn complete(complete: u64) -> Expected {
    Expected { complete, blocked: 0, schedules: None }
}

impl Expected {
    pub fn blocked(self, blocked: u64) -> Self {
        Self { blocked, ..self }
    }

    pub fn of(self, schedules: u64) -> Self {
        Self { schedules: Some(schedules), ..self }
    }
}

/// Explores a program with the processes in every order (24 of them where there are more than four) and holds it to the numbers.
pub fn check(name: &str, initial: &Initial, programs: &[Program], expected: Expected) {
    for order in orders(programs.len()) {
        let arranged =
            || Simulation::new(initial.clone(), order.iter().map(|&at| programs[at].clone()).collect());
        let counts = run(&mut Dpor::new(), &mut arranged());
        let Expected { complete, blocked, schedules } = expected;
        let wanted = Counts { executions: complete + blocked, complete, blocked, ..Counts::default() };
        assert_eq!(
            Counts { steps: 0, ..counts },
            wanted,
            "{name}, processes in order {order:?} (seed {SEED})"
        );
        if complete + blocked < 500 || order.is_sorted() {
            // As two jobs split it, and as three shards do.
            for (questions, shards) in [(2, 1), (3, 3)] {
                let counts = in_shards(&mut arranged(), questions, shards);
                assert_eq!((counts.complete, counts.blocked), (complete, blocked), "{name}, {shards} shards");
            }
        }
        // Every order where that is cheap, the given one where it is not.
        if let Some(schedules) = schedules
            && (schedules < 500 || order.is_sorted())
        {
            assert_eq!(run(&mut Dfs::new(), &mut arranged()).executions, schedules, "{name}: schedules");
        }
    }
}

pub fn run(strategy: &mut dyn Strategy, simulation: &mut Simulation) -> Counts {
    let seen = &mut |_: &_| ControlFlow::Continue(());
    let exploration =
        explore(strategy, simulation, MAX_STEPS, seen).expect("strategies choose enabled processes");
    assert!(exploration.exhaustive);
    exploration.counts
}

/// The counts of all shards together, each of which explores its parts by itself.
fn in_shards(simulation: &mut Simulation, questions: usize, shards: u32) -> Counts {
    let mut split = Split::default();
    let seen = &mut |execution: &_| {
        split = Split::of(execution, questions);
        ControlFlow::Break(())
    };
    explore(&mut Dpor::new(), simulation, MAX_STEPS, seen).expect("a simulation runs");
    let mut counts = Counts::default();
    for shard in 1..=shards {
        for part in split.of_shard(questions, shard, shards) {
            counts.join(&run(&mut Dpor::within(split.part(part)), simulation));
        }
    }
    counts
}

/// The orders of `count` processes: all of them, or 24 of them, the given one first.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let given: Vec<usize> = (0..count).collect();
    if count <= 4 {
        return permutations(&given);
    }
    let mut random = SplitMix64::new(SEED);
    let mut orders = vec![given];
    while orders.len() < 24 {
        let mut next = orders[orders.len() - 1].clone();
        for at in (1..count).rev() {
            next.swap(at, random.below(at + 1));
        }
        orders.push(next);
    }
    orders
}

fn permutations(of: &[usize]) -> Vec<Vec<usize>> {
    let Some(last) = of.len().checked_sub(1) else { return vec![Vec::new()] };
    let shorter = permutations(&of[..last]);
    let with_last = |at: usize| {
        shorter.iter().map(move |order| {
            let mut order = order.clone();
            order.insert(at, of[last]);
            order
        })
    };
    (0..of.len()).rev().flat_map(with_last).collect()
}
