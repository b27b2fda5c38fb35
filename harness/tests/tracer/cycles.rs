//! Cycles of processes that wait for each other's POSIX locks: the kernel lets one of them fail. What it does in every interleaving of
//! random programs is in `tests/kernel/waits.rs`; here is what only real processes have.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::ControlFlow;

use cooks_harness::explore::{Dfs, Dpor, Observed, Strategy, explore};
use cooks_harness::model::Tree;
use cooks_harness::tracer::Program;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::support::{
    MAX_STEPS, assert_counts, classes, exploration, files, open, process, python, status, statuses, tracer,
    uncovered,
};

fn whole() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Waits for the lock of a file: 0, or the number of the error.
fn lock(file: &File) -> i32 {
    fcntl(file, FcntlArg::F_SETLKW(&whole())).map_or_else(|error| error as i32, |_| 0)
}

/// The number of `EDEADLK`, as a status.
const REFUSED: u8 = Errno::EDEADLK as u8;

/// Takes these locks, one after the other, and ends at once when one is refused.
fn takes(names: &'static [&'static str]) -> Program {
    process(move || {
        let files: Vec<File> = names.iter().map(|name| open(name)).collect();
        files.iter().map(lock).find(|error| *error != 0).unwrap_or(0)
    })
}

fn three() -> Tree {
    files(&[("a", ""), ("b", ""), ("c", "")])
}

#[test]
fn of_two_that_take_two_locks_in_opposite_orders_either_is_refused() {
    let programs = [takes(&["a", "b"]), takes(&["b", "a"])];
    let seen = classes(&programs, &three());
    // One after the other, in two orders; they meet, and either is refused.
    assert_counts("two locks in opposite orders", &seen, 4, 0);
    let exits: Vec<_> = seen.outcomes.iter().map(|outcome| outcome.exits.clone()).collect();
    let (done, refused) = (status(0), status(REFUSED));
    assert_eq!(exits, [vec![done, done], vec![done, refused], vec![refused, done]]);
    for strategy in [&mut Dfs::new() as &mut dyn Strategy, &mut Observed::new()] {
        assert_eq!(exploration(strategy, &programs, &three()).outcomes, seen.outcomes);
    }
}

#[test]
fn of_three_in_a_ring_each_is_refused() {
    let programs = [takes(&["a", "b"]), takes(&["b", "c"]), takes(&["c", "a"])];
    let seen = classes(&programs, &three());
    assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0));
    assert_eq!(seen.outcomes, exploration(&mut Observed::new(), &programs, &three()).outcomes);
    for process in 0..3 {
        assert_eq!(statuses(&seen, process), [status(0), status(REFUSED)].into());
    }
}

/// One process waits for the lock of an open file description: the kernel does not find that cycle.
#[test]
fn who_waits_for_the_lock_of_a_description_is_not_found() {
    let by_description = process(|| {
        let (a, b) = (open("a"), open("b"));
        let take = |file| fcntl(file, FcntlArg::F_OFD_SETLKW(&whole())).map(drop).expect("a lock");
        take(&b);
        take(&a);
        0
    });
    let seen = classes(&[takes(&["a", "b"]), by_description], &three());
    assert_counts("a cycle with a description", &seen, 2, 1);
}

/// A thread waits for a lock of the other process while its own process has one that the other waits for. Another thread would give it
/// back; but to the kernel this is a cycle of two processes.
#[test]
fn what_is_a_cycle_by_process_alone_is_refused_as_well() {
    let threads = python(
        "
import fcntl, os, threading
a, b = os.open('a', os.O_RDWR), os.open('b', os.O_RDWR)
fcntl.lockf(a, fcntl.LOCK_EX)
waits = threading.Thread(target=lambda: fcntl.lockf(b, fcntl.LOCK_EX))
waits.start()
fcntl.lockf(a, fcntl.LOCK_UN)
waits.join()
",
    );
    let programs = [threads, takes(&["b", "a"])];
    for by_task in [false, true] {
        let mut tracer = tracer(&programs, three());
        if by_task {
            tracer.explore_tasks();
        }
        let mut ends = BTreeSet::new();
        let result = explore(&mut Dpor::new(), &mut tracer, MAX_STEPS, &mut |execution| {
            ends.extend(execution.is_complete().then(|| execution.outcome.exits[1]));
            ControlFlow::Continue(())
        });
        assert_eq!(result.expect("every execution can be run").counts.blocked, 0);
        assert!(by_task || ends == [status(0), status(REFUSED)].into(), "{ends:?}");
        // It is found by chance: the order in which the other thread gives the lock back first need not show the cycle.
        let gap = "a thread that asks for a record lock, while its process holds others";
        assert_eq!(uncovered(&tracer), [gap]);
    }
}
