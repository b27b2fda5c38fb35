//! What the search itself takes for each execution: on the simulation, where executions cost next to nothing.

use std::ops::ControlFlow;

use cooks_harness::explore::{Dpor, RandomWalk, Strategy, explore};
use cooks_harness::simulated::{Initial, Program, Simulation, load, reg, store};
use criterion::{Criterion, Throughput};

/// Trace classes of four processes that each load a file and store one more.
const CLASSES: u64 = 576;

pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("search");
    group.throughput(Throughput::Elements(CLASSES));
    group.bench_function("random walk", |bencher| bencher.iter(|| run(&mut RandomWalk::new(1, CLASSES))));
    group.bench_function("dpor", |bencher| bencher.iter(|| run(&mut Dpor::new())));
    group.finish();
}

fn run(strategy: &mut dyn Strategy) {
    let increment: Program = vec![load(1, 0), store(1, reg(0) + 1)];
    let mut simulation = Simulation::new(Initial::files(1), vec![increment; 4]);
    let seen = &mut |_: &_| ControlFlow::Continue(());
    let exploration = explore(strategy, &mut simulation, 100, seen).expect("a simulation runs");
    assert_eq!(exploration.counts.complete, CLASSES);
}
