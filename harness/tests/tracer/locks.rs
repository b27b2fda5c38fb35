//! File locks of real processes: who waits, who goes on, what releases; each as the kernel has it.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use cooks_harness::model::{Ending, Event, Exit, ProcessId, Tree};
use cooks_harness::tracer::Program;
use nix::fcntl::{FcntlArg, FlockArg, fcntl};

use crate::support::{
    InTurn, Seen, assert_counts, classes, content, execution, files, in_turn, open, process, python,
    schedules, tracer,
};

/// How to lock a file as a whole.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Flock,
    Posix,
    Ofd,
}

const KINDS: [Kind; 3] = [Kind::Flock, Kind::Posix, Kind::Ofd];

fn region(kind: i32, start: i64, length: i64) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: start,
        l_len: length,
        l_pid: 0,
    }
}

impl Kind {
    /// Takes the exclusive lock of a file, and waits for it.
    fn lock(self, file: &File) {
        let whole = region(libc::F_WRLCK, 0, 0);
        match self {
            Self::Flock => flock(file, FlockArg::LockExclusive),
            Self::Posix => fcntl(file, FcntlArg::F_SETLKW(&whole)).map(drop).expect("a lock"),
            Self::Ofd => fcntl(file, FcntlArg::F_OFD_SETLKW(&whole)).map(drop).expect("a lock"),
        }
    }

    fn unlock(self, file: &File) {
        let whole = region(libc::F_UNLCK, 0, 0);
        match self {
            Self::Flock => flock(file, FlockArg::Unlock),
            Self::Posix => fcntl(file, FcntlArg::F_SETLK(&whole)).map(drop).expect("no lock"),
            Self::Ofd => fcntl(file, FcntlArg::F_OFD_SETLK(&whole)).map(drop).expect("no lock"),
        }
    }
}

/// `flock` on a descriptor that stays open, and is not unlocked at the end of a scope.
#[allow(deprecated)]
fn flock(file: impl AsFd, how: FlockArg) {
    use std::os::fd::AsRawFd;
    nix::fcntl::flock(file.as_fd().as_raw_fd(), how).expect("flock");
}

/// Adds a line to a file by reading it whole and writing it whole.
fn rewrite(path: &str, line: &str) {
    let text = fs::read_to_string(path).expect("the file is there");
    fs::write(path, text + line + "\n").expect("the file can be written");
}

fn workspace() -> Tree {
    files(&[("lock", ""), ("log", "begin\n")])
}

fn under_a_lock(kind: Kind, name: &'static str) -> Program {
    process(move || {
        let lock = open("lock");
        kind.lock(&lock);
        rewrite("log", name);
        kind.unlock(&lock);
        0
    })
}

#[test]
fn sections_under_a_lock_come_in_every_order_and_one_at_a_time() {
    for kind in KINDS {
        let programs: Vec<Program> = ["a", "b", "c"].map(|name| under_a_lock(kind, name)).into();
        for (count, orders) in [(2, 2), (3, 6)] {
            let seen = classes(&programs[..count], &workspace());
            assert_counts(&format!("{count} under {kind:?}"), &seen, orders, 0);
            let logs: Vec<&str> = seen.outcomes.iter().map(|outcome| content(&outcome.tree, "log")).collect();
            assert_eq!(logs.len() as u64, orders, "{kind:?}: each order leaves another log: {logs:?}");
            assert!(logs.iter().all(|log| log.lines().count() == count + 1), "{kind:?}: {logs:?}");
        }
    }
}

/// Without unlocking: the end of a process is an operation that releases.
#[test]
fn the_end_of_a_process_releases() {
    for kind in KINDS {
        let program = |name: &'static str| {
            process(move || {
                let lock = open("lock");
                kind.lock(&lock);
                rewrite("log", name);
                std::mem::forget(lock);
                0
            })
        };
        let seen = classes(&[program("a"), program("b")], &workspace());
        assert_counts(&format!("{kind:?}"), &seen, 2, 0);
    }
}

fn killed_in_its_section(kind: Kind) -> Program {
    process(move || {
        let lock = open("lock");
        kind.lock(&lock);
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).expect("a signal to oneself");
        0
    })
}

#[test]
fn a_process_that_is_killed_releases() {
    for kind in KINDS {
        let seen = classes(&[killed_in_its_section(kind), under_a_lock(kind, "b")], &workspace());
        assert_counts(&format!("{kind:?}"), &seen, 2, 0);
        let outcome = seen.outcomes.first().expect("an outcome");
        assert_eq!(outcome.exits, [Some(Exit::Signal(libc::SIGKILL)), Some(Exit::Status(0))], "{kind:?}");
    }
}

