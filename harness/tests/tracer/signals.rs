//! Signals from one process to another: every order of a signal and of what its target does, and no other.

use std::collections::BTreeSet;

use cooks_harness::backend::{Backend, Chooser};
use cooks_harness::model::{Choice, Cut, Entry, Exit, ProcessId, Tree, View};
use cooks_harness::tracer::Program;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{
    Follow, OneAfterTheOther, Seen, assert_counts, classes, content, execution, files, interpreter, load,
    open, process, python, schedules, shell, status, statuses, store, tracer, uncovered,
};

/// The second process.
const B: i32 = 1_100;
const C: i32 = 1200;

/// Sends B signals, one after another. Gives 3 where B is not there for the last one.
fn sends(signals: &'static [Option<Signal>]) -> Program {
    process(move || {
        let mut last = Ok(());
        for signal in signals {
            last = kill(Pid::from_raw(B), *signal);
        }
        match last {
            Ok(()) => 0,
            Err(Errno::ESRCH) => 3,
            Err(error) => panic!("{error}"),
        }
    })
}

fn saves() -> Program {
    process(|| {
        std::fs::write("saved", "x").expect("a file can be written");
        0
    })
}

/// What B saved, how A and B ended.
fn ends(seen: &Seen) -> BTreeSet<(Option<String>, Exit, Exit)> {
    let end = |outcome: &cooks_harness::model::Outcome| {
        let saved = outcome.tree.contains_key("saved").then(|| content(&outcome.tree, "saved").to_owned());
        (saved, outcome.exits[0].expect("an end"), outcome.exits[1].expect("an end"))
    };
    seen.outcomes.iter().map(end).collect()
}

#[test]
fn a_process_is_killed_before_it_has_saved_or_after() {
    for (signal, number) in [(Signal::SIGKILL, 9), (Signal::SIGTERM, 15)] {
        let signals: &'static [_] =
            if number == 9 { &[Some(Signal::SIGKILL)] } else { &[Some(Signal::SIGTERM)] };
        let programs = [sends(signals), saves()];
        let seen = classes(&programs, &Tree::new());
        // Before the file is made, before it is written, before the end, and too late.
        assert_counts(signal.as_str(), &seen, 4, 0);
        let (done, gone, killed) = (Exit::Status(0), Exit::Status(3), Exit::Signal(number));
        let wanted = [
            (None, done, killed),
            (Some(String::new()), done, killed),
            (Some("x".to_owned()), done, killed),
            (Some("x".to_owned()), gone, done),
        ];
        assert_eq!(ends(&seen), wanted.into(), "{signal}");
        assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes);
    }
}

#[test]
fn whether_a_process_lives_is_a_look_at_it() {
    let seen = classes(&[sends(&[None]), saves()], &Tree::new());
    // Before each of its operations, before its end, and after that.
    assert_counts("a look at a process", &seen, 4, 0);
    let exits: BTreeSet<_> = ends(&seen).into_iter().map(|(_, a, _)| a).collect();
    assert_eq!(exits, [Exit::Status(0), Exit::Status(3)].into());
    // Two who look do not see each other.
    let looks = || process(|| i32::from(kill(Pid::from_raw(1_200), None).is_ok()));
    let programs = [looks(), looks(), process(|| 0)];
    let seen = classes(&programs, &Tree::new());
    // Each before the end or after it.
    assert_counts("two who look at a process without operations", &seen, 4, 0);
    assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes);
}

/// A handler runs between two operations, wherever the signal comes.
#[test]
fn a_handler_runs_wherever_the_signal_comes() {
    let script = "
import os, signal
def handler(number, frame):
    os.write(f, b'h')
signal.signal(signal.SIGUSR1, handler)
f = os.open('log', os.O_WRONLY)
os.write(f, b'1')
os.write(f, b'2')
";
    let handles = python(script);
    let sends = process(|| {
        let _ = kill(Pid::from_raw(B), Signal::SIGUSR1);
        0
    });
    let programs = [sends, handles];
    let initial = files(&[("log", "")]);
    let seen = classes(&programs, &initial);
    let logs: BTreeSet<(&str, bool)> = seen
        .outcomes
        .iter()
        .map(|outcome| (content(&outcome.tree, "log"), outcome.exits[1] == Some(Exit::Status(0))))
        .collect();
    // Before there is a handler it kills, and where Python has put it away again, in front of its end. Python runs one behind the call
    // that the signal comes before: behind the open it has not kept the descriptor yet.
    let wanted = [("", false), ("1h2", true), ("12h", true), ("12", false), ("12", true)];
    assert_eq!(logs, wanted.into());
    assert_eq!((seen.counts.redundant, seen.counts.blocked), (0, 0));
    let mut one = tracer(&programs, initial);
    for schedule in &seen.schedules {
        let first = execution(&mut one, &mut Follow(schedule));
        assert_eq!(execution(&mut one, &mut Follow(schedule)), first);
    }
}

