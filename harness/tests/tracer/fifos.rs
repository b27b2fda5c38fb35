//! FIFOs of the workspace between processes: who waits for whom, in every order and in no other.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use cooks_harness::model::{Ending, Entry, Execution, Exit, ProcessId, Tree};
use cooks_harness::tracer::Program;

use crate::support::{
    Follow, OneAfterTheOther, assert_counts, classes, content, execution, files, load, open, process, python,
    schedules, shell, store, tracer, uncovered,
};

/// The classes of a write that does not fit: complete, and blocked.
const FULL: (u64, u64) = (10, 0);

/// Those of a wait for one of two FIFOs.
const SEVERAL: (u64, u64) = (40, 1);

/// A workspace with FIFOs of these names.
fn fifos(names: &[&str]) -> Tree {
    let fifo = || Entry::Other { kind: "fifo".into(), mode: 0o644 };
    names.iter().map(|name| ((*name).to_owned(), fifo())).collect()
}

fn to(name: &str) -> File {
    OpenOptions::new().write(true).open(name).expect("a FIFO to write")
}

fn from(name: &str) -> File {
    File::open(name).expect("a FIFO to read")
}

/// Reads once; the first byte, or 0 at the end.
fn first(fifo: &mut File) -> i32 {
    let mut buffer = [0; 16];
    let length = fifo.read(&mut buffer).expect("a FIFO can be read");
    if length == 0 { 0 } else { i32::from(buffer[0]) }
}

/// Explores, and holds the outcomes to those of all schedules.
fn held(
    what: &str,
    programs: &[Program],
    initial: &Tree,
    complete: u64,
    blocked: u64,
) -> crate::support::Seen {
    let seen = classes(programs, initial);
    assert_eq!(seen.outcomes, schedules(programs, initial).outcomes, "{what}");
    assert_counts(what, &seen, complete, blocked);
    seen
}

fn reads(names: &'static [&str]) -> Program {
    process(move || names.iter().map(|name| first(&mut from(name))).sum())
}

fn writes(name: &'static str, text: &'static str) -> Program {
    process(move || {
        to(name).write_all(text.as_bytes()).expect("a FIFO can be written");
        0
    })
}

#[test]
fn the_ends_of_a_fifo_meet() {
    let programs = [process(|| drop_ok(from("pipe"))), process(|| drop_ok(to("pipe")))];
    // Who comes first waits for the other; that one closes its end before the first one goes on, or after.
    held("two ends", &programs, &fifos(&["pipe"]), 4, 0);
}

fn drop_ok<T>(of: T) -> i32 {
    drop(of);
    0
}

#[test]
fn what_is_written_is_read() {
    // The writer first; or the reader, which goes on before the writer closes its end, or after.
    let seen = held("a line", &[writes("pipe", "1"), reads(&["pipe"])], &fifos(&["pipe"]), 3, 0);
    let read: BTreeSet<_> = seen.outcomes.iter().map(|outcome| outcome.exits[1]).collect();
    assert_eq!(read, [Some(Exit::Status(49))].into());
}

/// Runs one process after another, where that can go on.
fn to_the_end(programs: &[Program], initial: Tree) -> Execution {
    execution(&mut tracer(programs, initial), &mut OneAfterTheOther)
}

#[test]
fn who_reads_what_nobody_writes_waits_for_it_by_name() {
    let programs = [reads(&["pipe"]), process(|| 0)];
    let seen = classes(&programs, &fifos(&["pipe"]));
    assert_counts("no writer", &seen, 0, 1);
    let Ending::Blocked(waiting) = to_the_end(&programs, fifos(&["pipe"])).ending else {
        panic!("a reader without a writer comes to an end")
    };
    let [at] = &waiting[..] else { panic!("{waiting:?}") };
    assert_eq!((at.process, at.operation.call.path.as_deref()), (ProcessId(0), Some("pipe")));
    assert_eq!(at.operation.call.detail, "read, waits for a writer");
}

