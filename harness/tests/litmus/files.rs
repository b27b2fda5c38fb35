//! Programs over files and names: which calls are dependent decides how many classes there are.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use cooks_harness::explore::{Dfs, Dpor, Strategy, explore};
use cooks_harness::model::Tree;
use cooks_harness::simulated::{
    Expr, Initial, Name, Program, Simulation, create, jump_if, lock, open_truncate, read_name, reg, rename,
    stat, store, unlink, unlock, write_name,
};

use crate::check::{Expected, check, complete};

/// The lock file's descriptor; `data` is the file that is read and written.
const LOCK: i64 = 1;

fn initial() -> Initial {
    Initial::files(1).named("data", 1)
}

/// How many classes leave a tree that no order of the processes, one after another, leaves.
fn not_serial(programs: &[Program]) -> usize {
    let serial: BTreeSet<Tree> = trees(programs, true).into_iter().collect();
    trees(programs, false).iter().filter(|tree| !serial.contains(*tree)).count()
}

/// The final trees of all classes, one for each; or of the schedules in which each process runs without a pause.
fn trees(programs: &[Program], serial: bool) -> Vec<Tree> {
    let strategy: &mut dyn Strategy = if serial { &mut Dfs::new() } else { &mut Dpor::new() };
    let mut trees = Vec::new();
    let mut simulation = Simulation::new(initial(), programs.to_vec());
    let result = explore(strategy, &mut simulation, 100, &mut |execution| {
        let switches = execution.trace.windows(2).filter(|pair| pair[0].process != pair[1].process).count();
        if !serial || switches + 1 == programs.len() {
            trees.push(execution.outcome.tree.clone());
        }
        ControlFlow::Continue(())
    });
    assert!(result.is_ok_and(|exploration| exploration.exhaustive));
    trees
}

fn check_files(name: &str, programs: &[Program], expected: Expected, not_serial_trees: usize) {
    check(name, &initial(), programs, expected);
    assert_eq!(not_serial(programs), not_serial_trees, "{name}: classes with a tree that is not serial");
}

/// What each process does to the file, by the number of the process; the values that it writes are its own.
fn each(count: i64, program: impl Fn(i64) -> Program) -> Vec<Program> {
    (0..count).map(program).collect()
}

/// A value that tells who wrote it and what it had read.
fn next(me: i64) -> Expr {
    reg(0) * 10 + (2 + me)
}

fn read_write(me: i64) -> Program {
    vec![read_name("data", 0), write_name("data", next(me))]
}

fn read_truncate_write(me: i64) -> Program {
    vec![read_name("data", 0), open_truncate("data", 1), store(reg(1), next(me))]
}

fn read_replace(me: i64, temporary: &str) -> Program {
    vec![read_name("data", 0), write_name(temporary, next(me)), rename(temporary, "data", 1)]
}

fn read_replace_private(me: i64) -> Program {
    read_replace(me, ["tmp0", "tmp1", "tmp2", "tmp3"][usize::try_from(me).expect("a small number")])
}

#[test]
fn read_and_write() {
    check_files("2 × read; write", &each(2, read_write), complete(4).of(6), 2);
}

#[test]
fn read_truncate_and_write() {
    check_files("2 × read; open(O_TRUNC); write", &each(2, read_truncate_write), complete(14).of(20), 12);
}

#[test]
fn read_and_replace() {
    check_files("2 × read; temporary; rename", &each(2, read_replace_private), complete(4).of(20), 2);
    check_files("3 × read; temporary; rename", &each(3, read_replace_private), complete(36).of(1_680), 30);
}

#[test]
fn read_and_replace_by_one_temporary() {
    let programs = each(2, |me| read_replace(me, "tmp"));
    check_files("2 × the same, one temporary", &programs, complete(8).of(20), 6);
}

#[test]
fn under_a_lock() {
    let bodies = [read_write, read_truncate_write, read_replace_private];
    for body in bodies {
        let locked = |me| [vec![lock(LOCK)], body(me), vec![unlock(LOCK)]].concat();
        for (count, classes) in [(2, 2), (3, 6), (4, 24)] {
            check_files("flock around it", &each(count, locked), complete(classes).of(classes), 0);
        }
    }
}

#[test]
fn a_lock_file_that_is_skipped_when_busy() {
    let program = |me| {
        let taken = [create("lock", 1), jump_if(reg(1), -1, 9)];
        [taken.to_vec(), read_write(me), vec![unlink("lock", 1)]].concat()
    };
    check_files("2 × O_EXCL lock file", &each(2, program), complete(4).of(8), 2);
}

#[test]
fn look_before_creating() {
    let program = |_| vec![stat("made", 0), jump_if(reg(0), 1, 9), create("made", 1)];
    check_files("2 × stat; create", &each(2, program), complete(4).of(6), 0);
}

/// Reads, and leaves what it has read in a file of its own.
fn reader() -> Program {
    vec![read_name("data", 0), write_name("seen", reg(0))]
}

#[test]
fn a_reader_of_what_is_unlinked_before_it_is_replaced() {
    let writer = vec![write_name("tmp", 2), unlink("data", 0), rename("tmp", "data", 0)];
    check_files("temporary; unlink; rename ∥ reader", &[writer, reader()], complete(3).of(10), 1);
}

#[test]
fn a_reader_of_what_is_truncated_before_it_is_written() {
    let writer = vec![open_truncate("data", 0), store(reg(0), 2)];
    check_files("open(O_TRUNC); write ∥ reader", &[writer, reader()], complete(3).of(6), 1);
}

#[test]
fn names_with_numbers_are_names() {
    let programs = each(3, |me| vec![create(Name::numbered("slot", me), 0)]);
    check_files("three names", &programs, complete(1).of(6), 0);
}
