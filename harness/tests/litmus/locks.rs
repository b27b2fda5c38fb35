//! Locks, and processes that wait for each other.

use cooks_harness::simulated::{create, load, lock, lock_shared, reg, store, try_lock, unlock};

use crate::row::{Row, complete};

const A: i64 = 1;
const B: i64 = 2;
const X: i64 = 3;

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let increment = vec![lock(A), load(X, 0), store(X, reg(0) + 1), unlock(A)];
    rows.extend([(2, 2), (3, 6), (4, 24)].map(|(count, classes)| {
        let programs = vec![increment.clone(); count];
        Row::new(format!("lockinc({count})"), 3, programs, complete(classes)).schedules(classes)
    }));
    rows.extend(two_locks());
    rows.push(never_given_back());
    rows.extend(tries_and_shared_sections());
    rows.extend([(2, 2), (3, 6), (4, 24)].map(|(count, schedules)| {
        let programs = vec![vec![create("lock", 0)]; count];
        Row::new(format!("excl({count})"), 0, programs, complete(count as u64)).schedules(schedules)
    }));
    rows
}

fn two_locks() -> [Row; 3] {
    let both = |first, second| vec![lock(first), lock(second), unlock(second), unlock(first)];
    let philosophers = (0..3).map(|me| both(1 + me, 1 + (me + 1) % 3)).collect();
    [
        Row::new("AB-AB", 2, vec![both(A, B); 2], complete(2)),
        Row::new("AB-BA", 2, vec![both(A, B), both(B, A)], complete(2).blocked(1)).schedules(6),
        Row::new("philosophers(3)", 3, philosophers, complete(6).blocked(1)).schedules(168),
    ]
}

/// A real process that ends gives back what it holds. There the last one waits for itself instead of ending, and keeps it: the same
/// five classes, but in none of them do all processes end.
fn never_given_back() -> Row {
    let section = || vec![lock(A), unlock(A)];
    let programs = vec![section(), section(), vec![lock(A)]];
    let processes = [section(), section(), vec![lock(A), lock(A)]];
    let row = Row::new("mutex_deadlock_one(3)", 1, programs, complete(2).blocked(3)).schedules(5);
    row.with_processes(&processes, complete(0).blocked(5))
}

fn tries_and_shared_sections() -> Vec<Row> {
    // A try races with what it is refused for, in both directions: it fails while the lock is held, before or after it succeeds.
    // A simulated process keeps what it has at its end; a real one gives it back.
    let tries = vec![vec![lock(A), unlock(A)], vec![try_lock(A, 0)]];
    let tries = Row::new("try", 1, tries, complete(2).blocked(1)).schedules(3).in_calls(complete(3));
    // Sections under a shared lock are one class; those under the exclusive one come before, between and after.
    let shared = vec![lock_shared(A), load(X, 0), unlock(A)];
    let exclusive = vec![lock(A), store(X, 1), unlock(A)];
    vec![
        tries,
        Row::new("shared(2)", 3, vec![shared.clone(); 2], complete(1)).schedules(20),
        Row::new("shared(3)", 3, vec![shared.clone(); 3], complete(1)).schedules(1_680),
        Row::new("2 shared, 1 exclusive", 3, vec![shared.clone(), shared, exclusive], complete(4)),
    ]
}
