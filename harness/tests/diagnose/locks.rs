//! Locks that are held, waited for, and held in a way that they should not be.

use std::fs;

use cooks_harness::diagnose::{Claim, Kind, LockKind, Place, Severity, State, Taker};
use nix::sys::signal::Signal;

use crate::stage::{Actor, Stage, holders, kinds, only, state, the_lock, until, waiters};

#[test]
fn nothing_is_wrong_where_there_is_nothing() {
    let found = Stage::with(&[]).diagnosis();
    assert_eq!((found.findings.len(), found.seen.locks.len(), found.seen.files.len()), (0, 0, 0));
    assert_eq!(found.seen.processes.len(), 0);
}

#[test]
fn a_lock_that_is_held_is_no_finding() {
    for (kind, name) in [(LockKind::Flock, "flock"), (LockKind::Posix, "posix"), (LockKind::Ofd, "ofd")] {
        let stage = Stage::with(&[("free.lock", "")]);
        let mut holder = stage.actor("holder");
        holder.does("open .metadata.lock write");
        holder.does(&format!("{name} .metadata.lock exclusive"));
        until("the holder to wait for orders", || state(holder.pid()) == Some('S'));
        let found = stage.diagnosis();
        assert_eq!(found.findings, [], "{name}");
        let lock = the_lock(&found);
        assert_eq!((lock.path.as_str(), lock.kind, lock.place), (".metadata.lock", kind, Place::Here));
        assert_eq!((holders(lock), waiters(lock)), (vec![holder.pid()], vec![]));
        let taker = if kind == LockKind::Ofd { Taker::Unknown } else { Taker::Process(holder.pid()) };
        assert_eq!((lock.held[0].claim, lock.held[0].taker), (Claim::EXCLUSIVE, taker));
        let process = &found.seen.processes[&holder.pid()];
        assert_eq!((process.state, process.parent as u32), (State::Asleep, std::process::id()));
        assert_eq!(process.command.last().map(String::as_str), Some("holder"));
        assert!(process.started > 0.0 && process.started <= found.seen.taken + 1.0);
    }
}

#[test]
fn several_may_share_a_lock() {
    let stage = Stage::with(&[]);
    let mut actors = ["a", "b"].map(|role| stage.actor(role));
    for actor in &mut actors {
        actor.does("open .metadata.lock write");
        actor.does("flock .metadata.lock shared");
    }
    let found = stage.diagnosis();
    assert_eq!(found.findings, []);
    let mut pids = actors.each_ref().map(Actor::pid);
    pids.sort_unstable();
    assert_eq!(holders(the_lock(&found)), pids);
    assert!(the_lock(&found).held.iter().all(|held| held.claim == Claim::SHARED));
}

/// Somebody waits, and not for long; with a wait of no time at all taken for long, it is one finding for each lock.
#[test]
fn a_lock_that_is_waited_for_is_a_finding_only_when_the_wait_is_long() {
    for name in ["flock", "posix", "ofd"] {
        let stage = Stage::with(&[]);
        let [mut holder, mut first, mut second] = ["holder", "first", "second"].map(|role| stage.actor(role));
        for actor in [&mut holder, &mut first, &mut second] {
            actor.does("open a.lock write");
        }
        holder.does(&format!("{name} a.lock exclusive"));
        first.waits(&format!("{name} a.lock exclusive"));
        second.waits(&format!("{name} a.lock shared"));
        let found = stage.diagnosis();
        assert_eq!(found.findings, [], "{name}");
        let lock = the_lock(&found);
        let mut waiting = waiters(lock);
        waiting.sort_unstable();
        let mut expected = [first.pid(), second.pid()];
        expected.sort_unstable();
        assert_eq!((holders(lock), waiting.as_slice()), (vec![holder.pid()], &expected[..]), "{name}");
        assert!(lock.waiters.iter().all(|waiter| waiter.waited.is_some()), "{name}: {lock:?}");

        let found = stage.diagnosis_with(0.0);
        let long = only(&found);
        assert_eq!((long.kind, long.severity), (Kind::LongWait, Severity::Warning), "{name}");
        assert_eq!(
            (long.paths.as_slice(), long.pids.as_slice()),
            (&["a.lock".to_owned()][..], &expected[..])
        );
    }
}

