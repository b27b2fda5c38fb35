//! Timers that programs arm run out in virtual time: both what is in time and what is too late is reached.

use std::collections::BTreeSet;

use cooks_harness::model::{Ending, Exit, Tree};
use cooks_harness::tracer::Program;
use nix::fcntl::{Flock, FlockArg};

use crate::support::{
    Seen, assert_counts, classes, files, in_turn, open, printed, process, python, schedules, shell,
};

/// What a program prints that runs alone, line by line.
#[track_caller]
fn alone(program: Program) -> Vec<String> {
    let execution = in_turn(&[program], files(&[("lock", ""), ("log", "")]));
    assert_eq!((&execution.ending, execution.outcome.exits[0]), (&Ending::Complete, Some(Exit::Status(0))));
    printed(&execution, 0).lines().map(str::to_owned).collect()
}

#[test]
fn alarms_run_out() {
    let program = "
import signal, time
begun = time.monotonic()
told = []
signal.signal(signal.SIGALRM, lambda *_: told.append(round(time.monotonic() - begun)))
print(signal.alarm(10), signal.alarm(100))
signal.pause()
print(told)
signal.alarm(5)
time.sleep(20)
print(told, round(time.monotonic() - begun))
signal.setitimer(signal.ITIMER_REAL, 1, 3)
for _ in range(3): signal.pause()
print(told, signal.setitimer(signal.ITIMER_REAL, 0))
signal.alarm(7)
print(int(signal.sigwait([signal.SIGALRM])) if signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]) == set() else 0)
print(round(time.monotonic() - begun))
";
    let lines = alone(python(program));
    assert_eq!(lines[..3], ["0 10", "[100]", "[100, 105] 120"]);
    assert!(
        lines[3].starts_with("[100, 105, 121, 124, 127] (2.99")
            || lines[3].starts_with("[100, 105, 121, 124, 127] (3.0"),
        "{lines:?}"
    );
    assert_eq!(lines[4..], ["14", "134"]);
    // Whoever does not catch it dies of it.
    let execution = in_turn(&[python("import signal, time; signal.alarm(3); time.sleep(9)")], Tree::new());
    assert_eq!(execution.outcome.exits, [Some(Exit::Signal(14))]);
}

#[test]
fn timers_with_descriptors_run_out() {
    let program = "
import ctypes, os, select, struct, time
libc = ctypes.CDLL(None, use_errno=True)
begun = time.monotonic()
def now(): return round(time.monotonic() - begun)
def arm(initial, interval=0):
    old = ctypes.create_string_buffer(32)
    libc.timerfd_settime(timer, 0, struct.pack('4q', interval, 0, initial, 0), old)
    return struct.unpack('4q', old.raw)
timer = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
print(*arm(10, 5))
try: os.read(timer, 8)
except BlockingIOError: print('not yet', now())
print(select.select([timer], [], [], 100)[0] == [timer], now())
print(int.from_bytes(os.read(timer, 8), 'little'), now())
print(select.select([timer], [], [], 2)[0], now())
time.sleep(20)
print(select.select([timer], [], [], 0)[0] == [timer], int.from_bytes(os.read(timer, 8), 'little'), now())
poll = select.epoll(); poll.register(timer, select.EPOLLIN)
print(poll.poll(100) == [(timer, select.EPOLLIN)], now())
arm(0)
print(poll.poll(100), now())
os.set_blocking(timer, True)
arm(7)
print(int.from_bytes(os.read(timer, 8), 'little'), now())
";
    let expected =
        ["0 0 0 0", "not yet 0", "True 10", "1 10", "[] 12", "True 4 32", "True 35", "[] 135", "1 142"];
    assert_eq!(alone(python(program)), expected);
}

/// `timer_create` and its kin, by the calls themselves: what the C library makes of threads is seen above.
#[test]
fn posix_timers_run_out() {
    let program = "
import ctypes, signal, struct, time
libc = ctypes.CDLL(None, use_errno=True)
begun = time.monotonic()
timer = ctypes.c_void_p()
print(libc.timer_create(1, None, ctypes.byref(timer)))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
print(libc.timer_settime(timer, 0, struct.pack('4q', 0, 0, 30, 0), None))
left = ctypes.create_string_buffer(32)
time.sleep(10)
libc.timer_gettime(timer, left)
print(round(struct.unpack('4q', left.raw)[2] + struct.unpack('4q', left.raw)[3] / 1e9))
told = signal.sigwaitinfo([signal.SIGALRM])
print(told.si_signo, told.si_code, round(time.monotonic() - begun))
print(libc.timer_delete(timer))
";
    assert_eq!(alone(python(program)), ["0", "0", "20", "14 -2 30", "0"]);
}

#[test]
fn processor_time_and_uptime_are_virtual() {
    let program = "
import os, resource, time
before = os.times(), time.process_time(), time.clock_gettime(time.CLOCK_BOOTTIME)
time.sleep(1000)
after = os.times(), time.process_time(), time.clock_gettime(time.CLOCK_BOOTTIME)
print(round(after[0].elapsed - before[0].elapsed), after[0].user, round(after[1] - before[1]), round(after[2] - before[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_utime < 1, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(os.sysconf('SC_PHYS_PAGES'))
";
    let lines = alone(python(program));
    assert_eq!(lines, ["1000 0.0 0 1000", "True 16384", "2097152"]);
}

fn exits(seen: &Seen) -> BTreeSet<Vec<Option<i32>>> {
    let status = |exit: &Option<Exit>| match exit {
        Some(Exit::Status(status)) => Some(*status),
        _ => None,
    };
    seen.outcomes.iter().map(|outcome| outcome.exits.iter().map(status).collect()).collect()
}

fn holds() -> Program {
    process(|| {
        drop(Flock::lock(open("lock"), FlockArg::LockExclusive).expect("a lock"));
        0
    })
}

/// A lock that is waited for with a limit: an alarm, or a parent that kills.
#[test]
fn whoever_waits_for_a_lock_with_a_limit_has_it_in_time_or_too_late() {
    for (command, too_late) in [("exec flock -w 5 lock true", 1), ("timeout 5 flock lock true", 124)] {
        let programs = [holds(), shell(command)];
        let initial = files(&[("lock", "")]);
        let seen = classes(&programs, &initial);
        assert_eq!(exits(&seen), [vec![Some(0), Some(0)], vec![Some(0), Some(too_late)]].into(), "{command}");
        // Before, behind, in between and too late.
        assert_counts(command, &seen, 3, 0);
    }
    let programs = [holds(), shell("exec flock -w 5 lock true")];
    let initial = files(&[("lock", "")]);
    assert_eq!(exits(&schedules(&programs, &initial)), exits(&classes(&programs, &initial)));
}
