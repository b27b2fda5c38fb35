//! Programs over variables, whose numbers other checkers publish.

use cooks_harness::simulated::{
    Expr, Initial, Name, Program, create, increment, jump_if, jump_if_less, load, lock, reg, set, store,
    unlock,
};

use crate::check::{Expected, check, complete};

/// Two variables.
const X: i64 = 1;
const Y: i64 = 2;

fn n_times(count: i64, program: impl Fn(i64) -> Program) -> Vec<Program> {
    (0..count).map(program).collect()
}

#[test]
fn independent() {
    for (count, schedules) in [(1, 1), (2, 6), (3, 90)] {
        let programs = n_times(count, |me| vec![load(1 + me, 0), store(1 + me, 1)]);
        check("independent", &Initial::files(3), &programs, complete(1).of(schedules));
    }
}

fn readers(count: i64) -> Vec<Program> {
    n_times(count + 1, |me| if me == 0 { vec![store(X, 1)] } else { vec![load(X, 0)] })
}

#[test]
fn readers_up_to_8() {
    for (count, schedules) in [(1, 2), (2, 6), (3, 24), (4, 120), (5, 720), (6, 5_040)] {
        check("readers", &Initial::files(1), &readers(count), complete(1 << count).of(schedules));
    }
    check("readers", &Initial::files(1), &readers(7), complete(128));
    check("readers", &Initial::files(1), &readers(8), complete(256));
}

#[test]
fn readers_13() {
    check("readers(13)", &Initial::files(1), &readers(13), complete(8_192));
}

/// The array's element `index` is file `1 + index`.
fn lastzero(size: i64) -> Vec<Program> {
    n_times(size + 1, |me| {
        if me == 0 {
            vec![
                set(0, size),
                load(reg(0) + 1, 1),
                jump_if(reg(1), 0, 5),
                set(0, reg(0) + -1),
                jump_if(0, 0, 1),
            ]
        } else {
            vec![load(me, 0), store(me + 1, reg(0) + 1)]
        }
    })
}

#[test]
fn lastzero_up_to_4() {
    for (size, classes, schedules) in [(2, 5, None), (3, 12, None), (4, 28, Some(44_300))] {
        check("lastzero", &Initial::files(5), &lastzero(size), Expected { schedules, ..complete(classes) });
    }
}

#[test]
fn lastzero_10() {
    check("lastzero(10)", &Initial::files(11), &lastzero(10), complete(3_328));
}

#[test]
fn increments_by_load_and_store() {
    for (count, classes, schedules) in [(2, 4, 6), (3, 36, 90), (4, 576, 2_520)] {
        let programs = n_times(count, |_| vec![load(X, 0), store(X, reg(0) + 1)]);
        check("inc", &Initial::files(1), &programs, complete(classes).of(schedules));
    }
}

#[test]
fn indivisible_increments() {
    for (count, classes, schedules) in [(2, 4, 6), (3, 36, 90)] {
        let programs = n_times(count, |_| vec![increment(X), increment(Y)]);
        check("binc", &Initial::files(2), &programs, complete(classes).of(schedules));
    }
}

#[test]
fn classical_tests_of_two_processes() {
    let tests: [(&str, [Program; 2]); 5] = [
        ("SB", [vec![store(X, 1), load(Y, 0)], vec![store(Y, 1), load(X, 0)]]),
        ("MP", [vec![store(X, 1), store(Y, 1)], vec![load(Y, 0), load(X, 1)]]),
        ("LB", [vec![load(X, 0), store(Y, 1)], vec![load(Y, 0), store(X, 1)]]),
        ("2+2W", [vec![store(X, 1), store(Y, 2)], vec![store(Y, 1), store(X, 2)]]),
        ("S", [vec![store(X, 2), store(Y, 1)], vec![load(Y, 0), store(X, 1)]]),
    ];
    for (name, programs) in tests {
        check(name, &Initial::files(2), &programs, complete(3).of(6));
    }
}

#[test]
fn iriw() {
    let programs =
        [vec![store(X, 1)], vec![store(Y, 1)], vec![load(X, 0), load(Y, 1)], vec![load(Y, 0), load(X, 1)]];
    check("IRIW", &Initial::files(2), &programs, complete(15).of(180));
}

/// Flanagan and Godefroid, POPL 2005: each process puts four messages into a table of 128 slots, claiming a free one by O_EXCL.
fn indexer(count: i64) -> Vec<Program> {
    let message = |me: i64| reg(0) * 11 + me;
    n_times(count, |me| {
        vec![
            set(0, reg(0) + 1),
            set(1, message(me) * 7 % 128),
            create(Name::numbered("slot", reg(1)), 2),
            jump_if(reg(2), 1, 6),
            set(1, (reg(1) + 1) % 128),
            jump_if(0, 0, 2),
            jump_if_less(reg(0), 4, 0),
        ]
    })
}

#[test]
fn indexers() {
    check("indexer(11)", &Initial::default(), &indexer(11), complete(1));
    check("indexer(12)", &Initial::default(), &indexer(12), complete(8));
}

/// Flanagan and Godefroid, POPL 2005: each process gives its inode a block, if it has none yet; one lock for each of both.
fn filesystem(count: i64) -> (Initial, Vec<Program>) {
    const INODES: i64 = 32;
    const BLOCKS: i64 = 26;
    // The lock of an inode or a block is the lock of the file that it is.
    let inode = |me: i64| 1 + me % INODES;
    let block = || -> Expr { reg(0) + 1 + INODES };
    let programs = n_times(count, |me| {
        vec![
            lock(inode(me)),
            load(inode(me), 1),
            jump_if_less(0, reg(1), 13),
            set(0, (me % INODES) * 2 % BLOCKS),
            lock(block()),
            load(block(), 1),
            jump_if(reg(1), 0, 10),
            unlock(block()),
            set(0, (reg(0) + 1) % BLOCKS),
            jump_if(0, 0, 4),
            store(block(), 1),
            store(inode(me), reg(0) + 1),
            unlock(block()),
            unlock(inode(me)),
        ]
    });
    let files = usize::try_from(INODES + BLOCKS).expect("a small number");
    (Initial::files(files), programs)
}

#[test]
fn filesystems() {
    for (count, classes) in [(13, 1), (14, 2)] {
        let (initial, programs) = filesystem(count);
        check("filesystem", &initial, &programs, complete(classes));
    }
}
