//! Locks that are held in a way that they should not be, and long waits.

use super::{Finding, Kind, Severity, duration, list, processes};
use crate::diagnose::snapshot::{Held, Lock, Place, Process, Snapshot, State, Taker};

/// `unlinked-lock`, `inherited-lock` and `stopped-holder`.
pub fn findings(seen: &Snapshot) -> Vec<Finding> {
    let mut found = Vec::new();
    for lock in &seen.locks {
        found.extend(unlinked(seen, lock));
        found.extend(lock.held.iter().filter_map(|held| inherited(seen, lock, held)));
        found.extend(lock.held.iter().filter_map(|held| stopped(seen, lock, held)));
    }
    found
}

fn unlinked(seen: &Snapshot, lock: &Lock) -> Option<Finding> {
    let path = &lock.path;
    let now = match lock.place {
        Place::Here => return None,
        Place::Gone => format!("{path} was removed while"),
        Place::Replaced => format!("{path} was replaced by another file while"),
    };
    let mut pids: Vec<i32> = lock.held.iter().flat_map(|held| held.holders.iter().copied()).collect();
    let waiters: Vec<i32> = lock.waiters.iter().filter_map(|waiter| waiter.pid).collect();
    let verb = if pids.len() == 1 { "holds" } else { "hold" };
    let mut summary = match pids.as_slice() {
        [] if lock.held.is_empty() => return None,
        [] => format!("{now} somebody holds its lock"),
        _ => format!("{now} {} {verb} its lock", processes(seen, &pids)),
    };
    summary += ": whoever opens the path locks another file, so that two can hold the lock at once";
    if !waiters.is_empty() {
        let verb = if waiters.len() == 1 { "waits" } else { "wait" };
        summary += &format!(". {} {verb} for the old one", processes(seen, &waiters));
    }
    pids.extend(waiters);
    Some(Finding {
        kind: Kind::UnlinkedLock,
        severity: Severity::Error,
        summary,
        remedy: "let the holder finish, or restart it, before anybody else writes; never remove, rename or replace lock files \
                 (no clean-up by age or by process id): the kernel frees the lock when its holder ends"
            .to_owned(),
        paths: vec![path.clone()],
        pids,
    })
}

/// A lock whose taker is gone and whose holder came after it. The other way round is a habit of shells (`exec 9>f; flock 9`): a
/// child takes the lock for its parent, and ends. Where the process group or session does not tell who descends from whom, the ids do (which
/// are given in order until they wrap), and that the holder has lost its parent.
fn inherited(seen: &Snapshot, lock: &Lock, held: &Held) -> Option<Finding> {
    let first = *held.holders.iter().min_by(|a, b| started(seen, **a).total_cmp(&started(seen, **b)))?;
    let process = seen.processes.get(&first)?;
    let who = match held.taker {
        Taker::Unknown => return None,
        Taker::Gone => "the process that took it is gone".to_owned(),
        Taker::Process(taker) if held.holders.contains(&taker) => return None,
        Taker::Process(taker) => {
            let descends = process.group == taker || process.session == taker || process.parent == taker;
            if !descends && (first < taker || !orphaned(seen, process)) {
                return None;
            }
            match seen.lives(taker) {
                true => format!("process {taker}, which took it, has closed it"),
                false => format!("process {taker}, which took it, is gone"),
            }
        }
    };
    let verb = if held.holders.len() == 1 { "holds" } else { "hold" };
    let (severity, more) = waited_for(seen, lock);
    Some(Finding {
        kind: Kind::InheritedLock,
        severity,
        summary: format!(
            "{} {verb} the lock of {} by inheritance alone: {who}, and its child keeps the descriptor open{more}",
            processes(seen, &held.holders),
            lock.path,
        ),
        remedy: format!(
            "end {} if it is not meant to hold the lock; open lock files close-on-exec, and unlock before closing",
            list(&held.holders.iter().map(ToString::to_string).collect::<Vec<_>>())
        ),
        paths: vec![lock.path.clone()],
        pids: held.holders.clone(),
    })
}

/// Whether some ancestor of a process is gone, so that init (or another reaper) has become the parent: of another session, without
/// a session of its own having begun in between.
fn orphaned(seen: &Snapshot, process: &Process) -> bool {
    let mut at = process;
    let mut met = vec![at.parent];
    while let Some(parent) = seen.processes.get(&at.parent) {
        let leads = seen.processes.get(&at.session).is_some_and(|leader| std::ptr::eq(leader, at));
        if leads || at.parent == 1 || parent.session != at.session {
            return !leads;
        }
        at = parent;
        if met.contains(&at.parent) {
            break;
        }
        met.push(at.parent);
    }
    true
}

