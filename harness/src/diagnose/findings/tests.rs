//! Findings on snapshots that are made by hand: what is hard to stage, and what must not be found.

use std::collections::BTreeMap;

use super::{Finding, Kind, Severity, confirmed, duration, findings};
use crate::diagnose::snapshot::{
    Claim, File, FileId, Held, Lock, LockKind, Open, Place, Process, Snapshot, State, Taker, Waiter,
};

fn id(inode: u64) -> FileId {
    FileId { device: (8, 1), inode }
}

/// A process that is alive, a child of init in a session of its own.
fn process(pid: i32) -> (i32, Process) {
    let command = vec!["agent".to_owned(), pid.to_string()];
    let process = Process {
        command,
        parent: 1,
        group: pid,
        session: pid,
        threads: 1,
        seen: true,
        ..Process::default()
    };
    (pid, process)
}

fn snapshot(pids: &[i32], locks: Vec<Lock>) -> Snapshot {
    let processes: BTreeMap<i32, Process> = pids.iter().map(|pid| process(*pid)).collect();
    Snapshot { alive: pids.iter().copied().collect(), processes, locks, ..Snapshot::default() }
}

fn held(claim: Claim, holders: &[i32]) -> Held {
    Held { claim, taker: Taker::Process(holders[0]), holders: holders.to_vec() }
}

fn lock(path: &str, held: Vec<Held>, waiters: &[(i32, Claim)]) -> Lock {
    let inode = path.bytes().map(u64::from).sum();
    let waiter = |(pid, claim): &(i32, Claim)| Waiter { pid: Some(*pid), claim: *claim, waited: Some(1.0) };
    let waiters = waiters.iter().map(waiter).collect();
    Lock { id: id(inode), path: path.to_owned(), kind: LockKind::Flock, place: Place::Here, held, waiters }
}

fn kinds(found: &[Finding]) -> Vec<Kind> {
    found.iter().map(|finding| finding.kind).collect()
}

const EX: Claim = Claim::EXCLUSIVE;
const SH: Claim = Claim::SHARED;

#[test]
fn nothing_follows_from_nothing() {
    assert_eq!(findings(&Snapshot::default(), 0.0), []);
}

#[test]
fn a_ring_of_three_is_one_finding() {
    let locks = vec![
        lock("a", vec![held(EX, &[11])], &[(13, EX)]),
        lock("b", vec![held(EX, &[12])], &[(11, SH)]),
        lock("c", vec![held(EX, &[13])], &[(12, EX), (14, EX)]),
    ];
    let found = findings(&snapshot(&[11, 12, 13, 14], locks), 100.0);
    assert_eq!(kinds(&found), [Kind::LockCycle]);
    assert_eq!(
        (found[0].pids.as_slice(), found[0].paths.as_slice()),
        (&[11, 12, 13][..], &["a", "b", "c"].map(String::from)[..])
    );
}

/// Somebody outside of the ring also has the descriptor, or the lock does not keep the waiter out.
#[test]
fn what_can_still_go_on_is_no_ring() {
    let inherited = vec![
        lock("a", vec![held(EX, &[11])], &[(12, EX)]),
        lock("b", vec![held(EX, &[12, 13])], &[(11, EX)]),
    ];
    assert_eq!(findings(&snapshot(&[11, 12, 13], inherited), 100.0), []);
    let [first, second] = [(0, 9), (10, 19)].map(|bytes| Claim { exclusive: true, bytes });
    let ranges = vec![
        lock("a", vec![held(EX, &[11])], &[(12, EX)]),
        lock("b", vec![held(first, &[12]), held(second, &[13])], &[(11, second)]),
    ];
    assert_eq!(findings(&snapshot(&[11, 12, 13], ranges), 100.0), []);
    // A third one shares the lock that one of two wait for: it goes on, the two do not.
    let shared = vec![
        lock("a", vec![held(EX, &[11])], &[(12, EX)]),
        lock("b", vec![held(SH, &[12]), held(SH, &[13])], &[(11, EX)]),
    ];
    assert_eq!(kinds(&findings(&snapshot(&[11, 12, 13], shared), 100.0)), [Kind::LockCycle]);
}

