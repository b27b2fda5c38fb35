//! Processes that wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Kind, Severity, list, process};
use crate::diagnose::snapshot::{Lock, Snapshot, Waiter};

/// A process that waits, and what for.
type Waits<'a> = BTreeMap<i32, (&'a Lock, &'a Waiter)>;

/// The rings of processes that nobody outside of them can open. A process with several threads may give a lock back in one while it
/// waits in another: a ring with such a process counts only when its waits are `long`.
pub fn cycles(seen: &Snapshot, long: f64) -> Vec<Finding> {
    let mut waits: Waits = BTreeMap::new();
    for lock in &seen.locks {
        for waiter in &lock.waiters {
            if let Some(pid) = waiter.pid {
                waits.insert(pid, (lock, waiter));
            }
        }
    }
    // Who can never go on: for at least one lock in the way, whoever could give it back cannot go on either.
    loop {
        let stuck = |(lock, waiter): &(&Lock, &Waiter)| {
            seen.in_the_way(lock, waiter).any(|held| {
                !held.holders.is_empty() && held.holders.iter().all(|holder| waits.contains_key(holder))
            })
        };
        let free: Vec<i32> = waits.iter().filter(|(_, wait)| !stuck(wait)).map(|(pid, _)| *pid).collect();
        if free.is_empty() {
            break;
        }
        waits.retain(|pid, _| !free.contains(pid));
    }
    let mut done = BTreeSet::new();
    let rings: Vec<Vec<i32>> = waits
        .keys()
        .filter_map(|pid| {
            let ring = ring(seen, &waits, *pid)?;
            ring.iter().all(|pid| done.insert(*pid)).then_some(ring)
        })
        .collect();
    rings
        .iter()
        .filter(|ring| counts(seen, &waits, ring, long))
        .map(|ring| finding(seen, &waits, ring))
        .collect()
}

/// The shortest way from a process back to itself, over whom each waits for.
fn ring(seen: &Snapshot, waits: &Waits, start: i32) -> Option<Vec<i32>> {
    let mut ways = vec![vec![start]];
    let mut met = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let (lock, waiter) = waits.get(way.last()?)?;
            for next in seen.in_the_way(lock, waiter).flat_map(|held| &held.holders) {
                if *next == start {
                    return Some(way);
                }
                if waits.contains_key(next) && met.insert(*next) {
                    longer.push([way.as_slice(), &[*next]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

fn counts(seen: &Snapshot, waits: &Waits, ring: &[i32], long: f64) -> bool {
    let single = |pid: &i32| seen.processes.get(pid).is_some_and(|process| process.threads == 1);
    let long = |pid: &i32| waits[pid].1.waited.is_some_and(|waited| waited >= long);
    ring.iter().all(single) || ring.iter().all(long)
}

fn finding(seen: &Snapshot, waits: &Waits, ring: &[i32]) -> Finding {
    let path = |pid: &i32| waits[pid].0.path.clone();
    let parts: Vec<String> = ring
        .iter()
        .enumerate()
        .map(|(at, pid)| {
            let next = ring[(at + 1) % ring.len()];
            let holder =
                if next == *pid { "holds itself".to_owned() } else { format!("process {next} holds") };
            format!("{} waits for {}, which {holder}", process(seen, *pid), path(pid))
        })
        .collect();
    let mut paths: Vec<String> = ring.iter().map(path).collect();
    paths.sort();
    paths.dedup();
    let mut pids = ring.to_vec();
    pids.sort_unstable();
    Finding {
        kind: Kind::LockCycle,
        severity: Severity::Error,
        summary: format!("a deadlock: {}; none of them can go on", list(&parts)),
        remedy: format!(
            "end one of them (kill {}); then take the locks in one order everywhere, and each only once in a process",
            pids[0]
        ),
        paths,
        pids,
    }
}