fn started(seen: &Snapshot, pid: i32) -> f64 {
    seen.processes.get(&pid).map_or(f64::MAX, |process| process.started)
}

fn stopped(seen: &Snapshot, lock: &Lock, held: &Held) -> Option<Finding> {
    let state = |pid: &i32| seen.processes.get(pid).map(|process| process.state);
    let is_stopped = |pid: &i32| matches!(state(pid), Some(State::Stopped | State::Traced));
    if held.holders.is_empty() || !held.holders.iter().all(is_stopped) {
        return None;
    }
    let traced = held.holders.iter().any(|pid| state(pid) == Some(State::Traced));
    let by = if traced { " by a debugger" } else { "" };
    let (severity, more) = waited_for(seen, lock);
    let verb = if held.holders.len() == 1 { "holds" } else { "hold" };
    let pids = list(&held.holders.iter().map(ToString::to_string).collect::<Vec<_>>());
    Some(Finding {
        kind: Kind::StoppedHolder,
        severity,
        summary: format!(
            "{} {verb} the lock of {} and is stopped{by}: nobody else gets it until it goes on or ends{more}",
            processes(seen, &held.holders),
            lock.path
        ),
        remedy: if traced {
            format!("let the debugger go on with {pids}, or end it")
        } else {
            format!("let it go on (kill -CONT {pids}, or `fg` in its shell), or end it (kill -KILL {pids})")
        },
        paths: vec![lock.path.clone()],
        pids: held.holders.clone(),
    })
}

/// A lock that others wait for is worse.
fn waited_for(seen: &Snapshot, lock: &Lock) -> (Severity, String) {
    let waiters: Vec<i32> = lock.waiters.iter().filter_map(|waiter| waiter.pid).collect();
    match (lock.waiters.len(), waiters.len()) {
        (0, _) => (Severity::Warning, String::new()),
        (_, 0) => (Severity::Error, "; somebody waits for it".to_owned()),
        (_, 1) => (Severity::Error, format!("; {} waits for it", processes(seen, &waiters))),
        _ => (Severity::Error, format!("; {} wait for it", processes(seen, &waiters))),
    }
}

/// Waits of `long` seconds and more, one finding for each lock. What is found already with its cause is not told again.
pub fn long_waits(seen: &Snapshot, long: f64, found: &[Finding]) -> Vec<Finding> {
    let explained = |path: &String| {
        let causes = [Kind::LockCycle, Kind::StoppedHolder];
        found.iter().any(|finding| causes.contains(&finding.kind) && finding.paths.contains(path))
    };
    let locks = seen.locks.iter().filter(|lock| !explained(&lock.path));
    locks.filter_map(|lock| long_wait(seen, lock, long)).collect()
}

fn long_wait(seen: &Snapshot, lock: &Lock, long: f64) -> Option<Finding> {
    let waits = lock
        .waiters
        .iter()
        .filter_map(|waiter| Some((waiter, waiter.waited.filter(|waited| *waited >= long)?)));
    let waits: Vec<_> = waits.collect();
    let longest = waits.iter().map(|(_, waited)| *waited).max_by(f64::total_cmp)?;
    let mut pids: Vec<i32> = waits.iter().filter_map(|(waiter, _)| waiter.pid).collect();
    pids.sort_unstable();
    let mut holders: Vec<i32> = waits
        .iter()
        .flat_map(|(waiter, _)| seen.in_the_way(lock, waiter))
        .flat_map(|held| held.holders.iter().copied())
        .collect();
    holders.sort_unstable();
    holders.dedup();
    let verb = if waits.len() == 1 { "has" } else { "have" };
    let (by, remedy) = match holders.as_slice() {
        [] => (
            "somebody who cannot be seen holds".to_owned(),
            "look again as root: the holder is not yours".to_owned(),
        ),
        [one, ..] => (
            format!("{} {}", processes(seen, &holders), if holders.len() == 1 { "holds" } else { "hold" }),
            format!(
                "see what {one} does (cat /proc/{one}/stack as root, py-spy dump --pid {one}): it should hold the lock for one \
                 update only; end it if it is stuck, and the kernel frees the lock"
            ),
        ),
    };
    Some(Finding {
        kind: Kind::LongWait,
        severity: Severity::Warning,
        summary: format!(
            "{} {verb} waited {} for the lock of {}, which {by}",
            if pids.is_empty() { "somebody".to_owned() } else { processes(seen, &pids) },
            duration(longest),
            lock.path
        ),
        remedy,
        paths: vec![lock.path.clone()],
        pids,
    })
}
