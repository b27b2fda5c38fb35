//! Locks, and processes that wait for each other.

use cooks_harness::simulated::{
    Initial, Program, create, load, lock, lock_shared, reg, store, try_lock, unlock,
};

use crate::check::{check, complete};

const A: i64 = 1;
const B: i64 = 2;
const X: i64 = 3;

#[test]
fn locked_increments() {
    for (count, classes) in [(2, 2), (3, 6), (4, 24)] {
        let program = vec![lock(A), load(X, 0), store(X, reg(0) + 1), unlock(A)];
        check("lockinc", &Initial::files(3), &vec![program; count], complete(classes).of(classes));
    }
}

#[test]
fn two_locks_in_one_order() {
    let program = vec![lock(A), lock(B), unlock(B), unlock(A)];
    check("AB-AB", &Initial::files(2), &vec![program; 2], complete(2));
}

#[test]
fn two_locks_in_opposite_orders() {
    let program = |first, second| vec![lock(first), lock(second), unlock(second), unlock(first)];
    check("AB-BA", &Initial::files(2), &[program(A, B), program(B, A)], complete(2).blocked(1).of(6));
}

#[test]
fn philosophers() {
    let program = |me: i64| {
        let (left, right) = (1 + me, 1 + (me + 1) % 3);
        vec![lock(left), lock(right), unlock(right), unlock(left)]
    };
    let programs: Vec<Program> = (0..3).map(program).collect();
    check("philosophers(3)", &Initial::files(3), &programs, complete(6).blocked(1).of(168));
}

#[test]
fn a_lock_that_is_never_given_back() {
    let programs = [vec![lock(A), unlock(A)], vec![lock(A), unlock(A)], vec![lock(A)]];
    check("mutex_deadlock_one(3)", &Initial::files(1), &programs, complete(2).blocked(3).of(5));
}

/// A try races with what it is refused for, in both directions: it fails while the lock is held, before or after it succeeds.
#[test]
fn a_try_against_a_section() {
    let programs = [vec![lock(A), unlock(A)], vec![try_lock(A, 0)]];
    check("try", &Initial::files(1), &programs, complete(2).blocked(1).of(3));
}

/// Sections under a shared lock are one class; those under the exclusive one come before, between and after.
#[test]
fn shared_sections() {
    let shared = vec![lock_shared(A), load(X, 0), unlock(A)];
    for (count, schedules) in [(2, 20), (3, 1_680)] {
        check("shared", &Initial::files(3), &vec![shared.clone(); count], complete(1).of(schedules));
    }
    let exclusive = vec![lock(A), store(X, 1), unlock(A)];
    check("shared, exclusive", &Initial::files(3), &[shared.clone(), shared, exclusive], complete(4));
}

#[test]
fn exclusive_creation() {
    for (count, schedules) in [(2, 2), (3, 6), (4, 24)] {
        let expected = complete(count as u64).of(schedules);
        check("excl", &Initial::default(), &vec![vec![create("lock", 0)]; count], expected);
    }
}
