//! Programs over variables, whose numbers other checkers publish (GenMC, Concuerror, Nidhugg).

use cooks_harness::simulated::{
    Expr, Name, Program, create, increment, jump_if, jump_if_less, load, lock, reg, set, store, unlock,
};

use crate::row::{Row, complete};

/// Two variables.
const X: i64 = 1;
const Y: i64 = 2;

fn n_times(count: i64, program: impl Fn(i64) -> Program) -> Vec<Program> {
    (0..count).map(program).collect()
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend([(1, 1), (2, 6), (3, 90)].map(|(count, schedules)| {
        let programs = n_times(count, |me| vec![load(1 + me, 0), store(1 + me, 1)]);
        Row::new(format!("independent({count})"), 3, programs, complete(1)).schedules(schedules)
    }));
    rows.extend(
        [(1, 2), (2, 6), (3, 24), (4, 120), (5, 720), (6, 5_040)]
            .map(|(count, schedules)| readers(count).schedules(schedules)),
    );
    rows.extend([7, 8].map(readers));
    rows.extend([lastzero(2, 5), lastzero(3, 12), lastzero(4, 28).schedules(44_300)]);
    rows.extend([(2, 4, 6), (3, 36, 90), (4, 576, 2_520)].map(|(count, classes, schedules)| {
        let programs = n_times(count, |_| vec![load(X, 0), store(X, reg(0) + 1)]);
        Row::new(format!("inc({count})"), 1, programs, complete(classes)).schedules(schedules)
    }));
    rows.extend([(2, 4, 6), (3, 36, 90)].map(|(count, classes, schedules)| {
        let programs = n_times(count, |_| vec![increment(X), increment(Y)]);
        Row::new(format!("binc({count})"), 2, programs, complete(classes)).schedules(schedules)
    }));
    rows.extend(classical());
    rows.extend([indexer(11, 1), indexer(12, 8), filesystem(13, 1), filesystem(14, 2)]);
    rows
}

/// Those that take long with real processes.
pub fn large_rows() -> Vec<Row> {
    vec![lastzero(10, 3_328)]
}

/// Those with more classes than real processes are run for.
pub fn huge_rows() -> Vec<Row> {
    vec![readers(13)]
}

fn readers(count: i64) -> Row {
    let programs = n_times(count + 1, |me| if me == 0 { vec![store(X, 1)] } else { vec![load(X, 0)] });
    Row::new(format!("readers({count})"), 1, programs, complete(1 << count))
}

/// The array's element `index` is file `1 + index`.
fn lastzero(size: i64, classes: u64) -> Row {
    let programs = n_times(size + 1, |me| {
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
    });
    let elements = usize::try_from(size + 1).expect("a small number");
    Row::new(format!("lastzero({size})"), elements, programs, complete(classes))
}

fn classical() -> Vec<Row> {
    let of_two = [
        ("SB", [vec![store(X, 1), load(Y, 0)], vec![store(Y, 1), load(X, 0)]]),
        ("MP", [vec![store(X, 1), store(Y, 1)], vec![load(Y, 0), load(X, 1)]]),
        ("LB", [vec![load(X, 0), store(Y, 1)], vec![load(Y, 0), store(X, 1)]]),
        ("2+2W", [vec![store(X, 1), store(Y, 2)], vec![store(Y, 1), store(X, 2)]]),
        ("S", [vec![store(X, 2), store(Y, 1)], vec![load(Y, 0), store(X, 1)]]),
    ];
    let of_two = of_two.map(|(name, programs)| Row::new(name, 2, programs.into(), complete(3)).schedules(6));
    let iriw = vec![
        vec![store(X, 1)],
        vec![store(Y, 1)],
        vec![load(X, 0), load(Y, 1)],
        vec![load(Y, 0), load(X, 1)],
    ];
    of_two.into_iter().chain([Row::new("IRIW", 2, iriw, complete(15)).schedules(180)]).collect()
}

/// Flanagan and Godefroid, POPL 2005: each process puts four messages into a table of 128 slots, claiming a free one by O_EXCL.
fn indexer(count: i64, classes: u64) -> Row {
    let message = |me: i64| reg(0) * 11 + me;
    let programs = n_times(count, |me| {
        vec![
            set(0, reg(0) + 1),
            set(1, message(me) * 7 % 128),
            create(Name::numbered("slot", reg(1)), 2),
            jump_if(reg(2), 1, 6),
            set(1, (reg(1) + 1) % 128),
            jump_if(0, 0, 2),
            jump_if_less(reg(0), 4, 0),
        ]
    });
    Row::new(format!("indexer({count})"), 0, programs, complete(classes))
}

/// Flanagan and Godefroid, POPL 2005: each process gives its inode a block, if it has none yet; one lock for each of both.
fn filesystem(count: i64, classes: u64) -> Row {
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
    Row::new(format!("filesystem({count})"), files, programs, complete(classes))
}