#[test]
fn two_locks_in_opposite_orders_wait_for_each_other() {
    // Of two waits for POSIX locks, the kernel refuses one: see `cycles.rs`.
    for kind in [Kind::Flock, Kind::Ofd] {
        let program = |first: &'static str, second: &'static str| {
            process(move || {
                let (first, second) = (open(first), open(second));
                kind.lock(&first);
                kind.lock(&second);
                kind.unlock(&second);
                kind.unlock(&first);
                0
            })
        };
        let initial = files(&[("a", ""), ("b", "")]);
        let programs = [program("a", "b"), program("b", "a")];
        let seen = classes(&programs, &initial);
        assert_counts(&format!("{kind:?}"), &seen, 2, 1);
        let both = vec![ProcessId(0), ProcessId(1)];
        assert_eq!(seen.endings.into_iter().collect::<Vec<_>>(), [Vec::new(), both], "{kind:?}");
        let deadlock = execution(&mut tracer(&programs, initial), &mut InTurn);
        let Ending::Blocked(waiting) = deadlock.ending else { panic!("{kind:?}: in turn they meet") };
        let holders: Vec<_> = waiting.iter().map(|waiting| waiting.holders.clone()).collect();
        assert_eq!(holders, [[ProcessId(1)], [ProcessId(0)]], "{kind:?}");
    }
}

/// What each process of two saw, over all schedules; the search finds the same by classes.
fn exits(programs: &[Program; 2], initial: &Tree) -> Vec<(i32, i32)> {
    let (seen, all): (Seen, Seen) = (classes(programs, initial), schedules(programs, initial));
    assert_eq!(seen.outcomes, all.outcomes);
    let status = |exit: Option<Exit>| match exit {
        Some(Exit::Status(status)) => status,
        other => panic!("{other:?}"),
    };
    seen.outcomes.iter().map(|outcome| (status(outcome.exits[0]), status(outcome.exits[1]))).collect()
}

/// Tries a lock; 1 where it is refused.
fn tries(kind: Kind) -> Program {
    process(move || {
        let file = open("lock");
        let whole = region(libc::F_WRLCK, 0, 0);
        #[allow(deprecated)]
        let result = match kind {
            Kind::Flock => {
                use std::os::fd::AsRawFd;
                nix::fcntl::flock(file.as_raw_fd(), FlockArg::LockExclusiveNonblock)
            }
            Kind::Posix => fcntl(&file, FcntlArg::F_SETLK(&whole)).map(drop),
            Kind::Ofd => fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)).map(drop),
        };
        let refused = result.is_err();
        std::mem::forget(file);
        i32::from(refused)
    })
}

#[test]
fn a_try_is_refused_or_has_it() {
    for kind in KINDS {
        assert_eq!(exits(&[tries(kind), tries(kind)], &workspace()), [(0, 0), (0, 1), (1, 0)], "{kind:?}");
    }
}

#[test]
fn posix_and_ofd_locks_exclude_each_other_and_flock_is_apart() {
    for (kinds, outcomes) in [
        ([Kind::Posix, Kind::Ofd], vec![(0, 0), (0, 1), (1, 0)]),
        ([Kind::Flock, Kind::Posix], vec![(0, 0)]),
        ([Kind::Flock, Kind::Ofd], vec![(0, 0)]),
    ] {
        assert_eq!(exits(&kinds.map(tries), &workspace()), outcomes, "{kinds:?}");
    }
}

/// Holds a lock, then another descriptor of the same file is opened and closed.
fn holds_and_closes_another(kind: Kind) -> Program {
    process(move || {
        let lock = open("lock");
        kind.lock(&lock);
        drop(open("lock"));
        rewrite("log", "held");
        kind.unlock(&lock);
        0
    })
}

/// Closing any descriptor of a file drops the process's POSIX locks on it, and nobody else's: so only they lose an update here.
#[test]
fn closing_any_descriptor_drops_posix_locks() {
    for (kind, serial) in [(Kind::Posix, false), (Kind::Ofd, true), (Kind::Flock, true)] {
        let seen = classes(&[holds_and_closes_another(kind), holds_and_closes_another(kind)], &workspace());
        let lines = seen.outcomes.iter().map(|outcome| content(&outcome.tree, "log").lines().count());
        assert_eq!(lines.min() == Some(3), serial, "{kind:?}");
        assert_eq!(seen.counts.blocked, 0);
    }
}

