use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use cooks_harness::explore::{Counts, Dfs, Dpor, Sharded, SplitMix64, Strategy, explore};
use cooks_harness::session::ahead::{Bare, Beside};
use cooks_harness::simulated::{Error, Initial, Program, Simulation};

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
            assert_eq!(with_two_jobs(&arranged()), counts, "{name}, two jobs");
            let shards = in_shards(&mut arranged(), 3);
            let Counts { elsewhere, .. } = shards;
            let wanted = Counts { executions: complete + blocked + elsewhere, elsewhere, ..wanted };
            assert_eq!(Counts { steps: 0, ..shards }, wanted, "{name}, three shards");
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
fn in_shards(simulation: &mut Simulation, shards: u32) -> Counts {
    let mut counts = Counts::default();
    for shard in 1..=shards {
        counts.join(&run(&mut Sharded::new(shard, shards, false), simulation));
    }
    counts
}

/// The counts of a search with another one beside it that is as fast.
fn with_two_jobs(simulation: &Simulation) -> Counts {
    let stop = AtomicBool::new(false);
    let beside = Beside { others: 0, max_steps: MAX_STEPS, stop: &stop, over: &AtomicBool::new(false) };
    let nobody = |_| Ok(Bare(simulation.clone()));
    let counts = beside.search(nobody, |ahead| {
        ahead.simulate(1, None);
        let (mut own, mut other) = (Bare(simulation.clone()), Bare(simulation.clone()));
        let mut strategy = Dpor::new();
        let mut counts = Counts::default();
        while strategy.begin() {
            ahead.help(&mut other);
            counts.add(&ahead.next(&mut strategy, &mut own)?.0);
        }
        Ok::<Counts, Error>(counts)
    });
    counts.expect("strategies choose enabled processes")
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
