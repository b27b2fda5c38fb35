//! Time is virtual: nothing waits, and what waits for time to pass sees it pass.

use cooks_harness::model::{Ending, Exit, Tree};
use cooks_harness::tracer::Program;

use crate::support::{files, in_turn, printed, process, python, shell};

/// What a program prints that runs alone.
#[track_caller]
fn alone(program: Program) -> String {
    let execution = in_turn(&[program], files(&[("lock", ""), ("log", "")]));
    assert_eq!((&execution.ending, execution.outcome.exits[0]), (&Ending::Complete, Some(Exit::Status(0))));
    printed(&execution, 0).to_owned()
}

fn numbers(text: &str) -> Vec<i64> {
    text.split_whitespace().map(|word| word.parse().expect("a number")).collect()
}

#[test]
fn a_thousand_seconds_pass_at_once_and_the_date_shows_it() {
    let seconds = numbers(&alone(shell("date +%s; sleep 1000; date +%s")));
    assert_eq!(seconds[1] - seconds[0], 1000);
    // The clock of every execution begins on the same day.
    assert_eq!(alone(shell("date -u +%F")), "2025-11-20\n");
}

#[test]
fn every_way_to_wait_in_python_ends() {
    let script = "
import select, threading, time, queue, subprocess, signal
def took(what):
    begun = time.monotonic()
    what()
    print(round(time.monotonic() - begun))
took(lambda: time.sleep(100))
took(lambda: select.select([], [], [], 200))
took(lambda: select.poll().poll(300_000))
took(lambda: threading.Event().wait(400))
def get():
    try: queue.Queue().get(timeout=500)
    except queue.Empty: pass
took(get)
took(lambda: subprocess.run(['sleep', '600']))
took(lambda: signal.sigtimedwait([signal.SIGUSR1], 700))
";
    assert_eq!(numbers(&alone(python(script))), [100, 200, 300, 400, 500, 600, 700]);
}

/// The sleeps of one tree end in the order of their times, not of their beginnings.
#[test]
fn what_sleeps_shorter_wakes_earlier() {
    let script = "
import subprocess, time
begun = time.monotonic()
try: subprocess.run(['sleep', '1000000'], timeout=7)
except subprocess.TimeoutExpired: print(round(time.monotonic() - begun))
";
    assert_eq!(numbers(&alone(python(script))), [7]);
    let script =
        "(sleep 3; echo 3 >> log) & (sleep 1; echo 1 >> log) & sleep 2; echo 2 >> log; wait; cat log";
    assert_eq!(numbers(&alone(shell(script))), [1, 2, 3]);
}

#[test]
fn closures_wait_in_no_time() {
    let program = process(|| {
        let begun = std::time::Instant::now();
        std::thread::sleep(std::time::Duration::from_secs(86_400));
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let timed_out = receiver.recv_timeout(std::time::Duration::from_secs(100)).is_err();
        drop(sender);
        i32::from(!(timed_out && begun.elapsed().as_secs() == 86_500))
    });
    assert_eq!(in_turn(&[program], Tree::new()).outcome.exits, [Some(Exit::Status(0))]);
}

/// A file's time of modification is that of the virtual clock.
#[test]
fn files_have_virtual_times() {
    let script = "date +%s; sleep 100; echo x > log; stat -c %Y log; touch -d '2001-02-03 04:05:06Z' log
        stat -c %Y log lock";
    let text = alone(shell(script));
    let seconds = numbers(&text);
    assert_eq!((seconds[1] - seconds[0], seconds[2]), (100, 981_173_106));
    assert!(seconds[3] <= seconds[0], "{text}");
}

/// To rename a file, or to link it, changes no time but the last one; a time that was set lasts until the file is changed.
#[test]
fn only_what_changes_a_file_moves_its_time_of_modification() {
    let script = "echo x > log; stat -c '%Y %Z' log; sleep 100; mv log lock; ln lock log; stat -c '%Y %Z' lock
        touch -d '2031-02-03 04:05:06Z' lock; stat -c %Y lock; cat lock > /dev/null; stat -c %X lock; echo >> lock; stat -c %Y lock";
    let seconds = numbers(&alone(shell(script)));
    assert_eq!((seconds[0], seconds[1] + 100), (seconds[2], seconds[3]));
    assert_eq!((seconds[4], seconds[5]), (1_927_857_906, 1_927_857_906));
    assert_eq!(seconds[6], seconds[3]);
}
