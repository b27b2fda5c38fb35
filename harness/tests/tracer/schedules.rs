//! Every schedule of real processes: as many as there are orders in which their steps can be merged, and what one execution of each class
//! leaves is what all of them leave. How many classes litmus programs have is in the tests of that name.

use std::fs::{self, File};

use cooks_harness::model::Tree;
use cooks_harness::tracer::Program;
use nix::fcntl::{Flock, FlockArg};

use crate::support::{assert_counts, classes, create, files, load, open, process, schedules, store};

/// Runs every schedule, holds it to their number, and what they come to to what one of each class comes to.
fn check(what: &str, initial: &Tree, programs: &[Program], complete: u64, blocked: u64) {
    let all = schedules(programs, initial);
    assert_counts(what, &all, complete, blocked);
    let by_class = classes(programs, initial);
    assert_eq!((all.outcomes, all.endings), (by_class.outcomes, by_class.endings), "{what}");
}

/// Both files are open before anything else is done.
fn of_variables(body: fn(&File, &File) -> u8) -> Program {
    process(move || i32::from(body(&open("x"), &open("y"))))
}

#[test]
fn two_files() {
    let initial = files(&[("x", "\0"), ("y", "\0")]);
    let programs = [
        of_variables(|x, y| {
            store(x, 1);
            load(y)
        }),
        of_variables(|x, y| {
            store(y, 1);
            load(x)
        }),
    ];
    // Two opens and two accesses each: 8! / (4! 4!).
    check("SB", &initial, &programs, 70, 0);
}

#[test]
fn increments() {
    let program = process(|| {
        let variable = open("x");
        let value = load(&variable);
        store(&variable, value + 1);
        0
    });
    // One open, one load, one store each: 6! / (3! 3!).
    check("inc(2)", &files(&[("x", "\0")]), &vec![program; 2], 20, 0);
}

/// A process that opens and takes two locks, one after the other, and gives them back.
fn two_locks(first: &'static str, second: &'static str) -> Program {
    process(move || {
        let first = Flock::lock(open(first), FlockArg::LockExclusive).expect("a lock");
        let second = Flock::lock(open(second), FlockArg::LockExclusive).expect("a lock");
        drop((second, first));
        0
    })
}

#[test]
fn two_locks_in_opposite_orders() {
    // Six steps each, an unlocking and the close of the file being one; paths in a grid, around where both hold the same lock.
    let initial = files(&[("a", ""), ("b", "")]);
    check("AB-BA", &initial, &[two_locks("a", "b"), two_locks("b", "a")], 38, 20);
}

/// Each process is one step.
#[test]
fn exclusive_creation() {
    let program = process(|| i32::from(create("lock")));
    for (count, orders) in [(2, 2), (3, 6)] {
        check("excl", &Tree::new(), &vec![program.clone(); count], orders, 0);
    }
}

#[test]
fn look_before_creating() {
    let program = process(|| if fs::metadata("made").is_ok() { 1 } else { i32::from(!create("made")) });
    check("2 × stat; create", &Tree::new(), &vec![program; 2], 6, 0);
}
