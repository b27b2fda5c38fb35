//! Whether a search keeps anything for each execution: the resident memory of this process after ever more of them.
//! `cargo bench -p cooks-benches --bench memory` prints a table.

use std::ops::ControlFlow;

use cooks_harness::explore::{Dpor, explore};
use cooks_harness::simulated::{Initial, Program, Simulation, load, reg, store};

/// Each of five processes adds to a file twice: more trace classes than are run here.
const PROCESSES: usize = 5;

/// After so many executions the memory is looked at.
const MARKS: [u64; 4] = [100, 1_000, 10_000, 100_000];

fn main() {
    let increment: Program = vec![load(1, 0), store(1, reg(0) + 1), load(1, 0), store(1, reg(0) + 1)];
    let mut simulation = Simulation::new(Initial::files(1), vec![increment; PROCESSES]);
    let mut executions = 0;
    println!("| executions | resident KiB |\n|---|---|");
    let mut look = |_: &_| {
        executions += 1;
        if MARKS.contains(&executions) {
            println!("| {executions} | {} |", resident());
        }
        if executions < MARKS[MARKS.len() - 1] { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    explore(&mut Dpor::new(), &mut simulation, 1_000, &mut look).expect("a simulation runs");
}

/// In KiB, by the kernel's count of pages.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4
}
