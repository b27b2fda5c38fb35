//! Sampling `/proc/locks`: which locks are held and waited for how often, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::DiagnoseError;
use super::look::locks::{self, Line};
use super::snapshot::{FileId, LockKind, Snapshot, Taker};

/// Between two samples.
const INTERVAL: Duration = Duration::from_millis(20);

/// What a watch came to.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Contention {
    /// How long it was, in seconds.
    pub seconds: f64,
    /// How often the kernel was asked.
    pub samples: u64,
    /// The locks that were held at a sample, the most waited for first.
    pub locks: Vec<Contended>,
}

/// What a watch saw of a lock.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Contended {
    /// The file.
    pub path: String,
    /// The way of locking.
    pub kind: LockKind,
    /// Samples at which it was held.
    pub held: u64,
    /// Samples at which somebody waited.
    pub waited: u64,
    /// The most that waited at a sample.
    pub most_waiters: usize,
    /// The longest time that one waited, in seconds, as far as samples tell.
    pub longest_wait_s: f64,
    /// The processes that were seen to hold or wait, as far as the kernel tells who.
    pub pids: BTreeSet<i32>,
}

/// Waits without sleeping through a request to stop for longer than an instant.
pub fn pause(long: Duration, stop: &AtomicBool) -> Result<(), DiagnoseError> {
    let end = Instant::now() + long;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(DiagnoseError::Interrupted);
        }
        match end.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => thread::park_timeout(left.min(INTERVAL)),
            _ => return Ok(()),
        }
    }
}

/// Samples for so long.
pub fn watch(long: Duration, stop: &AtomicBool) -> Result<Samples, DiagnoseError> {
    let begun = Instant::now();
    let mut samples = Samples::default();
    loop {
        let lines = locks::read().map_err(DiagnoseError::NoProc)?;
        samples.add(begun.elapsed().as_secs_f64(), &lines);
        let left = long.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(samples);
        }
        pause(left.min(INTERVAL), stop)?;
    }
}

/// What the samples came to, of all files of the machine: which are of the directory shows at the end.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Samples {
    count: u64,
    seconds: f64,
    locks: BTreeMap<(FileId, LockKind), Tally>,
}

#[derive(Clone, PartialEq, Debug, Default)]
struct Tally {
    held: u64,
    waited: u64,
    most: usize,
    longest: f64,
    pids: BTreeSet<i32>,
    /// Who waits, and since which second of the watch.
    since: BTreeMap<i32, f64>,
}

impl Samples {
    /// Adds a sample, taken so many seconds after the beginning.
    pub fn add(&mut self, at: f64, lines: &[Line]) {
        self.count += 1;
        self.seconds = at;
        for line in lines {
            self.locks.entry((line.id, line.kind)).or_default();
        }
        for (key, tally) in &mut self.locks {
            let (waiting, held): (Vec<&Line>, Vec<&Line>) =
                lines.iter().filter(|line| (line.id, line.kind) == *key).partition(|line| line.waits);
            tally.held += u64::from(!held.is_empty());
            tally.waited += u64::from(!waiting.is_empty());
            tally.most = tally.most.max(waiting.len());
            tally.pids.extend(held.iter().chain(&waiting).filter_map(|line| pid(line)));
            let now: BTreeSet<i32> = waiting.iter().filter_map(|line| pid(line)).collect();
            tally.since.retain(|pid, _| now.contains(pid));
            for pid in now {
                let since = *tally.since.entry(pid).or_insert(at);
                tally.longest = tally.longest.max(at - since);
            }
        }
    }

    /// Where the kernel does not tell how long somebody has waited, or less than was seen, what was seen counts.
    pub fn lengthen_waits(&self, seen: &mut Snapshot) {
        for lock in &mut seen.locks {
            let Some(tally) = self.locks.get(&(lock.id, lock.kind)) else { continue };
            for waiter in &mut lock.waiters {
                let since = waiter.pid.and_then(|pid| tally.since.get(&pid));
                if let Some(since) = since {
                    let watched = self.seconds - since;
                    waiter.waited = Some(waiter.waited.map_or(watched, |waited| waited.max(watched)));
                }
            }
        }
    }

    /// What it comes to for the files of a directory.
    pub fn contention(&self, seen: &Snapshot) -> Contention {
        let mut paths: BTreeMap<FileId, &str> =
            seen.files.iter().map(|(path, file)| (file.id, path.as_str())).collect();
        paths.extend(seen.locks.iter().map(|lock| (lock.id, lock.path.as_str())));
        let of_dir = self.locks.iter().filter_map(|((id, kind), tally)| {
            let path = (*paths.get(id)?).to_owned();
            Some(Contended {
                path,
                kind: *kind,
                held: tally.held,
                waited: tally.waited,
                most_waiters: tally.most,
                longest_wait_s: tally.longest,
                pids: tally.pids.clone(),
            })
        });
        let mut locks: Vec<Contended> = of_dir.collect();
        locks.sort_by(|a, b| (b.waited, b.held, &a.path).cmp(&(a.waited, a.held, &b.path)));
        Contention { seconds: self.seconds, samples: self.count, locks }
    }
}

fn pid(line: &Line) -> Option<i32> {
    match line.taker {
        Taker::Process(pid) => Some(pid),
        _ => None,
    }
}