#[test]
fn who_is_killed_gives_its_locks_back() {
    let holds = process(|| {
        let lock = Flock::lock(open("lock"), FlockArg::LockExclusive).expect("a lock");
        store(&open("x"), b'1');
        drop(lock);
        0
    });
    let kills = process(|| {
        let _ = kill(Pid::from_raw(B), Signal::SIGKILL);
        let _lock = Flock::lock(open("lock"), FlockArg::LockExclusive).expect("a lock");
        i32::from(load(&open("x")))
    });
    let programs = [kills, holds];
    let initial = files(&[("lock", ""), ("x", "0")]);
    let seen = classes(&programs, &initial);
    assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0));
    assert_eq!(seen.outcomes, schedules(&programs, &initial).outcomes);
    let read: BTreeSet<_> = ends(&seen).into_iter().map(|(_, a, b)| (a, b)).collect();
    let (zero, one) = (Exit::Status(48), Exit::Status(49));
    assert_eq!(read, [(zero, Exit::Signal(9)), (one, Exit::Signal(9)), (one, Exit::Status(0))].into());
}

/// A process is there until it has ended, though there is nothing left for it to do: it can be killed behind its last call, also where its
/// end gives back a lock, and is found there.
#[test]
fn a_process_can_be_killed_and_asked_for_behind_its_last_call() {
    let makes = || {
        process(|| {
            std::fs::create_dir("m").expect("a directory");
            0
        })
    };
    let locks = || {
        process(|| {
            let lock = open("lock");
            std::mem::forget(Flock::lock(lock, FlockArg::LockExclusive).expect("a lock"));
            std::fs::create_dir("m").expect("a directory");
            0
        })
    };
    let initial = files(&[("lock", "")]);
    for (what, program) in [("makes", makes()), ("locks", locks())] {
        let programs = [sends(&[Some(Signal::SIGTERM)]), program.clone()];
        let seen = classes(&programs, &initial);
        assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0), "{what}");
        let made: BTreeSet<_> =
            seen.outcomes.iter().map(|outcome| (outcome.tree.contains_key("m"), outcome.exits[1])).collect();
        let (done, killed) = (Some(Exit::Status(0)), Some(Exit::Signal(15)));
        assert_eq!(made, [(false, killed), (true, killed), (true, done)].into(), "{what}");
        assert_eq!(seen.outcomes, schedules(&programs, &initial).outcomes, "{what}");
        let mut one = tracer(&programs, initial.clone());
        for schedule in &seen.schedules {
            let first = execution(&mut one, &mut Follow(schedule));
            assert_eq!(execution(&mut one, &mut Follow(schedule)), first, "{what}");
            assert_eq!(execution(&mut tracer(&programs, initial.clone()), &mut Follow(schedule)), first);
        }
        assert!(uncovered(&one).is_empty(), "{what}: {:?}", one.not_covered());
        let programs = [sends(&[None]), program];
        let seen = classes(&programs, &initial);
        assert_eq!(seen.outcomes, schedules(&programs, &initial).outcomes, "{what}");
        assert_eq!(statuses(&seen, 0), [0, 3].map(status).into(), "{what}");
        assert_eq!(seen.counts.redundant, 0, "{what}");
    }
}

/// Among three, where the end of the one and what the third does have nothing to do with each other.
#[test]
fn ends_that_nobody_sees_are_no_operations() {
    let idle = || {
        process(|| {
            std::fs::create_dir("d").expect("a directory");
            0
        })
    };
    let seen = classes(&[idle(), saves()], &Tree::new());
    assert_counts("nobody asks", &seen, 1, 0);
    let all = schedules(&[process(|| 0), saves()], &Tree::new());
    assert_counts("nobody asks, by every schedule", &all, 1, 0);
    let programs = [sends(&[Some(Signal::SIGTERM)]), process(|| 0), idle()];
    let seen = classes(&programs, &Tree::new());
    assert_counts("the end of the one that is asked for is one", &seen, 2, 0);
    assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes);
}