/// flock knows nothing of the locks of fcntl on the same file.
#[test]
fn locks_of_different_kinds_do_not_meet() {
    let mut other = lock("b", vec![held(EX, &[12])], &[]);
    other.kind = LockKind::Ofd;
    let locks = vec![lock("a", vec![held(EX, &[11])], &[(12, EX)]), lock("b", vec![], &[(11, EX)]), other];
    assert_eq!(findings(&snapshot(&[11, 12], locks), 100.0), []);
}

/// One thread may give back what another waits for: a ring of processes with threads counts when it lasts.
#[test]
fn a_ring_with_threads_must_last() {
    let locks = vec![lock("a", vec![held(EX, &[11])], &[(11, EX)])];
    let mut seen = snapshot(&[11], locks);
    assert_eq!(kinds(&findings(&seen, 100.0)), [Kind::LockCycle]);
    seen.processes.get_mut(&11).expect("it is there").threads = 4;
    assert_eq!(findings(&seen, 100.0), []);
    assert_eq!(kinds(&findings(&seen, 0.5)), [Kind::LockCycle]);
}

#[test]
fn a_long_wait_behind_somebody_unseen_says_so() {
    let unseen = Held { claim: EX, taker: Taker::Unknown, holders: vec![] };
    let mut seen = snapshot(&[12], vec![lock("a", vec![unseen], &[(12, EX)])]);
    assert_eq!(findings(&seen, 1.5), []);
    let found = findings(&seen, 1.0);
    assert_eq!(kinds(&found), [Kind::LongWait]);
    assert!(found[0].summary.ends_with("which somebody who cannot be seen holds"), "{}", found[0].summary);
    seen.locks[0].waiters[0].waited = None;
    assert_eq!(findings(&seen, 0.0), [], "nobody knows for how long");
}

#[test]
fn a_lock_is_inherited_when_its_taker_has_it_no_more() {
    let seen = |change: &dyn Fn(&mut Process), taker| {
        let mut seen = snapshot(&[1, 50], vec![lock("a", vec![held(EX, &[50])], &[])]);
        seen.locks[0].held[0].taker = taker;
        change(seen.processes.get_mut(&50).expect("it is there"));
        kinds(&findings(&seen, 100.0))
    };
    let gone = Taker::Process(40);
    // By its process group, or its session.
    assert_eq!(seen(&|process| process.group = 40, gone), [Kind::InheritedLock]);
    assert_eq!(seen(&|process| process.session = 40, gone), [Kind::InheritedLock]);
    // By the order of ids, of an orphan; not of a service of init in a session of its own.
    assert_eq!(seen(&|process| process.session = 30, gone), [Kind::InheritedLock]);
    assert_eq!(seen(&|_| (), gone), []);
    // A child that came later took it for its parent.
    assert_eq!(seen(&|process| process.session = 30, Taker::Process(60)), []);
    // The taker lives, and has closed it.
    assert_eq!(seen(&|process| process.parent = 40, gone), [Kind::InheritedLock]);
    // In a container the kernel does not tell who took it, only that he is gone.
    assert_eq!(seen(&|_| (), Taker::Gone), [Kind::InheritedLock]);
    assert_eq!(seen(&|_| (), Taker::Unknown), []);
    assert_eq!(seen(&|_| (), Taker::Process(50)), []);
}

#[test]
fn a_lock_counts_as_stopped_when_all_that_have_it_are() {
    let mut seen = snapshot(&[11, 12], vec![lock("a", vec![held(EX, &[11, 12])], &[])]);
    seen.processes.get_mut(&11).expect("it is there").state = State::Traced;
    assert_eq!(findings(&seen, 100.0), []);
    seen.processes.get_mut(&12).expect("it is there").state = State::Stopped;
    let found = findings(&seen, 100.0);
    assert_eq!((kinds(&found), found[0].severity), (vec![Kind::StoppedHolder], Severity::Warning));
    assert!(found[0].summary.contains("by a debugger"), "{}", found[0].summary);
}

