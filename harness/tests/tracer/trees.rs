//! Trees of processes: daemons that outlive who made them, process groups, children that nobody waits for.

use std::collections::BTreeSet;

use cooks_harness::model::{Exit, Tree};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::support::{
    InTurn, assert_counts, classes, content, execution, files, in_turn, load, open, printed, process, python,
    schedules, shell, tracer,
};

/// A daemon as daemons begin: two forks, a session of its own, and who started it has ended before it writes.
const DAEMON: &str = "
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while os.getppid() != 1: pass
        os.write(os.open('log', os.O_WRONLY), b'd')
        os._exit(0)
    os._exit(0)
os._exit(0)
";

#[test]
fn a_daemon_belongs_to_who_made_it() {
    let reads = process(|| i32::from(load(&open("log"))));
    let programs = [python(DAEMON), reads];
    let initial = files(&[("log", ".")]);
    let seen = classes(&programs, &initial);
    // The other one reads before the daemon writes, or after.
    assert_counts("a daemon", &seen, 2, 0);
    let exits: BTreeSet<_> = seen.outcomes.iter().map(|outcome| outcome.exits.clone()).collect();
    let read = |byte: u8| vec![Some(Exit::Status(0)), Some(Exit::Status(byte.into()))];
    assert_eq!(exits, [read(b'.'), read(b'd')].into());
    assert!(seen.outcomes.iter().all(|outcome| content(&outcome.tree, "log") == "d"));
}

/// One for each of which a signal to the group is meant, and one beside.
const GROUPS: &str = "
import os, signal
def child(group, text):
    child = os.fork()
    if child == 0:
        os.setpgid(0, group)
        os.write(os.open('log', os.O_WRONLY | os.O_APPEND), text)
        signal.pause()
    os.setpgid(child, group or child)
    return child
leader = child(0, b'1')
second = child(leader, b'2')
beside = child(0, b'3')
while os.stat('log').st_size < 3: os.sched_yield()
os.killpg(leader, signal.SIGTERM)
print([os.WTERMSIG(os.waitpid(one, 0)[1]) for one in (leader, second)])
print(os.waitpid(beside, os.WNOHANG)[0], os.getpgid(beside) == beside)
os.kill(beside, signal.SIGKILL)
print(os.WTERMSIG(os.waitpid(beside, 0)[1]))
";

#[test]
fn a_group_is_ended_and_nobody_else() {
    let programs = [python(GROUPS), shell("cat log")];
    let initial = files(&[("log", "")]);
    let ran = in_turn(&programs, initial.clone());
    assert_eq!(printed(&ran, 0), "[15, 15]\n0 True\n9\n");
    assert_eq!(content(&ran.outcome.tree, "log").len(), 3);
    let mut one = tracer(&programs, initial);
    for _ in 0..5 {
        assert_eq!(execution(&mut one, &mut InTurn), ran);
    }
}

#[test]
fn a_child_that_nobody_waits_for_is_there_until_its_parent_ends() {
    // The shell looks where it is, twice; makes a child that ends at once; opens and writes a file; and ends.
    let leaves = shell("exit 3 & echo x > saved");
    let asks = process(|| i32::from(kill(Pid::from_raw(1_001), None).is_ok()));
    let programs = [leaves, asks];
    let seen = classes(&programs, &Tree::new());
    assert_counts("a child that has ended", &seen, 6, 0);
    assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes);
    let answers: BTreeSet<_> = seen.outcomes.iter().map(|outcome| outcome.exits[1]).collect();
    assert_eq!(answers, [Some(Exit::Status(0)), Some(Exit::Status(1))].into());
}

/// What is left of a process when its first task has ended goes on, and can be ended by others.
#[test]
fn who_is_left_behind_can_be_ended() {
    let leaves = shell("(trap '' HUP; echo x > saved) & exit 0");
    let ends = process(|| {
        let _ = kill(Pid::from_raw(1_001), nix::sys::signal::Signal::SIGKILL);
        0
    });
    let programs = [leaves, ends];
    let seen = classes(&programs, &Tree::new());
    assert_counts("a child that is left behind", &seen, 6, 0);
    assert_eq!(seen.outcomes, schedules(&programs, &Tree::new()).outcomes);
    let saved: BTreeSet<Option<String>> = seen
        .outcomes
        .iter()
        .map(|outcome| outcome.tree.contains_key("saved").then(|| content(&outcome.tree, "saved").to_owned()))
        .collect();
    assert_eq!(saved, [None, Some(String::new()), Some("x\n".to_owned())].into());
}