/// Copies are kept of these programs: a copy that was made after a question has the answer of another execution.
#[test]
fn the_end_of_a_process_can_come_before_all_that_is_asked_of_it() {
    let asks =
        python("import os; os._exit(0 if os.path.exists('none') or not os.system('kill -0 1100') else 3)");
    let asks_itself = python(
        "
import os
ends = []
for _ in range(2):
    try:
        os.kill(1100, 0)
        ends.append(0)
    except ProcessLookupError:
        ends.append(1)
os._exit(2 * ends[0] + ends[1])
",
    );
    let nothing = || process(|| 0);
    for (what, program, wanted) in [("a child", asks, vec![0, 3]), ("itself", asks_itself, vec![0, 1, 3])] {
        let programs = [program, nothing(), nothing()];
        let seen = classes(&programs, &Tree::new());
        assert_eq!(statuses(&seen, 0), wanted.into_iter().map(status).collect(), "{what}");
        assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes, "{what}");
        assert_eq!(seen.counts.redundant, 0, "{what}");
    }
}

/// Whether a signal that is caught ends a wait depends on whether there is one: on the lock, or on what comes through the FIFO.
#[test]
fn a_signal_that_ends_a_wait_depends_on_what_is_waited_for() {
    let waits = |call: &str| {
        let script = format!(
            "
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(1)
signal.signal(signal.SIGUSR1, lambda number, frame: None)
f = os.open('f', os.O_RDWR)
os._exit(3 if {call} < 0 else 0)
"
        );
        Program::Command(vec![interpreter().into(), "-ISc".into(), script])
    };
    let locks = process(|| {
        let lock = Flock::lock(open("f"), FlockArg::LockExclusive).expect("a lock");
        let _ = kill(Pid::from_raw(B), Signal::SIGUSR1);
        drop(lock);
        0
    });
    let writes = process(|| {
        // Waits until the reader has it open.
        let mut fifo = std::fs::OpenOptions::new().write(true).open("f").expect("a FIFO");
        let _ = kill(Pid::from_raw(B), Signal::SIGUSR1);
        std::io::Write::write_all(&mut fifo, b"x").expect("room");
        0
    });
    let fifo = [("f".to_owned(), Entry::Other { kind: "fifo".into(), mode: 0o644 })].into();
    let cases = [
        ("a lock", locks, waits("libc.flock(f, 2)"), files(&[("f", "")]), vec![status(0), status(3)]),
        ("a FIFO", writes, waits("libc.read(f, buffer, 1)"), fifo, vec![status(0), status(3)]),
    ];
    for (what, sends, waits, initial, wanted) in cases {
        let programs = [sends, waits];
        let seen = classes(&programs, &initial);
        assert_eq!(statuses(&seen, 1), wanted.into_iter().collect(), "{what}");
        assert_eq!(seen.counts.redundant, 0, "{what}");
        let all = schedules(&programs, &initial);
        assert_eq!((seen.outcomes, seen.endings), (all.outcomes, all.endings), "{what}");
    }
}

/// The kernel ends a process when it is sent a signal that it does not catch: what is sent to it after that changes nothing. Where the
/// signal waits behind another one, or dumps core, a later SIGKILL comes first.
#[test]
fn the_first_signal_that_ends_a_process_decides_how_it_ends() {
    const LAST: Option<Signal> = Some(Signal::SIGKILL);
    let cases: [(&'static [Option<Signal>], i32); 4] = [
        (&[Some(Signal::SIGTERM), LAST], 15),
        (&[Some(Signal::SIGHUP), Some(Signal::SIGTERM), LAST], 1),
        (&[Some(Signal::SIGQUIT), LAST], 9),
        (&[Some(Signal::SIGSTOP), Some(Signal::SIGTERM), LAST], 9),
    ];
    for (signals, number) in cases {
        let waits = process(|| {
            nix::unistd::pause();
            0
        });
        // All are sent before it takes the first.
        let together = [Choice::Process(ProcessId(0))].repeat(signals.len());
        let mut one = tracer(&[sends(signals), waits], Tree::new());
        let ran = execution(&mut one, &mut Then(&together));
        assert_eq!(ran.outcome.exits[1], Some(Exit::Signal(number)), "{signals:?}");
    }
    let programs = [sends(&[Some(Signal::SIGTERM), LAST]), saves()];
    let seen = classes(&programs, &Tree::new());
    assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0));
    assert!(ends(&seen).iter().all(|(_, _, saves)| *saves != Exit::Signal(9)), "{:?}", ends(&seen));
    assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes);
}

/// Follows a schedule to its end, and then lets the first who can go on do so.
struct Then<'a>(&'a [Choice]);

impl Chooser for Then<'_> {
    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        match self.0.get(view.trace.len()) {
            Some(choice) => Ok(*choice),
            None => OneAfterTheOther.choose(view),
        }
    }
}

