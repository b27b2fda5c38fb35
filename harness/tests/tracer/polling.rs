//! Processes that poll: a look that fails and changes nothing is no new state, and both ends of a wait are reached.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;

use cooks_harness::backend::Detail;
use cooks_harness::model::{CallResult, Ending, Exit, ProcessId, Tree};
use cooks_harness::tracer::Program;
use nix::fcntl::{Flock, FlockArg};

use crate::support::{
    Follow, Seen, assert_counts, classes, create, execution, files, in_turn, load, open, process, python,
    schedules, shell, store, tracer,
};

/// Looks every 0.1 s until `found` is true, at most so often. Gives 75 where it gives up.
fn polls(most: usize, found: impl Fn() -> bool + Send + Sync + 'static) -> Program {
    process(move || {
        for _ in 0..most {
            if found() {
                return 0;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        75
    })
}

/// Tries for a `flock`, and gives it up at its end.
fn polls_flock(most: usize) -> Program {
    process(move || {
        let mut file = open("lock");
        for _ in 0..most {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(_lock) => return 0,
                Err((refused, _)) => file = refused,
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        75
    })
}

fn holds_flock() -> Program {
    process(|| {
        drop(Flock::lock(open("lock"), FlockArg::LockExclusive).expect("a lock"));
        0
    })
}

fn exits(seen: &Seen) -> BTreeSet<Vec<Option<i32>>> {
    let status = |exit: &Option<Exit>| match exit {
        Some(Exit::Status(status)) => Some(*status),
        _ => None,
    };
    seen.outcomes.iter().map(|outcome| outcome.exits.iter().map(status).collect()).collect()
}

#[test]
fn a_poller_gets_the_lock_in_time_or_too_late() {
    let seen = classes(&[holds_flock(), polls_flock(50)], &files(&[("lock", "")]));
    // The poller comes first; or is refused never, once or twice before the lock is free; or gives up.
    assert_counts("a holder and a poller", &seen, 5, 0);
    assert_eq!(exits(&seen), [vec![Some(0), Some(0)], vec![Some(0), Some(75)]].into());
}

#[test]
fn who_prepares_a_lock_file_again_and_again_polls() {
    // As libraries do: each time it is opened, emptied, though it is empty, and given the mode that it has.
    let prepares = polls(50, || {
        let file = fs::File::create("lock").expect("it can be opened");
        file.set_permissions(Permissions::from_mode(0o644)).expect("it is ours");
        Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok()
    });
    let seen = classes(&[holds_flock(), prepares], &files(&[("lock", "")]));
    assert_counts("a holder and one who prepares", &seen, 5, 0);
    assert_eq!(exits(&seen), [vec![Some(0), Some(0)], vec![Some(0), Some(75)]].into());
}

#[test]
fn two_pollers_share_a_lock() {
    let seen = classes(&[polls_flock(50), polls_flock(50)], &files(&[("lock", "")]));
    // Who comes first; and the other is refused never, once or twice before the lock is free, or gives up.
    assert_counts("two pollers", &seen, 8, 0);
    assert_eq!(
        exits(&seen),
        [vec![Some(0), Some(0)], vec![Some(0), Some(75)], vec![Some(75), Some(0)]].into()
    );
}

/// Makes a lock file, or a directory, and removes it again.
fn holds(make: fn() -> bool, remove: fn()) -> Program {
    process(move || {
        if make() {
            remove();
        }
        0
    })
}

fn make_directory() -> bool {
    fs::create_dir("lock").is_ok()
}

#[test]
fn lock_files_and_directories_are_polled() {
    let remove_file = || fs::remove_file("lock").expect("a file");
    let file = classes(&[holds(|| create("lock"), remove_file), polls(50, || create("lock"))], &Tree::new());
    let remove_directory = || fs::remove_dir("lock").expect("a directory");
    let directory =
        classes(&[holds(make_directory, remove_directory), polls(50, make_directory)], &Tree::new());
    for (what, seen) in [("a lock file", &file), ("a lock directory", &directory)] {
        // As above.
        assert_counts(what, seen, 5, 0);
        assert_eq!(exits(seen), [vec![Some(0), Some(0)], vec![Some(0), Some(75)]].into(), "{what}");
    }
}

#[test]
fn a_file_that_is_to_come_is_polled() {
    let writer = process(|| {
        fs::write("new", "x").expect("a file");
        fs::rename("new", "ready").expect("a name");
        0
    });
    let seen = classes(&[writer, polls(50, || fs::exists("ready").unwrap_or(false))], &Tree::new());
    assert_counts("a file that is to come", &seen, 4, 0);
    assert_eq!(exits(&seen), [vec![Some(0), Some(0)], vec![Some(0), Some(75)]].into());
}

#[test]
fn python_and_shell_poll() {
    let program = "
import fcntl, sys, time
file = open('lock', 'r+')
end = time.monotonic() + 5
while time.monotonic() < end:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sys.exit(0)
    except BlockingIOError:
        time.sleep(0.1)
sys.exit(75)
";
    let seen = classes(&[holds_flock(), python(program)], &files(&[("lock", "")]));
    assert_counts("a poller in Python", &seen, 5, 0);
    assert_eq!(exits(&seen), [vec![Some(0), Some(0)], vec![Some(0), Some(75)]].into());
    let script = "i=0; while ! mkdir lock 2>&-; do i=$((i+1)); [ $i = 20 ] && exit 75; sleep 0.1; done";
    let holder = holds(make_directory, || fs::remove_dir("lock").expect("a directory"));
    let seen = classes(&[holder, shell(script)], &Tree::new());
    assert_counts("a poller in shell", &seen, 5, 0);
    assert_eq!(exits(&seen), [vec![Some(0), Some(0)], vec![Some(0), Some(75)]].into());
}

/// Without a sleep, looks are taken for polling after many that are the same.
#[test]
fn whoever_spins_is_let_look_in_vain_as_well() {
    let spinner = process(|| {
        let begun = std::time::Instant::now();
        let variable = open("variable");
        while begun.elapsed().as_secs() < 5 {
            if load(&variable) == b'1' {
                return 0;
            }
        }
        75
    });
    let writer = process(|| {
        store(&open("variable"), b'1');
        0
    });
    let seen = classes(&[writer, spinner], &files(&[("variable", "0")]));
    // The open and 71 looks at the variable are the first 72: before each of them the other may come, or behind them, in time
    // or too late.
    assert_counts("a spinner", &seen, 73, 0);
    assert_eq!(exits(&seen), [vec![Some(0), Some(0)], vec![Some(0), Some(75)]].into());
}

#[test]
fn every_schedule_shows_the_same() {
    for most in [3, 50] {
        let programs = [holds_flock(), polls_flock(most)];
        let initial = files(&[("lock", "")]);
        assert_eq!(schedules(&programs, &initial).outcomes, classes(&programs, &initial).outcomes);
        let programs = [polls_flock(most), polls_flock(most)];
        assert_eq!(schedules(&programs, &initial).outcomes, classes(&programs, &initial).outcomes);
    }
}

fn holds_for_ever() -> Program {
    process(|| {
        let _lock = Flock::lock(open("lock"), FlockArg::LockExclusive).expect("a lock");
        loop {
            nix::unistd::pause();
        }
    })
}

#[test]
fn a_poller_without_a_limit_waits_for_ever() {
    let seen = classes(&[holds_for_ever(), polls_flock(usize::MAX)], &files(&[("lock", "")]));
    // The poller comes first, and the holder waits alone; or the holder does.
    assert_counts("a poller without a limit", &seen, 0, 2);
    assert_eq!(seen.endings, [vec![ProcessId(0)], vec![ProcessId(0), ProcessId(1)]].into());
    let execution = in_turn(&[holds_for_ever(), polls_flock(usize::MAX)], files(&[("lock", "")]));
    let Ending::Blocked(waiting) = execution.ending else { panic!("{:?}", execution.ending) };
    assert_eq!(
        (waiting[1].operation.call.path.as_deref(), &waiting[1].holders[..]),
        (Some("lock"), &[ProcessId(0)][..])
    );
    // Where the lock comes free after all, it is had.
    let seen = classes(&[holds_flock(), polls_flock(usize::MAX)], &files(&[("lock", "")]));
    // As with a limit; where it looked for ever it is in time as well.
    assert_counts("a poller without a limit and a holder", &seen, 5, 0);
    assert_eq!(exits(&seen), [vec![Some(0), Some(0)]].into());
}

/// Looks for ever until a byte of the variable `name` is there that is at least `least`; gives that.
fn until(name: &str, least: u8) -> u8 {
    let variable = open(name);
    loop {
        let value = load(&variable);
        if value >= least {
            return value;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Who waits for ever is woken by any change of what it looks at, in every order of those that may wake it.
#[test]
fn whoever_looks_for_ever_is_woken_by_each_that_may() {
    let variables = files(&[("x", "0"), ("y", "0")]);
    let twice = || {
        process(|| {
            store(&open("x"), b'1');
            store(&open("x"), b'2');
            0
        })
    };
    let waits = |least| process(move || i32::from(until("x", least)));
    let seen = classes(&[twice(), waits(b'1')], &variables);
    assert_counts("one that waits for either of two", &seen, 10, 0);
    let ends: BTreeSet<_> = exits(&seen).into_iter().map(|ends| ends[1]).collect();
    assert_eq!(ends, [Some(i32::from(b'1')), Some(i32::from(b'2'))].into());
    // Woken in vain, and again.
    let seen = classes(&[twice(), waits(b'2')], &variables);
    assert_counts("one that waits for the second of two", &seen, 15, 0);
    // One that wakes another that wakes a third.
    let chain = || {
        let pass = process(|| {
            let value = until("x", b'1');
            store(&open("y"), value);
            0
        });
        [
            process(|| {
                store(&open("x"), b'1');
                0
            }),
            pass,
            process(|| i32::from(until("y", b'1'))),
        ]
    };
    let seen = classes(&chain(), &variables);
    assert_eq!(seen.outcomes.len(), 1);
    assert_counts("one wakes another that wakes a third", &seen, 16, 0);
}

/// What a schedule gives does not depend on whether a process begins from its checkpoint.
#[test]
fn polls_replay() {
    let programs = [holds_flock(), polls_flock(50)];
    let initial = files(&[("lock", "")]);
    let mut one = tracer(&programs, initial.clone());
    for schedule in classes(&programs, &initial).schedules {
        let first = execution(&mut one, &mut Follow(&schedule));
        for _ in 0..3 {
            assert_eq!(execution(&mut one, &mut Follow(&schedule)), first);
        }
    }
}

/// Who looks for ever has not looked where that is known already, and where it has to be found out it has not either: the program
/// counts. So an execution is the same whatever was run before it.
#[test]
fn who_looks_for_ever_has_not_looked_more_often_in_one_execution_than_in_another() {
    let counts = process(|| {
        let mut looks = 0;
        while load(&open("variable")) == b'0' {
            looks += 1;
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        looks
    });
    let writer = process(|| {
        store(&open("variable"), b'1');
        0
    });
    let (programs, initial) = ([counts, writer], files(&[("variable", "0")]));
    let seen = classes(&programs, &initial);
    let looks: BTreeSet<_> = exits(&seen).into_iter().map(|exits| exits[0]).collect();
    assert_eq!(looks, [Some(0), Some(1), Some(2)].into());
    let mut kept = tracer(&programs, initial);
    for schedule in &seen.schedules {
        let again = execution(&mut kept, &mut Follow(schedule));
        let afresh = kept.execute_afresh(&mut Follow(schedule), Detail::Search).expect("it can be run");
        assert_eq!((&again.trace, &again.outcome), (&afresh.trace, &afresh.outcome));
    }
    // Of one it is found out that nothing changes, by looking so often.
    let trace = seen.schedules.iter().flat_map(|schedule| execution(&mut kept, &mut Follow(schedule)).trace);
    let often = |result: &CallResult| matches!(result, CallResult::Value(100..));
    let looks: Vec<_> = trace.map(|event| event.result).filter(often).collect();
    assert_eq!(looks, [CallResult::Value(20_000)]);
}

/// What comes of looking for ever depends on all that the wait for the next look comes behind.
#[test]
fn who_looks_for_ever_sees_the_same_time_in_every_execution() {
    let polls = process(|| {
        loop {
            fs::File::create("t").expect("a file");
            if fs::exists("x").expect("a folder") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        write!(io::stdout(), "{}", now.expect("a time after 1970").as_secs()).expect("an output");
        0
    });
    let late = process(|| {
        std::thread::sleep(std::time::Duration::from_secs(100_000));
        fs::metadata("t").expect("a file");
        fs::write("x", "").expect("a file");
        0
    });
    let (programs, initial) = ([polls, late], files(&[("t", "")]));
    let schedules = classes(&programs, &initial).schedules;
    for backwards in [false, true] {
        let mut kept = tracer(&programs, initial.clone());
        let mut in_turn = schedules.clone();
        if backwards {
            in_turn.reverse();
        }
        for schedule in in_turn {
            let again = execution(&mut kept, &mut Follow(&schedule));
            let afresh = kept.execute_afresh(&mut Follow(&schedule), Detail::Search).expect("it can be run");
            assert_eq!((again.trace, again.outcome), (afresh.trace, afresh.outcome));
        }
    }
}

/// What a process does when it has given up is a step of its own, whichever call it is: what it polled for may come just before.
#[test]
fn what_comes_after_giving_up_is_another_step() {
    let gives_up = |look: fn() -> bool, then: fn() -> bool| {
        process(move || {
            for _ in 0..3 {
                if look() {
                    return 0;
                }
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
            if then() { 1 } else { 2 }
        })
    };
    let exists = || fs::exists("f").unwrap_or(false);
    let touches = || {
        process(|| {
            fs::File::create("f").expect("a file");
            0
        })
    };
    let removes = process(|| {
        fs::remove_file("f").expect("a file");
        0
    });
    // In time, between the last look and what comes after, or too late.
    let all = [0, 1, 2].map(|status| vec![Some(status), Some(0)]).into();
    let programs = [gives_up(exists, || fs::remove_file("f").is_ok()), touches()];
    let seen = classes(&programs, &Tree::new());
    assert_eq!(exits(&seen), all);
    assert_eq!(seen.counts.redundant, 0);
    assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes);
    let programs = [gives_up(exists, || fs::read("f").is_ok()), touches()];
    assert_eq!(exits(&classes(&programs, &Tree::new())), all);
    let programs = [gives_up(|| create("f"), || fs::read("f").is_ok()), removes];
    assert_eq!(exits(&classes(&programs, &files(&[("f", "")]))), all);
    let script = "for i in 1 2 3; do [ -e f ] && exit 0; sleep 1; done; rm f && exit 1; exit 2";
    assert_eq!(exits(&classes(&[shell(script), touches()], &Tree::new())), all);
}