#[test]
fn a_holder_that_is_stopped_is_found() {
    let stage = Stage::with(&[]);
    let [mut holder, mut waiter] = ["holder", "waiter"].map(|role| stage.actor(role));
    for actor in [&mut holder, &mut waiter] {
        actor.does("open .metadata.lock write");
    }
    holder.does("flock .metadata.lock exclusive");
    holder.stop();
    let found = stage.diagnosis();
    let finding = only(&found);
    assert_eq!((finding.kind, finding.severity), (Kind::StoppedHolder, Severity::Warning));
    assert_eq!(
        (finding.paths.as_slice(), finding.pids.as_slice()),
        (&[".metadata.lock".to_owned()][..], &[holder.pid()][..])
    );
    assert_eq!(found.seen.processes[&holder.pid()].state, State::Stopped);

    waiter.waits("flock .metadata.lock exclusive");
    // The long wait has its cause in the same finding.
    let found = stage.diagnosis_with(0.0);
    let finding = only(&found);
    assert_eq!((finding.kind, finding.severity), (Kind::StoppedHolder, Severity::Error));
    assert!(finding.summary.contains(&format!("process {} ", waiter.pid())), "{}", finding.summary);

    holder.signal(Signal::SIGCONT);
    holder.does("close .metadata.lock");
    // For an instant nobody has it.
    until("the waiter to have it", || {
        stage.diagnosis().seen.locks.iter().any(|lock| holders(lock) == [waiter.pid()])
    });
    assert_eq!(stage.diagnosis().findings, []);
}

#[test]
fn a_lock_file_that_is_removed_or_replaced_while_it_is_held_is_found() {
    for (again, place) in [(false, Place::Gone), (true, Place::Replaced)] {
        let stage = Stage::with(&[]);
        let [mut holder, mut waiter] = ["holder", "waiter"].map(|role| stage.actor(role));
        for actor in [&mut holder, &mut waiter] {
            actor.does("open agent.lock write");
        }
        holder.does("flock agent.lock exclusive");
        if again {
            fs::write(stage.path("new"), "").expect("a file");
            fs::rename(stage.path("new"), stage.path("agent.lock")).expect("it can be replaced");
        } else {
            fs::remove_file(stage.path("agent.lock")).expect("it can be removed");
        }
        let found = stage.diagnosis();
        let finding = only(&found);
        assert_eq!((finding.kind, finding.severity), (Kind::UnlinkedLock, Severity::Error));
        assert_eq!((finding.paths[0].as_str(), finding.pids.as_slice()), ("agent.lock", &[holder.pid()][..]));
        assert_eq!(the_lock(&found).place, place);

        waiter.waits("flock agent.lock exclusive");
        assert_eq!(only(&stage.diagnosis()).pids, [holder.pid(), waiter.pid()]);
        // Both have the lock, each of its own file.
        let mut newcomer = stage.actor("newcomer");
        newcomer.does("open agent.lock write");
        newcomer.does("flock agent.lock exclusive");
        let found = stage.diagnosis();
        assert_eq!(found.seen.locks.len(), 2);
        assert_eq!(kinds(&found), [Kind::UnlinkedLock]);
    }
}

/// A lock file that has another name by now is still the same lock.
#[test]
fn a_lock_is_found_by_any_name_of_its_file() {
    let stage = Stage::with(&[("real/agent.lock", "")]);
    std::os::unix::fs::symlink(stage.path("real"), stage.path("link")).expect("a link");
    let outside = tempfile::tempdir().expect("a temporary directory");
    fs::hard_link(stage.path("real/agent.lock"), outside.path().join("other.lock")).expect("a link");
    let mut holder = stage.actor("holder");
    let other = outside.path().join("other.lock").display().to_string();
    holder.does(&format!("open {other} write"));
    holder.does(&format!("flock {other} exclusive"));
    let found = stage.diagnosis();
    assert_eq!(found.findings, []);
    assert_eq!(
        (the_lock(&found).path.as_str(), holders(the_lock(&found))),
        ("real/agent.lock", vec![holder.pid()])
    );
}