/// Each has one FIFO to write and waits for what comes through the other.
#[test]
fn two_who_wait_for_each_other_are_a_ring() {
    let both = |own: &'static str, other: &'static str| {
        process(move || {
            let open = |name| OpenOptions::new().read(true).write(true).open(name).expect("a FIFO");
            let (mut own, mut other) = (open(own), open(other));
            let byte = first(&mut other);
            own.write_all(b"x").expect("a FIFO can be written");
            byte
        })
    };
    let programs = [both("x", "y"), both("y", "x")];
    let seen = classes(&programs, &fifos(&["x", "y"]));
    assert_eq!((seen.counts.complete, seen.counts.redundant), (0, 0));
    let Ending::Blocked(waiting) = to_the_end(&programs, fifos(&["x", "y"])).ending else {
        panic!("it comes to an end")
    };
    let ring: Vec<_> = waiting
        .iter()
        .map(|at| (at.process.0, at.operation.call.path.as_deref(), at.holders.clone()))
        .collect();
    assert_eq!(ring, [(0, Some("y"), vec![ProcessId(1)]), (1, Some("x"), vec![ProcessId(0)])]);
}

/// Adds one to a variable; where it `locks`, while it has the byte that is in a FIFO.
fn adds(locks: bool, begins: bool) -> Program {
    process(move || {
        let mut token = OpenOptions::new().read(true).write(true).open("lock").expect("a FIFO");
        if begins {
            token.write_all(b".").expect("a FIFO can be written");
        }
        if locks {
            first(&mut token);
        }
        let variable = open("x");
        store(&variable, load(&variable) + 1);
        if locks {
            token.write_all(b".").expect("a FIFO can be written");
        }
        // What is in a FIFO is lost when nobody has it open: who begins stays to the end.
        if begins { i32::from(first(&mut from("done")) != 0) } else { drop_ok(to("done")) }
    })
}

#[test]
fn a_byte_in_a_fifo_is_a_lock() {
    let initial = || fifos(&["lock", "done"]).into_iter().chain(files(&[("x", "0")])).collect::<Tree>();
    let left = |locks| {
        let programs = [adds(locks, true), adds(locks, false)];
        let seen = classes(&programs, &initial());
        assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0));
        assert_eq!(seen.outcomes, schedules(&programs, &initial()).outcomes);
        seen.outcomes.iter().map(|outcome| content(&outcome.tree, "x").to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(left(true), ["2".to_owned()].into());
    assert_eq!(left(false), ["1".to_owned(), "2".to_owned()].into());
}

/// Lines of two writers, as one who reads to the end gets them.
fn lines() -> [Program; 3] {
    let reader = process(|| {
        let mut text = Vec::new();
        from("pipe").read_to_end(&mut text).expect("a FIFO can be read");
        std::fs::write("log", text).expect("a file can be written");
        0
    });
    [writes("pipe", "1"), writes("pipe", "2"), reader]
}

#[test]
fn lines_come_in_every_order() {
    let initial: Tree = fifos(&["pipe"]).into_iter().chain(files(&[("log", "")])).collect();
    let programs = lines();
    let seen = classes(&programs, &initial);
    assert_eq!(seen.counts.redundant, 0);
    // The second writer may come when the reader has seen the end: it writes what nobody reads; or when that has gone, and waits for
    // ever.
    let logs: BTreeSet<(String, bool)> = seen
        .outcomes
        .iter()
        .map(|outcome| (content(&outcome.tree, "log").to_owned(), outcome.exits.iter().all(Option::is_some)))
        .collect();
    let wanted = [("1", false), ("1", true), ("12", true), ("2", false), ("2", true), ("21", true)];
    assert_eq!(logs, wanted.map(|(log, all)| (log.to_owned(), all)).into());
    // Followed again, each is the same.
    let mut one = tracer(&programs, initial);
    for schedule in seen.schedules.iter().step_by(7) {
        let run = execution(&mut one, &mut Follow(schedule));
        for _ in 0..20 {
            assert_eq!(execution(&mut one, &mut Follow(schedule)), run);
        }
    }
}

