//! Programs over files and names: which calls are dependent decides how many classes there are.

use cooks_harness::simulated::{
    Expr, Instruction, Name, Program, create, jump_if, lock, open_truncate, read_name, reg, rename, stat,
    store, unlink, unlock, write_name,
};

use crate::row::{Expected, Row, complete};

/// The lock file's descriptor; `data` is the file that is read and written.
const LOCK: i64 = 1;

/// Past the end of any program: a jump there ends the process.
const END: usize = 99;

pub fn rows() -> Vec<Row> {
    let private = |count| each(count, |me| read_replace(me, ["tmp0", "tmp1", "tmp2"][me as usize]));
    let mut rows = vec![
        row("2 × read; write", each(2, read_write), complete(4), 6, 2),
        row("2 × read; open(O_TRUNC); write", each(2, read_truncate_write), complete(14), 20, 12),
        row("2 × read; temporary; rename", private(2), complete(4), 20, 2),
        row("3 × read; temporary; rename", private(3), complete(36), 1_680, 30),
        // Of real processes the one may come between the other's opening of the temporary file and its writing.
        row("2 × the same, one temporary", each(2, read_replace_shared), complete(8), 20, 6)
            .in_calls(complete(12)),
        row("2 × O_EXCL lock file", each(2, lock_file), complete(4), 8, 2),
        row("2 × stat; create", each(2, look_and_create), complete(4), 6, 0),
        row("3 names", each(3, |me| vec![create(Name::numbered("slot", me), 0)]), complete(1), 6, 0),
    ];
    let unlinking = vec![write_name("tmp", 2), unlink("data", 0), rename("tmp", "data", 0)];
    let truncating = vec![open_truncate("data", 0), store(reg(0), 2)];
    rows.extend([
        row("temporary; unlink; rename ∥ reader", vec![unlinking, reader()], complete(3), 10, 1),
        row("open(O_TRUNC); write ∥ reader", vec![truncating, reader()], complete(3), 6, 1),
    ]);
    rows.extend(under_a_lock());
    rows
}

fn row(
    name: &str,
    programs: Vec<Program>,
    expected: Expected,
    schedules: u64,
    not_serial_trees: usize,
) -> Row {
    Row::new(name, 1, programs, expected).with_data().schedules(schedules).not_serial(not_serial_trees)
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

fn read_replace(me: i64, temporary: impl Into<Name>) -> Program {
    let temporary = temporary.into();
    vec![read_name("data", 0), write_name(temporary.clone(), next(me)), rename(temporary, "data", 1)]
}

fn read_replace_shared(me: i64) -> Program {
    read_replace(me, "tmp")
}

fn lock_file(me: i64) -> Program {
    let taken = vec![create("lock", 1), jump_if(reg(1), -1, END)];
    [taken, read_write(me), vec![unlink("lock", 1)]].concat()
}

fn look_and_create(_: i64) -> Program {
    vec![stat("made", 0), jump_if(reg(0), 1, END), create("made", 1)]
}

/// Reads, and leaves what it has read in a file of its own.
fn reader() -> Program {
    vec![read_name("data", 0), write_name("seen", reg(0))]
}

/// What a process does, by its number.
type Body = fn(i64) -> Program;

/// Whatever is done under the lock: each order of the sections is a class, and a schedule.
fn under_a_lock() -> Vec<Row> {
    let bodies: [(&str, Body); 6] = [
        ("read; write", read_write),
        ("read; open(O_TRUNC); write", read_truncate_write),
        ("read; temporary; rename", |me| read_replace(me, Name::numbered("tmp", me))),
        ("read; one temporary; rename", read_replace_shared),
        ("O_EXCL lock file", lock_file),
        ("stat; create", look_and_create),
    ];
    let of_body = |(name, body): (&str, Body)| {
        [(2, 2), (3, 6), (4, 24)].map(|(count, classes)| {
            let programs = each(count, |me| locked(body(me)));
            row(&format!("{count} × flock around {name}"), programs, complete(classes), classes, 0)
        })
    };
    bodies.into_iter().flat_map(of_body).collect()
}

/// Jumps stay within the section.
fn locked(mut body: Program) -> Program {
    let end = body.len();
    for instruction in &mut body {
        if let Instruction::Jump { to, .. } = instruction {
            *to = 1 + end.min(*to);
        }
    }
    [vec![lock(LOCK)], body, vec![unlock(LOCK)]].concat()
}