#[test]
fn a_process_id_that_is_used_again_does_not_revive_the_dead() {
    let file = File { note: Some("11".to_owned()), modified: 1_000.0, ..File::default() };
    let mut seen = snapshot(&[11], vec![]);
    seen.files.insert("a.lock".to_owned(), file);
    seen.processes.get_mut(&11).expect("it is there").started = 900.0;
    assert_eq!(findings(&seen, 100.0), []);
    seen.processes.get_mut(&11).expect("it is there").started = 2_000.0;
    let found = findings(&seen, 100.0);
    assert!(found[0].summary.contains("the id is now that of process 11"), "{}", found[0].summary);
    // A zombie is dead as well.
    let process = seen.processes.get_mut(&11).expect("it is there");
    (process.started, process.state) = (900.0, State::Zombie);
    assert_eq!(kinds(&findings(&seen, 100.0)), [Kind::DeadOwner]);
}

#[test]
fn file_systems_without_reliable_locks_are_told_from_others() {
    let found = |kind: &str| {
        let file_systems = vec![(".".to_owned(), kind.to_owned())];
        !findings(&Snapshot { file_systems, ..Snapshot::default() }, 100.0).is_empty()
    };
    for kind in ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse", "9p", "virtiofs"] {
        assert!(found(kind), "{kind}");
    }
    for kind in ["ext4", "tmpfs", "btrfs", "overlay", "fuseblk", "xfs", "unknown"] {
        assert!(!found(kind), "{kind}");
    }
}

#[test]
fn servers_are_told_from_other_processes_that_are_many() {
    let mut seen = snapshot(&[11, 12], vec![]);
    for process in seen.processes.values_mut() {
        process.command = vec!["python3".to_owned(), "agent.py".to_owned()];
        process.open = vec![Open { id: id(1), path: "m.json".to_owned(), writes: false }];
    }
    assert_eq!(findings(&seen, 100.0), []);
    for process in seen.processes.values_mut() {
        process.command[1] = "mcp_server.py".to_owned();
    }
    let found = findings(&seen, 100.0);
    assert_eq!((kinds(&found), found[0].pids.as_slice()), (vec![Kind::TooManyServers], &[11, 12][..]));
    // A server and its worker.
    seen.processes.get_mut(&12).expect("it is there").parent = 11;
    assert_eq!(findings(&seen, 100.0), []);
}

#[test]
fn what_was_only_on_its_way_is_not_told() {
    let finding = |kind, path: &str, pids: &[i32]| Finding {
        kind,
        severity: Severity::Error,
        summary: String::new(),
        remedy: String::new(),
        paths: vec![path.to_owned()],
        pids: pids.to_vec(),
    };
    let first = [
        finding(Kind::TornFile, "a", &[]),
        finding(Kind::UnlockedWriter, "b", &[1]),
        finding(Kind::LongWait, "c", &[1]),
    ];
    let second = vec![
        finding(Kind::TornFile, "b", &[]),
        finding(Kind::UnlockedWriter, "b", &[2]),
        finding(Kind::LongWait, "c", &[2]),
    ];
    assert_eq!(confirmed(&first, second), [finding(Kind::LongWait, "c", &[2])]);
    assert_eq!(confirmed(&first, first.to_vec()), first);
}

#[test]
fn durations_are_for_people() {
    let texts = [0.04, 9.5, 59.0, 119.0, 150.0, 7_500.0, 100_000.0].map(duration);
    assert_eq!(texts, ["0.0 s", "9.5 s", "59 s", "119 s", "2 min", "2 h 5 min", "1 d 3 h"]);
}