#[test]
fn a_process_is_stopped_and_continued() {
    let programs = [sends(&[Some(Signal::SIGSTOP), Some(Signal::SIGCONT)]), saves()];
    let seen = classes(&programs, &Tree::new());
    assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0));
    assert!(ends(&seen).iter().all(|(saved, _, b)| saved.as_deref() == Some("x") && b.is_success()));
    assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes);
    // Nobody continues it: it has ended before, or waits.
    let programs = [sends(&[Some(Signal::SIGSTOP)]), saves()];
    let seen = classes(&programs, &Tree::new());
    assert_counts("a process that is stopped", &seen, 1, 3);
    // What is stopped can be killed all the same.
    let programs = [sends(&[Some(Signal::SIGSTOP), Some(Signal::SIGKILL)]), saves()];
    let seen = classes(&programs, &Tree::new());
    assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0));
    assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes);
}

#[test]
fn a_signal_ends_a_wait() {
    let waits = process(|| {
        nix::unistd::pause();
        0
    });
    let seen = classes(&[sends(&[Some(Signal::SIGTERM)]), waits], &Tree::new());
    assert_counts("a process that waits for a signal", &seen, 1, 0);
    let wanted = [(None, Exit::Status(0), Exit::Signal(15))];
    assert_eq!(ends(&seen), wanted.into());
}

/// By what other ways signals go: to a process group, to all, by a descriptor, to nobody.
#[test]
fn signals_go_many_ways() {
    let script = "
import os, signal
for number in (1, 5, 999, 30000):
    try: os.kill(number, 0); print(number)
    except OSError as error: print(error.errno)
os.killpg(1100, signal.SIGKILL)
signal.pidfd_send_signal(os.pidfd_open(1200), signal.SIGKILL)
os.kill(-1, signal.SIGTERM)
";
    let waits = || {
        process(|| {
            nix::unistd::pause();
            0
        })
    };
    let programs = [python(script), waits(), waits(), waits()];
    let mut one = tracer(&programs, Tree::new());
    let ran = execution(&mut one, &mut OneAfterTheOther);
    assert_eq!(crate::support::printed(&ran, 0), "1\n3\n3\n3\n");
    let killed = |number| Some(Exit::Signal(number));
    assert_eq!(ran.outcome.exits, [Some(Exit::Status(0)), killed(9), killed(9), killed(15)]);
}

/// Within one process nothing has changed: its tasks take their turns.
#[test]
fn children_are_killed_where_they_are_held() {
    let script = "sh -c 'echo 1 > a; echo 2 > b; sleep 100' & kill -KILL $!; wait $!; echo $?; cat a";
    let ran = crate::support::in_turn(&[shell(script), shell("cat a")], files(&[("a", "")]));
    assert_eq!(crate::support::printed(&ran, 0).lines().next(), Some("137"));
}

/// A child that its parent stops goes on when that continues it, whatever it was stopped in; nobody else is in the way.
#[test]
fn a_child_is_stopped_and_continued_by_its_parent() {
    let stops = "(echo a >> log; echo b >> log) & kill -STOP $!; echo x >> log; kill -CONT $!; wait";
    let itself = "(kill -STOP $(exec sh -c 'echo $PPID'); echo a >> log) & sleep 1; echo x >> log; kill -CONT $!; wait";
    let asleep = "sleep 5 & kill -STOP $!; echo x >> log; kill -CONT $!; wait; echo a >> log";
    for (script, lines) in [(stops, 3), (itself, 2), (asleep, 2)] {
        let programs = [shell(script), shell("echo y >> log")];
        let seen = classes(&programs, &Tree::new());
        assert_eq!((seen.counts.blocked, seen.counts.redundant), (0, 0), "{script}");
        for outcome in &seen.outcomes {
            assert_eq!(content(&outcome.tree, "log").lines().count(), lines + 1, "{script}: {outcome:?}");
        }
        let mut once = tracer(&programs, Tree::new());
        execution(&mut once, &mut OneAfterTheOther);
        assert!(uncovered(&once).is_empty(), "{script}: {:?}", once.not_covered());
    }
}

/// What a process was about to ask when it was killed, it asks in another execution.
#[test]
fn the_end_of_a_process_counts_also_if_who_would_ask_for_it_is_killed() {
    let asks = process(|| if kill(Pid::from_raw(C), None).is_ok() { 0 } else { 3 });
    let programs = [sends(&[Some(Signal::SIGTERM)]), asks, process(|| 0)];
    let seen = classes(&programs, &Tree::new());
    let ends: BTreeSet<_> =
        seen.outcomes.iter().map(|outcome| [outcome.exits[0], outcome.exits[1]]).collect();
    let (done, failed) = (Some(Exit::Status(0)), Some(Exit::Status(3)));
    assert_eq!(ends, [[done, Some(Exit::Signal(15))], [failed, done], [failed, failed]].into());
    assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes);
    assert_counts("each order of the asking, the end and the killing", &seen, 5, 0);
}
