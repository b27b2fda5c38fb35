//! Litmus programs as real processes: a variable is a file of one byte, a mutex the `flock` of a file. The number of executions is the
//! published number of trace classes, in whatever order the processes are given. Opening what is there conflicts with nothing.

use std::fs;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use cooks_harness::model::Tree;
use cooks_harness::tracer::Program;
use nix::fcntl::{Flock, FlockArg};

use crate::support::{assert_counts, classes, create, files, load, open, process, schedules, store};

/// One access of a variable.
#[derive(Clone, Copy)]
enum Step {
    Load(&'static str),
    Store(&'static str, u8),
}
use Step::{Load, Store};

/// A process that opens its variables, then makes these accesses; it prints nothing and keeps what it loads in a file of its own,
/// which only shows what it saw.
fn accesses(steps: &'static [Step]) -> Program {
    process(move || {
        let opened: Vec<_> = steps
            .iter()
            .map(|step| match step {
                Load(name) | Store(name, _) => open(name),
            })
            .collect();
        let mut seen = 0;
        for (step, variable) in steps.iter().zip(&opened) {
            match step {
                Load(_) => seen = seen * 4 + i32::from(load(variable)),
                Store(_, value) => store(variable, *value),
            }
        }
        seen
    })
}

fn variables() -> Tree {
    files(&[("x", "\0"), ("y", "\0")])
}

/// Explores a program with its processes in every order (of more than three: forwards and backwards) and holds it to the numbers.
fn check(name: &str, initial: &Tree, programs: &[Program], complete: u64, blocked: u64) {
    for order in orders(programs.len()) {
        let arranged: Vec<Program> = order.iter().map(|&at| programs[at].clone()).collect();
        let what = format!("{name}, processes in order {order:?}");
        assert_counts(&what, &classes(&arranged, initial), complete, blocked);
    }
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    match count {
        2 => vec![vec![0, 1], vec![1, 0]],
        3 => vec![vec![0, 1, 2], vec![0, 2, 1], vec![1, 0, 2], vec![1, 2, 0], vec![2, 0, 1], vec![2, 1, 0]],
        _ => vec![(0..count).collect(), (0..count).rev().collect()],
    }
}

#[test]
fn classical_tests_of_two_processes() {
    for (name, programs) in [
        ("SB", [&[Store("x", 1), Load("y")][..], &[Store("y", 1), Load("x")]]),
        ("MP", [&[Store("x", 1), Store("y", 1)], &[Load("y"), Load("x")]]),
        ("LB", [&[Load("x"), Store("y", 1)], &[Load("y"), Store("x", 1)]]),
        ("2+2W", [&[Store("x", 1), Store("y", 2)], &[Store("y", 1), Store("x", 2)]]),
        ("S", [&[Store("x", 2), Store("y", 1)], &[Load("y"), Store("x", 1)]]),
    ] {
        check(name, &variables(), &programs.map(accesses), 3, 0);
    }
}

#[test]
fn iriw() {
    let programs: [&[Step]; 4] =
        [&[Store("x", 1)], &[Store("y", 1)], &[Load("x"), Load("y")], &[Load("y"), Load("x")]];
    check("IRIW", &variables(), &programs.map(accesses), 15, 0);
}

#[test]
fn readers() {
    let reader: &[Step] = &[Load("x")];
    let programs: [&[Step]; 5] = [&[Store("x", 1)], reader, reader, reader, reader];
    check("readers(4)", &variables(), &programs.map(accesses), 16, 0);
}

/// A process that adds one to a variable.
fn increment() -> Program {
    process(|| {
        let variable = open("x");
        let value = load(&variable);
        store(&variable, value + 1);
        0
    })
}

#[test]
fn increments() {
    check("inc(2)", &variables(), &vec![increment(); 2], 4, 0);
    check("inc(3)", &variables(), &vec![increment(); 3], 36, 0);
}

#[test]
fn locked_increments() {
    let program = process(|| {
        let variable = open("x");
        let lock = Flock::lock(open("lock"), FlockArg::LockExclusive).expect("a lock");
        let value = load(&variable);
        store(&variable, value + 1);
        drop(lock);
        0
    });
    let initial = files(&[("lock", ""), ("x", "\0")]);
    check("lockinc(2)", &initial, &vec![program.clone(); 2], 2, 0);
    check("lockinc(3)", &initial, &vec![program.clone(); 3], 6, 0);
    let seen = classes(&vec![program; 3], &initial);
    assert_eq!(seen.outcomes.len(), 1, "every order of the sections gives the same");
}

/// A process that takes two locks, one after the other, and gives them back.
fn two_locks(first: String, second: String) -> Program {
    process(move || {
        let (first, second) = (open(&first), open(&second));
        let first = Flock::lock(first, FlockArg::LockExclusive).expect("a lock");
        let second = Flock::lock(second, FlockArg::LockExclusive).expect("a lock");
        drop(second);
        drop(first);
        0
    })
}

#[test]
fn two_locks_in_one_order_and_in_opposite_orders() {
    let initial = files(&[("a", ""), ("b", "")]);
    let program = |first: &str, second: &str| two_locks(first.into(), second.into());
    check("AB-AB", &initial, &[program("a", "b"), program("a", "b")], 2, 0);
    let opposite = [program("a", "b"), program("b", "a")];
    check("AB-BA", &initial, &opposite, 2, 1);
    let (by_class, all) = (classes(&opposite, &initial), schedules(&opposite, &initial));
    assert_eq!((by_class.outcomes, by_class.endings), (all.outcomes, all.endings));
}

#[test]
fn philosophers() {
    let programs: Vec<Program> =
        (0..3).map(|me| two_locks(format!("fork{me}"), format!("fork{}", (me + 1) % 3))).collect();
    let initial = files(&[("fork0", ""), ("fork1", ""), ("fork2", "")]);
    check("philosophers(3)", &initial, &programs, 6, 1);
}

#[test]
fn exclusive_creation() {
    let program = process(|| i32::from(create("lock")));
    for (count, orders) in [(2, 2), (3, 6)] {
        let programs = vec![program.clone(); count];
        check("excl", &Tree::new(), &programs, count as u64, 0);
        // Each process is one step.
        assert_counts("excl, every schedule", &schedules(&programs, &Tree::new()), orders, 0);
    }
}

#[test]
fn look_before_creating() {
    let program = process(|| if fs::metadata("made").is_ok() { 1 } else { i32::from(!create("made")) });
    let programs = vec![program; 2];
    check("2 × stat; create", &Tree::new(), &programs, 4, 0);
    let all = schedules(&programs, &Tree::new());
    assert_counts("2 × stat; create, every schedule", &all, 6, 0);
    assert_eq!(all.outcomes, classes(&programs, &Tree::new()).outcomes);
}

/// Reads the file by a call of its own, and gives a value that tells who wrote what, having read what.
fn read_data(me: u8) -> u8 {
    let file = fs::File::open("data").expect("the file is there");
    let mut byte = [b'-'];
    let _ = file.read_at(&mut byte, 0);
    byte[0].wrapping_mul(5).wrapping_add(me)
}

fn data() -> Tree {
    files(&[("data", "0")])
}

#[test]
fn read_and_replace() {
    let program = |me: u8, temporary: String| {
        process(move || {
            let value = read_data(me);
            let file = fs::File::create(&temporary).expect("a temporary file");
            file.write_all_at(&[value], 0).expect("a temporary file can be written");
            fs::rename(&temporary, "data").expect("both are there");
            0
        })
    };
    let private: Vec<Program> = (0..3).map(|me| program(me, format!("tmp{me}"))).collect();
    check("2 × read; private temporary; rename", &data(), &private[..2], 4, 0);
    check("3 × read; private temporary; rename", &data(), &private, 36, 0);
}

#[test]
fn read_truncate_and_write() {
    let program = |me: u8| {
        process(move || {
            let value = read_data(me);
            let file = fs::File::create("data").expect("the file");
            file.write_all_at(&[value], 0).expect("the file can be written");
            0
        })
    };
    check("2 × read; open(O_TRUNC); write", &data(), &[program(0), program(1)], 14, 0);
}

#[test]
fn a_reader_of_what_is_unlinked_before_it_is_replaced() {
    let writer = process(|| {
        fs::File::create("tmp").and_then(|file| file.write_all_at(b"1", 0)).expect("a temporary file");
        fs::remove_file("data").expect("the file is there");
        fs::rename("tmp", "data").expect("the temporary file is there");
        0
    });
    let reader = process(|| i32::from(fs::File::open("data").is_ok_and(|file| load(&file) == b'1')));
    check("temporary; unlink; rename ∥ reader", &data(), &[writer, reader], 3, 0);
}

#[test]
fn a_reader_of_what_is_truncated_before_it_is_written() {
    let writer = process(|| {
        let file = fs::File::create("data").expect("the file");
        file.write_all_at(b"1", 0).expect("the file can be written");
        0
    });
    let reader = process(|| {
        let mut byte = [b'-'];
        let _ = fs::File::open("data").expect("the file is there").read_at(&mut byte, 0);
        i32::from(byte[0])
    });
    check("open(O_TRUNC); write ∥ reader", &data(), &[writer, reader], 3, 0);
}

/// Every schedule of programs whose steps are all operations: as many as the orders in which their steps can be merged. One
/// execution of each class leaves all that they leave.
#[test]
fn every_schedule() {
    let store_buffering: [&[Step]; 2] = [&[Store("x", 1), Load("y")], &[Store("y", 1), Load("x")]];
    let programs = store_buffering.map(accesses);
    let all = schedules(&programs, &variables());
    // Two opens and two accesses each: 8! / (4! 4!).
    assert_counts("SB, every schedule", &all, 70, 0);
    assert_eq!(all.outcomes, classes(&programs, &variables()).outcomes);
    let programs = vec![increment(); 2];
    let all = schedules(&programs, &variables());
    // One open, one load, one store each: 6! / (3! 3!).
    assert_counts("inc(2), every schedule", &all, 20, 0);
    assert_eq!(all.outcomes, classes(&programs, &variables()).outcomes);
}

/// Each process puts its messages into a table of slots, claiming a free one by `O_EXCL` (Flanagan and Godefroid, POPL 2005).
#[test]
fn indexers() {
    let program = |me: usize| {
        process(move || {
            for message in 1..=4 {
                let mut slot = (message * 11 + me) * 7 % 128;
                while !create(&format!("slot{slot}")) {
                    slot = (slot + 1) % 128;
                }
            }
            0
        })
    };
    let programs: Vec<Program> = (0..12).map(program).collect();
    assert_counts("indexer(11)", &classes(&programs[..11], &Tree::new()), 1, 0);
    assert_counts("indexer(12)", &classes(&programs, &Tree::new()), 8, 0);
}

/// The first of the zeros at the end of an array, while others fill it.
#[test]
fn last_zero() {
    let name = |index: usize| -> Rc<str> { format!("a{index}").into() };
    let reader = |size: usize| {
        process(move || {
            let mut index = size;
            while load(&open(&name(index))) != 0 {
                index -= 1;
            }
            i32::try_from(index).expect("a small number")
        })
    };
    let writer = |index: usize| {
        process(move || {
            let value = load(&open(&name(index - 1)));
            store(&open(&name(index)), value + 1);
            0
        })
    };
    let initial = files(&[("a0", "\0"), ("a1", "\0"), ("a2", "\0"), ("a3", "\0")]);
    for (size, count) in [(2, 5), (3, 12)] {
        let programs: Vec<Program> = [reader(size)].into_iter().chain((1..=size).map(writer)).collect();
        check("lastzero", &initial, &programs, count, 0);
    }
}
