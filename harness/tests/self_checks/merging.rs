//! What is merged: by exact numbers, of programs that differ in what somebody can see.

use std::collections::BTreeSet;

use cooks_harness::explore::{Dfs, Observed};
use cooks_harness::simulated::{Initial, Program, Simulation, load, store};

use crate::compare::{merged, see};
use crate::programs::{Theme, simulation};

/// The classes, the executions that are run of them, the outcomes.
fn run(programs: Vec<Program>) -> (usize, u64, usize) {
    let mut simulation = Simulation::new(Initial::files(2), programs);
    let all = see(&mut Dfs::new(), &mut simulation).expect("a simulation runs");
    let executions = merged(&mut Observed::new(), &mut simulation, &all).expect("the same outcomes");
    (all.classes.len(), executions, all.outcomes.len())
}

#[test]
fn writes_that_are_overwritten_unread_are_merged() {
    let writers = |count: i64| (1..=count).map(|value| vec![store(1, value)]).collect::<Vec<_>>();
    assert_eq!(
        [2, 3, 4, 5].map(|count| run(writers(count))),
        [(2, 2, 2), (6, 3, 3), (24, 4, 4), (120, 5, 5)]
    );
}

#[test]
fn writes_of_what_was_there_are_merged() {
    let same = vec![vec![store(1, 5)]; 4];
    assert_eq!(run(same), (24, 1, 1));
    // What was there in the beginning is known by those who have read it.
    let silent = vec![vec![load(1, 0), store(1, 0), store(1, 0)], vec![load(1, 0)], vec![load(1, 0)]];
    let (classes, executions, outcomes) = run(silent);
    assert!(executions < classes as u64 && outcomes == 1, "{executions} of {classes}");
}

#[test]
fn reads_of_the_same_are_merged() {
    let back_and_forth =
        vec![vec![store(1, 1), store(1, 2), store(1, 1)], vec![load(1, 0)], vec![load(1, 0)]];
    assert_eq!(run(back_and_forth), (16, 9, 9));
}

#[test]
fn what_somebody_sees_is_run_once() {
    let increment = vec![load(1, 0), store(1, 1), load(2, 1), store(2, 3)];
    assert_eq!(run(vec![increment; 2]), (16, 9, 9));
}

/// How many executions are run of the first programs of each theme, for as many classes.
#[test]
fn of_random_programs() {
    let sums = [Theme::Data, Theme::Locks, Theme::Names, Theme::Mixed, Theme::Waits].map(|theme| {
        let mut sums = (0, 0);
        for seed in 0..1_000 {
            let mut program = simulation(seed, theme);
            let all = see(&mut Dfs::new(), &mut program).expect("a simulation runs");
            let run = merged(&mut Observed::new(), &mut program, &all).expect("the same outcomes");
            let least: BTreeSet<_> = all.outcomes.iter().collect();
            assert!(run >= least.len() as u64);
            sums = (sums.0 + all.classes.len(), sums.1 + run);
        }
        sums
    });
    assert_eq!(sums, [(6_775, 5_413), (2_491, 2_473), (9_129, 9_129), (2_490, 2_471), (4_866, 4_416)]);
}