#[test]
fn python_and_shell_send_lines() {
    let reader = shell("read line < pipe; echo $line > log");
    let writer = python("open('pipe', 'w').write('hello\\n')");
    let initial: Tree = fifos(&["pipe"]);
    let mut one = tracer(&[reader, writer], initial);
    let run = execution(&mut one, &mut crate::support::InTurn);
    assert!(run.is_complete(), "{:?}", run.ending);
    assert_eq!(content(&run.outcome.tree, "log"), "hello\n");
}

#[test]
fn a_fifo_that_nobody_reads_breaks_and_one_that_does_not_wait_is_refused() {
    let leaves = process(|| drop_ok(from("pipe")));
    let two = process(|| {
        let mut pipe = to("pipe");
        i32::from(pipe.write_all(b"1").is_err())
    });
    let seen = classes(&[leaves, two], &fifos(&["pipe"]));
    assert_eq!(seen.counts.redundant, 0);
    let exits: BTreeSet<_> = seen.outcomes.iter().map(|outcome| outcome.exits[1]).collect();
    // Rust ignores SIGPIPE in its programs.
    assert_eq!(exits, [Some(Exit::Status(0)), Some(Exit::Status(1))].into());
    let tries = process(|| {
        let opened = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open("pipe");
        opened.map_or_else(|error| error.raw_os_error().unwrap_or(0), |_| 0)
    });
    let waits = process(|| drop_ok(from("pipe")));
    let seen = classes(&[tries, waits], &fifos(&["pipe"]));
    let exits: BTreeSet<_> = seen.outcomes.iter().map(|outcome| outcome.exits.clone()).collect();
    let status = |status| Some(Exit::Status(status));
    assert_eq!(exits, [vec![status(0), status(0)], vec![status(libc::ENXIO), None]].into());
    assert_counts("who does not wait", &seen, 2, 1);
}

/// Within one process the two ends come together as its tasks do.
#[test]
fn a_fifo_within_a_process_is_its_own() {
    let own = |name: &str| shell(&format!("mkfifo {name}; echo 1 > {name} & cat {name} > {name}.out; wait"));
    let programs = [own("a"), own("b")];
    let seen = classes(&programs, &Tree::new());
    assert_counts("two with a FIFO each", &seen, 1, 0);
    let outcome = seen.outcomes.first().expect("an outcome");
    assert_eq!((content(&outcome.tree, "a.out"), content(&outcome.tree, "b.out")), ("1\n", "1\n"));
}

/// What is not scheduled of FIFOs is said.
#[test]
fn what_is_not_scheduled_is_said() {
    let not_covered = |script: &str| {
        let mut one = tracer(&[python(script), process(|| 0)], fifos(&["pipe"]));
        execution(&mut one, &mut OneAfterTheOther);
        uncovered(&one)
    };
    let opens = "import fcntl, os; pipe = os.open('pipe', os.O_RDWR); os.write(pipe, b'x')";
    let splices = "a, b = os.pipe(); os.splice(pipe, b, 1)";
    assert_eq!(
        not_covered(&format!("{opens}; {splices}")),
        ["splice with a FIFO or a Unix socket of the workspace"]
    );
    let resizes = "fcntl.fcntl(pipe, 1031, 4096)";
    let said = "the size of a FIFO of the workspace (F_SETPIPE_SZ)";
    assert_eq!(not_covered(&format!("{opens}; {resizes}")), [said]);
    assert!(not_covered(opens).is_empty());
}

/// Waits for one of two FIFOs in each way that there is to wait for several things. A writer that comes later may find it gone.
#[test]
fn who_waits_for_several_is_told_of_each() {
    let ways = [
        ("poll", "poll = select.poll(); poll.register(x, 1); poll.register(y, 1); got = dict(poll.poll())"),
        ("select", "got = select.select([x, y], [], [])[0]"),
        ("epoll", "poll = select.epoll(); poll.register(x, 1); poll.register(y, 1); got = dict(poll.poll())"),
    ];
    for (way, waits) in ways {
        let opens = "import os, select; x, y = (os.open(name, os.O_RDWR) for name in 'xy')";
        let reader = python(&format!("{opens}; {waits}; os._exit((x in got) + 2 * (y in got))"));
        let writer = process(|| {
            for name in ["y", "x"] {
                let opened = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(name);
                let Ok(mut pipe) = opened else { return 0 };
                pipe.write_all(name.as_bytes()).expect("a FIFO can be written");
            }
            0
        });
        let seen = classes(&[reader, writer], &fifos(&["x", "y"]));
        assert_counts(way, &seen, SEVERAL.0, SEVERAL.1);
        let told: BTreeSet<_> = seen.outcomes.iter().map(|outcome| outcome.exits[0]).collect();
        assert_eq!(told, [None, Some(Exit::Status(2)), Some(Exit::Status(3))].into(), "{way}");
    }
}