/// A copy of a descriptor shares its `flock`: the lock is held until both are closed.
#[test]
fn a_copied_descriptor_keeps_the_flock() {
    let program = || {
        process(|| {
            let lock = open("lock");
            flock(&lock, FlockArg::LockExclusive);
            let copy = lock.try_clone().expect("a copy");
            drop(lock);
            rewrite("log", "held");
            drop(copy);
            0
        })
    };
    assert_counts("copied", &classes(&[program(), program()], &workspace()), 2, 0);
}

/// A child inherits the description, and with it the lock: it is held while the child lives, its parent gone or not.
#[test]
fn a_child_keeps_the_flock_that_it_inherited() {
    let program = || {
        process(|| {
            let lock = open("lock");
            flock(&lock, FlockArg::LockExclusive);
            // The child writes; the parent does not wait for it, and closes its own descriptor.
            let mut child = Command::new("sh");
            child.args(["-c", "read x < log; echo held >> log"]).stdin(lock);
            let mut child = child.spawn().expect("a shell");
            drop(open("log"));
            child.wait().map_or(1, |status| i32::from(!status.success()))
        })
    };
    let seen = classes(&[program(), program()], &workspace());
    assert!(seen.outcomes.iter().all(|outcome| content(&outcome.tree, "log") == "begin\nheld\nheld\n"));
    assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0));
}

/// From shared to exclusive the lock is given up in between: two that both convert can both have written in between.
#[test]
fn a_conversion_gives_up_the_shared_lock_first() {
    let program = |name: &'static str| {
        process(move || {
            let lock = open("lock");
            flock(&lock, FlockArg::LockShared);
            let text = fs::read_to_string("log").expect("the file is there");
            flock(&lock, FlockArg::LockExclusive);
            fs::write("log", format!("{text}{name}\n")).expect("the file can be written");
            flock(&lock, FlockArg::Unlock);
            0
        })
    };
    let seen = classes(&[program("a"), program("b")], &workspace());
    assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0), "a conversion is no deadlock");
    let logs: Vec<&str> = seen.outcomes.iter().map(|outcome| content(&outcome.tree, "log")).collect();
    assert_eq!(logs, ["begin\na\n", "begin\na\nb\n", "begin\nb\n", "begin\nb\na\n"]);
}

/// A record lock that both hold shared, and both want exclusive: the kernel refuses nobody at once, each waits for the other.
#[test]
fn two_conversions_of_a_record_lock_wait_for_each_other() {
    let program = || {
        process(|| {
            let lock = open("lock");
            fcntl(&lock, FcntlArg::F_OFD_SETLKW(&region(libc::F_RDLCK, 0, 1))).expect("a shared lock");
            fcntl(&lock, FcntlArg::F_OFD_SETLKW(&region(libc::F_WRLCK, 0, 1))).expect("the exclusive lock");
            0
        })
    };
    let seen = classes(&[program(), program()], &workspace());
    assert_counts("conversions", &seen, 2, 1);
}

#[test]
fn ranges_that_do_not_overlap_do_not_exclude_each_other() {
    let program = |start: i64| {
        process(move || {
            let lock = open("lock");
            fcntl(&lock, FcntlArg::F_SETLKW(&region(libc::F_WRLCK, start, 10))).expect("a lock");
            fcntl(&lock, FcntlArg::F_SETLK(&region(libc::F_UNLCK, start, 10))).expect("no lock");
            0
        })
    };
    let two = |other: i64| classes(&[program(0), program(other)], &workspace());
    assert_counts("0..10 and 10..20", &two(10), 1, 0);
    assert_counts("0..10 and 9..19", &two(9), 2, 0);
}

/// Two shared sections are one class; an exclusive one comes before, between and after.
#[test]
fn shared_locks_commute() {
    let shared = process(|| {
        let lock = open("lock");
        flock(&lock, FlockArg::LockShared);
        let mut text = String::new();
        let mut log = open("log");
        log.read_to_string(&mut text).expect("the file can be read");
        log.rewind().expect("a file can be rewound");
        flock(&lock, FlockArg::Unlock);
        0
    });
    let exclusive = process(|| {
        let lock = open("lock");
        flock(&lock, FlockArg::LockExclusive);
        let mut log = open("log");
        log.write_all(b"changed").expect("the file can be written");
        flock(&lock, FlockArg::Unlock);
        0
    });
    assert_counts("two shared", &classes(&[shared.clone(), shared.clone()], &workspace()), 1, 0);
    assert_counts("and one exclusive", &classes(&[shared.clone(), shared, exclusive], &workspace()), 4, 0);
}

