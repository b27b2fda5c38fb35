//! Small programs whose number of trace classes is known: the exploration makes exactly so many executions, in whatever order the
//! processes are given, and none is redundant. Each is run on the simulation, as forked closures and as compiled programs.
//!
//! `LITMUS=all` runs everything, which takes long: see `ci/litmus`.

#![cfg(target_os = "linux")]

mod calls;
mod check;
#[path = "../self_checks/classes.rs"]
mod classes;
mod files;
mod locks;
#[path = "../machine/mod.rs"]
mod machine;
mod memory;
mod orders;
mod row;
mod text;
mod ways;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use cooks_harness::explore::{Dfs, explore};
use cooks_harness::simulated::Simulation;

use crate::check::{As, MAX_STEPS, check, check_schedules_and_trees};
use crate::row::Row;

fn each(rows: Vec<Row>, held: impl Fn(&Row)) {
    rows.iter().for_each(held);
}

#[test]
fn memory_on_the_simulation() {
    each(memory::rows(), |row| check(row, As::Simulated));
}

#[test]
fn large_memory_on_the_simulation() {
    each(memory::large_rows(), |row| check(row, As::Simulated));
}

#[test]
fn huge_memory_on_the_simulation() {
    each(memory::huge_rows(), |row| check(row, As::Simulated));
}

#[test]
fn locks_on_the_simulation() {
    each(locks::rows(), |row| check(row, As::Simulated));
}

#[test]
fn files_on_the_simulation() {
    each(files::rows(), |row| check(row, As::Simulated));
}

#[test]
fn memory_in_closures() {
    each(memory::rows(), |row| check(row, As::Closures));
}

#[test]
fn large_memory_in_closures() {
    each(memory::large_rows(), |row| check(row, As::Closures));
}

#[test]
fn locks_in_closures() {
    each(locks::rows(), |row| check(row, As::Closures));
}

#[test]
fn files_in_closures() {
    each(files::rows(), |row| check(row, As::Closures));
}

#[test]
fn memory_in_compiled_programs() {
    each(memory::rows(), |row| check(row, As::Programs));
}

#[test]
fn large_memory_in_compiled_programs() {
    each(memory::large_rows(), |row| check(row, As::Programs));
}

#[test]
fn locks_in_compiled_programs() {
    each(locks::rows(), |row| check(row, As::Programs));
}

#[test]
fn files_in_compiled_programs() {
    each(files::rows(), |row| check(row, As::Programs));
}

#[test]
fn schedules_and_trees() {
    each(memory::rows(), check_schedules_and_trees);
    each(locks::rows(), check_schedules_and_trees);
    each(files::rows(), check_schedules_and_trees);
}

/// The numbers that are not published, of programs in single calls, by looking at every schedule.
#[test]
fn classes_of_calls_by_enumeration() {
    let others = |row: &Row| row.calls != row.steps && row.expected_of_calls != row.expected;
    let mut counted = 0;
    for row in [locks::rows(), files::rows()].concat().into_iter().filter(others) {
        let mut classes = BTreeSet::new();
        let mut simulation = Simulation::new(row.initial(), row.calls.clone());
        let explored = explore(&mut Dfs::new(), &mut simulation, MAX_STEPS, &mut |execution| {
            classes.insert(classes::class(execution));
            ControlFlow::Continue(())
        });
        assert!(explored.is_ok_and(|explored| explored.exhaustive));
        let complete = classes.iter().filter(|(complete, _)| *complete).count() as u64;
        let blocked = classes.len() as u64 - complete;
        assert_eq!(
            (complete, blocked),
            (row.expected_of_calls.complete, row.expected_of_calls.blocked),
            "{}",
            row.name
        );
        counted += 1;
    }
    assert_eq!(counted, 3);
}