/// Writes the name of a FIFO into it, and waits for ever, the FIFO open.
fn stays(name: &'static str) -> Program {
    process(move || {
        let mut pipe = OpenOptions::new().read(true).write(true).open(name).expect("a FIFO");
        pipe.write_all(name.as_bytes()).expect("a FIFO can be written");
        first(&mut OpenOptions::new().read(true).write(true).open("never").expect("a FIFO"))
    })
}

/// A limit in time is one choice, the other end the other.
#[test]
fn a_wait_for_the_other_end_runs_out() {
    let reader = shell("timeout 5 cat pipe; echo $? > log");
    let initial = fifos(&["pipe"]);
    let seen = classes(&[reader, writes("pipe", "x")], &initial);
    let logs: BTreeSet<String> =
        seen.outcomes.iter().map(|outcome| content(&outcome.tree, "log").trim().to_owned()).collect();
    assert_eq!(logs, ["0".to_owned(), "124".to_owned()].into());
}

/// A wait for several things runs out, or what it waits for comes in time.
#[test]
fn a_wait_for_several_things_runs_out() {
    let reader = python(
        "import os, select; x = os.open('x', os.O_RDWR); \
         open('log', 'w').write(str(len(select.select([x], [], [], 5)[0])))",
    );
    let initial: Tree = fifos(&["x", "never"]).into_iter().chain(files(&[("log", "")])).collect();
    let seen = classes(&[reader, stays("x")], &initial);
    assert_eq!(seen.counts.redundant, 0);
    let logs: BTreeSet<&str> = seen.outcomes.iter().map(|outcome| content(&outcome.tree, "log")).collect();
    assert_eq!(logs, ["0", "1"].into());
}

/// What another thread does ends a wait as well.
#[test]
fn a_wait_for_several_things_is_ended_from_within() {
    let script = "import os, select, threading; x = os.open('x', os.O_RDWR); a, b = os.pipe(); \
                  threading.Timer(1, lambda: os.write(b, b'.')).start(); \
                  open('log', 'w').write(str(select.select([x, a], [], [])[0] == [a]))";
    let initial: Tree = fifos(&["x"]).into_iter().chain(files(&[("log", "")])).collect();
    let seen = classes(&[python(script), process(|| 0)], &initial);
    assert_counts("woken from within", &seen, 1, 0);
    assert_eq!(content(&seen.outcomes.first().expect("an outcome").tree, "log"), "True");
}

/// Who writes more than fits waits until somebody reads, and has written all of it then.
#[test]
fn who_fills_a_fifo_waits_for_who_reads() {
    let writer = process(|| {
        let mut pipe = to("pipe");
        let written = pipe.write(&[b'x'; 100_000]).expect("a FIFO can be written");
        i32::from(written != 100_000)
    });
    let reader = process(|| {
        let mut text: Vec<u8> = Vec::new();
        let mut pipe = from("pipe");
        let mut buffer = vec![0; 60_000];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            text.extend(&buffer[..length]);
        }
        i32::from(text != vec![b'x'; 100_000])
    });
    let seen = held("a full FIFO", &[writer, reader], &fifos(&["pipe"]), FULL.0, FULL.1);
    assert!(seen.outcomes.iter().all(|outcome| outcome.exits == [Some(Exit::Status(0)); 2]));
}