/// A process that waits for a lock it holds itself, by another description, waits for ever.
#[test]
fn a_process_can_lock_itself_out() {
    let program = process(|| {
        let (one, other) = (open("lock"), open("lock"));
        flock(&one, FlockArg::LockExclusive);
        flock(&other, FlockArg::LockExclusive);
        0
    });
    let Ending::Blocked(waiting) = in_turn(&[program], workspace()).ending else { panic!("it goes on") };
    assert_eq!(waiting[0].holders, [ProcessId(0)]);
}

/// The lock file is replaced by each holder: two can be in their sections at once, each with a lock of a file of its own.
#[test]
fn a_lock_file_that_is_unlinked_protects_nobody() {
    let program = |name: &'static str| {
        process(move || {
            let lock = File::options().write(true).create(true).truncate(false).open("lock").expect("a file");
            flock(&lock, FlockArg::LockExclusive);
            rewrite("log", name);
            let _ = fs::remove_file("lock");
            drop(lock);
            0
        })
    };
    let two: Vec<Program> = vec![program("a"), program("b")];
    let lost = |seen: &Seen, all: usize| {
        seen.outcomes.iter().filter(|outcome| content(&outcome.tree, "log").lines().count() < all).count()
    };
    let seen = classes(&two, &files(&[("log", "begin\n")]));
    assert_eq!((lost(&seen, 3), seen.counts.blocked), (0, 0), "it takes three");
}

/// `exec` closes what is marked so, and releases its lock.
#[test]
fn exec_releases_what_it_closes() {
    let program = || {
        process(|| {
            let lock = open("lock");
            flock(&lock, FlockArg::LockExclusive);
            rewrite("log", "held");
            let error = Command::new("cat").arg("log").exec();
            panic!("exec: {error}")
        })
    };
    let seen = classes(&[program(), program()], &workspace());
    assert!(seen.outcomes.iter().all(|outcome| content(&outcome.tree, "log") == "begin\nheld\nheld\n"));
    assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0));
    // Who comes first prints what it wrote, or the other's file cut to nothing, or what both wrote.
    assert_eq!(seen.outcomes.len(), 5);
}

/// Who waits for itself cannot go on in any order: the others' locks do not race with that.
#[test]
fn who_locks_itself_out_does_not_race() {
    let stuck = process(|| {
        let (one, other) = (open("lock"), open("lock"));
        flock(&one, FlockArg::LockShared);
        flock(&other, FlockArg::LockExclusive);
        0
    });
    let shared = process(|| {
        let lock = open("lock");
        flock(&lock, FlockArg::LockShared);
        flock(&lock, FlockArg::Unlock);
        0
    });
    for programs in [[stuck.clone(), shared.clone()], [shared, stuck]] {
        assert_counts("locked out", &classes(&programs, &workspace()), 0, 1);
    }
}

/// A descriptor that another one is put in place of is closed, and what it held given back: in a step.
#[test]
fn a_lock_is_given_back_by_what_takes_the_place_of_its_descriptor() {
    let replaces = process(|| {
        let (lock, other) = (open("lock"), File::open("/dev/null").expect("a device"));
        flock(&lock, FlockArg::LockExclusive);
        let mut replaced = OwnedFd::from(lock);
        nix::unistd::dup2(&other, &mut replaced).map_or(1, |()| 0)
    });
    let ran = in_turn(&[replaces, process(|| 0)], files(&[("lock", "")]));
    let released = |event: &Event| {
        event.operation.call.name.starts_with("dup") && event.operation.call.detail == "releases the lock"
    };
    assert_eq!(ran.trace.iter().filter(|event| released(event)).count(), 1, "{:#?}", ran.trace);
}

/// A thread is held at a write by the descriptor that another one closes. The kernel keeps nothing open for a call that has not begun:
/// closing the descriptor gives the lock back.
#[test]
fn closing_gives_a_lock_back_though_a_thread_is_held_at_a_call_by_it() {
    let script = "
import fcntl, os, threading
f = os.open('lock', os.O_RDWR)
fcntl.flock(f, fcntl.LOCK_EX)
writes = threading.Thread(target=lambda: os.write(f, b'x'))
writes.start()
os.close(f)
writes.join()
";
    let waits = process(|| {
        flock(open("lock"), FlockArg::LockExclusive);
        0
    });
    let programs = [python(script), waits];
    let initial = files(&[("lock", "")]);
    let seen = classes(&programs, &initial);
    assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0));
    assert_eq!(seen.outcomes, schedules(&programs, &initial).outcomes);
    assert!(seen.outcomes.iter().all(|outcome| outcome.exits == [Some(Exit::Status(0)); 2]));
}