#[test]
fn a_lock_that_only_a_child_still_holds_is_found() {
    let stage = Stage::with(&[]);
    let mut parent = stage.actor("parent");
    parent.does("open .metadata.lock write");
    parent.does("flock .metadata.lock exclusive");
    let child = parent.does("fork");
    let found = stage.diagnosis();
    assert_eq!(found.findings, [], "the parent has it as well");
    assert_eq!(holders(the_lock(&found)), [parent.pid().min(child), parent.pid().max(child)]);

    let taker = parent.pid();
    parent.die();
    let found = stage.diagnosis();
    let finding = only(&found);
    assert_eq!((finding.kind, finding.severity), (Kind::InheritedLock, Severity::Warning));
    assert_eq!((finding.paths[0].as_str(), finding.pids.as_slice()), (".metadata.lock", &[child][..]));
    assert!(
        finding.summary.contains(&format!("process {taker}, which took it, is gone")),
        "{}",
        finding.summary
    );

    drop(parent);
    until("the child to be gone", || state_is_gone(child));
    assert_eq!(stage.diagnosis().findings, []);
    assert_eq!(stage.diagnosis().seen.locks, []);
}

fn state_is_gone(pid: i32) -> bool {
    matches!(state(pid), None | Some('Z'))
}

/// `exec 9>f; flock 9` in a shell: a child takes the lock for its parent, and ends. That is as it should be.
#[test]
fn a_lock_that_a_child_took_for_its_parent_is_no_finding() {
    let stage = Stage::with(&[]);
    let mut shell = stage.actor("shell");
    shell.does("open a.lock write");
    shell.does("child a.lock");
    let found = stage.diagnosis();
    assert_eq!(found.findings, []);
    assert_eq!(holders(the_lock(&found)), [shell.pid()]);
    assert_ne!(the_lock(&found).held[0].taker, Taker::Process(shell.pid()));
}

#[test]
fn processes_that_wait_for_each_other_are_found() {
    for name in ["flock", "ofd"] {
        let stage = Stage::with(&[]);
        let [mut a, mut b, mut behind] = ["a", "b", "behind"].map(|role| stage.actor(role));
        for actor in [&mut a, &mut b, &mut behind] {
            actor.does("open agent.lock write");
            actor.does("open metadata.lock write");
        }
        a.does(&format!("{name} agent.lock exclusive"));
        b.does(&format!("{name} metadata.lock exclusive"));
        a.waits(&format!("{name} metadata.lock exclusive"));
        assert_eq!(stage.diagnosis().findings, [], "one waits for the other");
        b.waits(&format!("{name} agent.lock exclusive"));
        behind.waits(&format!("{name} metadata.lock exclusive"));
        let found = stage.diagnosis_with(0.0);
        let finding = only(&found);
        assert_eq!((finding.kind, finding.severity), (Kind::LockCycle, Severity::Error), "{name}");
        assert_eq!(finding.paths, ["agent.lock", "metadata.lock"]);
        let mut pids = [a.pid(), b.pid()];
        pids.sort_unstable();
        assert_eq!(finding.pids, pids, "who only waits behind them is no part of it");
    }
}

#[test]
fn a_process_that_waits_for_itself_is_found() {
    let stage = Stage::with(&[]);
    let mut actor = stage.actor("alone");
    actor.does("open a.lock write");
    actor.does("flock a.lock exclusive");
    // Another description of the same file.
    actor.does("open ./a.lock write");
    actor.waits("flock ./a.lock exclusive");
    let found = stage.diagnosis();
    let finding = only(&found);
    assert_eq!((finding.kind, finding.pids.as_slice()), (Kind::LockCycle, &[actor.pid()][..]));
}