#[test]
fn two_who_fill_fifos_before_they_read_wait_for_each_other() {
    let fills = |own: &'static str, other: &'static str| {
        process(move || {
            let open = |name| OpenOptions::new().read(true).write(true).open(name).expect("a FIFO");
            let (mut own, mut other) = (open(own), open(other));
            own.write_all(&[b'x'; 65_537]).expect("a FIFO can be written");
            first(&mut other)
        })
    };
    let programs = [fills("x", "y"), fills("y", "x")];
    let seen = classes(&programs, &fifos(&["x", "y"]));
    assert_eq!((seen.counts.complete, seen.counts.redundant), (0, 0));
    let Ending::Blocked(waiting) = to_the_end(&programs, fifos(&["x", "y"])).ending else {
        panic!("it comes to an end")
    };
    let waits = |at: &cooks_harness::model::Waiting| (at.process.0, at.operation.call.detail.clone());
    let wanted = [(0, "waits for room".to_owned()), (1, "waits for room".to_owned())];
    assert_eq!(waiting.iter().map(waits).collect::<Vec<_>>(), wanted);
}

/// A shell that writes what nobody reads any more is killed by `SIGPIPE`.
#[test]
fn who_writes_what_nobody_reads_is_killed() {
    let reader = shell("exec 3<pipe");
    let writer = shell("exec 3>pipe; echo 1 >&3; echo 2 >&3");
    let seen = classes(&[reader, writer], &fifos(&["pipe"]));
    assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0));
    let exits: BTreeSet<_> = seen.outcomes.iter().map(|outcome| outcome.exits[1]).collect();
    assert_eq!(exits, [Some(Exit::Status(0)), Some(Exit::Signal(libc::SIGPIPE))].into());
}

/// Who does not wait is told that nothing is there, or that nobody will send.
#[test]
fn who_does_not_wait_is_told() {
    let reads = process(|| {
        let mut pipe =
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("pipe").expect("a FIFO");
        match pipe.read(&mut [0; 9]) {
            Ok(length) => i32::try_from(length).expect("a small number"),
            Err(error) => error.raw_os_error().unwrap_or(1),
        }
    });
    let seen = classes(&[reads, writes("pipe", "12")], &fifos(&["pipe"]));
    assert_eq!(seen.counts.redundant, 0);
    let read: BTreeSet<_> = seen.outcomes.iter().map(|outcome| outcome.exits[0]).collect();
    assert_eq!(read, [0, 2, libc::EAGAIN].map(|status| Some(Exit::Status(status))).into());
}

/// A process writes into a FIFO. Another one does what is to be done `before`, and then asks twice when the FIFO was changed.
fn writer_and_looker(before: fn()) -> crate::support::Seen {
    let writer = process(|| {
        let mut both = OpenOptions::new().read(true).write(true).open("pipe").expect("a FIFO");
        i32::from(both.write_all(b"x").is_err())
    });
    let looker = process(move || {
        before();
        i32::from(changed_at("pipe") != changed_at("pipe"))
    });
    let (programs, initial) = ([writer, looker], fifos(&["pipe"]));
    let seen = classes(&programs, &initial);
    assert_eq!(seen.outcomes, schedules(&programs, &initial).outcomes);
    seen
}

fn changed_at(name: &str) -> std::time::SystemTime {
    std::fs::metadata(name).and_then(|told| told.modified()).expect("it is there")
}

#[test]
fn a_look_at_a_fifo_depends_on_no_write_into_it() {
    assert_counts("two looks beside a write", &writer_and_looker(|| ()), 1, 0);
}

#[test]
fn who_waits_for_time_to_pass_sees_a_fifo_change() {
    let seen = writer_and_looker(|| std::thread::sleep(std::time::Duration::from_millis(1)));
    assert_counts("before each of the looks, and behind them", &seen, 3, 0);
}

#[test]
fn what_is_read_from_a_fifo_brings_the_time_with_it() {
    let reader = process(|| {
        let before = changed_at("pipe");
        let read = first(&mut from("pipe"));
        i32::from(read == 0 || changed_at("pipe") <= before)
    });
    let seen = classes(&[writes("pipe", "x"), reader], &fifos(&["pipe"]));
    assert!(seen.outcomes.iter().all(|outcome| outcome.exits[1].is_some_and(Exit::is_success)));
}
