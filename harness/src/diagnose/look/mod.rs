//! One look at a directory: its files, the kernel's locks, and one pass over the processes.

mod descriptors;
mod json;
pub mod locks;
mod process;
mod tree;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::mounts::Mounts;
use descriptors::{Descriptors, Sieve};
use locks::Line;
use process::Clock;
use waits::Clocks;

use super::DiagnoseError;
use super::names::named_process;
use super::snapshot::{Claim, FileId, Held, Lock, LockKind, Place, Process, Snapshot, Taker, Waiter};

/// The inode of the first pid namespace: `PROC_PID_INIT_INO` of the kernel's `proc_ns.h`.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// The directory's absolute path without links.
///
/// # Errors
/// If it is not there, no directory, or cannot be reached.
pub fn directory(dir: &Path) -> Result<PathBuf, DiagnoseError> {
    let cannot = |reason: io::Error| match reason.kind() {
        io::ErrorKind::NotFound => DiagnoseError::Missing(dir.to_owned()),
        io::ErrorKind::NotADirectory => DiagnoseError::NotADirectory(dir.to_owned()),
        _ => DiagnoseError::Unreadable { path: dir.to_owned(), reason },
    };
    let full = dir.canonicalize().map_err(cannot)?;
    if !full.metadata().map_err(cannot)?.is_dir() {
        return Err(DiagnoseError::NotADirectory(dir.to_owned()));
    }
    Ok(full)
}

/// Looks once.
///
/// # Errors
/// If the directory or `/proc` cannot be read.
pub fn look(dir: &Path) -> Result<Snapshot, DiagnoseError> {
    let name = dir.to_string_lossy().into_owned();
    let mounts = Mounts::read();
    let unreadable = |reason| DiagnoseError::Unreadable { path: dir.to_owned(), reason };
    let tree = tree::walk(dir, &mounts).map_err(unreadable)?;
    let before = locks::read().map_err(DiagnoseError::NoProc)?;
    let scan = Scan::all(&Sieve::new(&name, &tree, &mounts)).map_err(DiagnoseError::NoProc)?;
    let after = locks::read().map_err(DiagnoseError::NoProc)?;
    let (files, file_systems) = (tree.files, tree.file_systems);
    let mut seen = Snapshot { dir: name, taken: now(), files, file_systems, ..Snapshot::default() };
    seen.alive.clone_from(&scan.alive);
    seen.not_seen = summary(&tree.not_seen);
    seen.not_seen.extend(scan.not_seen());
    seen.not_seen.extend(surroundings(&seen));
    let paths = paths(&seen, &scan);
    let lines = Lines { before: before.into_iter().collect(), after };
    seen.locks = assemble(&lines, &scan, &paths, &mut seen.not_seen);
    for lock in &mut seen.locks {
        lock.place = place(&dir.join(&lock.path), lock.id);
    }
    seen.processes = concerned(&seen, scan);
    tell_waits(&mut seen.locks, &seen.processes);
    Ok(seen)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Of many sentences the first, and how many more.
fn summary(sentences: &[String]) -> Vec<String> {
    const SHOWN: usize = 5;
    let mut shown: Vec<String> = sentences.iter().take(SHOWN).cloned().collect();
    if sentences.len() > SHOWN {
        shown.push(format!("{} more files and folders that cannot be read", sentences.len() - SHOWN));
    }
    shown
}

/// What lies outside of what this process can see at all.
fn surroundings(seen: &Snapshot) -> Vec<String> {
    let mut unseen = Vec::new();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    if namespace.to_string_lossy() != FIRST_PID_NAMESPACE {
        unseen.push("processes outside of this container (pid namespace), and their locks".to_owned());
    }
    if !seen.alive.contains(&1) {
        unseen.push("processes of other users: /proc hides them (hidepid); look as root".to_owned());
    }
    if let Some((path, _)) = seen.file_systems.iter().find(|(_, kind)| kind == "overlay") {
        let place = if path == "." { "the directory" } else { path };
        unseen.push(format!(
            "{place} is an overlay: who uses another mount of the same layers has files and locks of its own"
        ));
    }
    unseen
}

/// One pass over all processes.
struct Scan {
    alive: BTreeSet<i32>,
    /// What those that could be looked at have of the directory; nothing for most.
    found: BTreeMap<i32, Descriptors>,
    /// Those that could not.
    closed: BTreeSet<i32>,
}

impl Scan {
    fn all(sieve: &Sieve) -> io::Result<Self> {
        let me = i32::try_from(std::process::id()).unwrap_or_default();
        let alive: BTreeSet<i32> = process::ids()?.into_iter().collect();
        let mut scan = Self { alive, found: BTreeMap::new(), closed: BTreeSet::new() };
        for pid in scan.alive.iter().copied().filter(|pid| *pid != me) {
            match sieve.descriptors(pid) {
                Ok(descriptors) => drop(scan.found.insert(pid, descriptors)),
                Err(_) => drop(scan.closed.insert(pid)),
            }
        }
        Ok(scan)
    }

    /// Who could not be looked at; threads of the kernel, which have no command line, have no files.
    fn not_seen(&self) -> Option<String> {
        let programs = self
            .closed
            .iter()
            .filter(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| !words.is_empty()));
        let count = programs.count();
        let processes = if count == 1 { "1 process" } else { &format!("{count} processes") };
        (count > 0).then(|| {
            format!("the open files of {processes} that this user may not look at: what they hold or write; look as root")
        })
    }
}

/// The path of each file that matters: of the directory, or open and no longer in it.
fn paths(seen: &Snapshot, scan: &Scan) -> BTreeMap<FileId, String> {
    let open = scan.found.values().flat_map(|found| &found.open);
    let mut paths: BTreeMap<FileId, String> = open.map(|open| (open.id, open.path.clone())).collect();
    paths.extend(seen.files.iter().map(|(path, file)| (file.id, path.clone())));
    paths
}

/// `/proc/locks` before and after the pass.
struct Lines {
    before: BTreeSet<Line>,
    after: Vec<Line>,
}

/// Joins what `/proc/locks` tells with what descriptors tell. Only the latter tell who holds a lock now; what only the former has, in
/// both readings, is held by somebody who cannot be seen: by whoever took it, if it cannot be looked at.
fn assemble(
    lines: &Lines,
    scan: &Scan,
    paths: &BTreeMap<FileId, String>,
    not_seen: &mut Vec<String>,
) -> Vec<Lock> {
    type Holders = BTreeMap<(Claim, Taker), Vec<i32>>;
    let mut all: BTreeMap<(String, LockKind, FileId), (Holders, Vec<Waiter>)> = BTreeMap::new();
    let key = |line: &Line| Some((paths.get(&line.id)?.clone(), line.kind, line.id));
    for (pid, line) in
        scan.found.iter().flat_map(|(pid, found)| found.locks.iter().map(move |line| (*pid, line)))
    {
        if let Some(key) = key(line) {
            let holders = all.entry(key).or_default().0.entry((line.claim, line.taker)).or_default();
            holders.push(pid);
        }
    }
    for line in &lines.after {
        let Some(key) = key(line) else { continue };
        let pid = if let Taker::Process(pid) = line.taker { Some(pid) } else { None };
        if line.waits {
            let waiter = Waiter { pid, claim: line.claim, waited: None };
            all.entry(key).or_default().1.push(waiter);
        } else if lines.before.contains(line) {
            let path = key.0.clone();
            let holders = &mut all.entry(key).or_default().0;
            if holders.contains_key(&(line.claim, line.taker)) {
                continue;
            }
            let closed = pid.filter(|pid| scan.closed.contains(pid));
            not_seen.push(match closed {
                Some(pid) => format!(
                    "whether process {pid} still holds the lock of {path} that it took, or a child of it"
                ),
                None => format!("who holds the lock of {path}"),
            });
            holders.insert((line.claim, line.taker), closed.into_iter().collect());
        }
    }
    let lock =
        |((path, kind, id), (holders, mut waiters)): ((String, LockKind, FileId), (Holders, Vec<Waiter>))| {
            find_open_waiters(id, &mut waiters, scan);
            if waiters.iter().any(|waiter| waiter.pid.is_none()) {
                not_seen.push(format!("who waits for the lock of {path}"));
            }
            let held = holders.into_iter().map(|((claim, taker), holders)| Held { claim, taker, holders });
            Lock { id, path, kind, place: Place::Here, held: held.collect(), waiters }
        };
    all.into_iter().map(lock).collect()
}

/// Of those that wait for an OFD lock the kernel does not tell who they are: whoever is in such a call for this file.
fn find_open_waiters(id: FileId, waiters: &mut [Waiter], scan: &Scan) {
    let unknown: Vec<&mut Waiter> = waiters.iter_mut().filter(|waiter| waiter.pid.is_none()).collect();
    if unknown.is_empty() {
        return;
    }
    let mut found = Vec::new();
    for (pid, descriptors) in &scan.found {
        if descriptors.open.iter().any(|open| open.id == id) {
            let calls = waits::calls(*pid).into_iter().filter(|(_, call)| call.open);
            let here = calls.filter(|(_, call)| descriptors.numbers.get(&call.descriptor) == Some(&id));
            found.extend(here.map(|_| *pid));
        }
    }
    for (waiter, pid) in unknown.into_iter().zip(found) {
        waiter.pid = Some(pid);
    }
}

/// What is at a path now.
fn place(path: &Path, id: FileId) -> Place {
    match path.metadata() {
        Ok(data) if data.ino() == id.inode => Place::Here,
        Ok(_) => Place::Replaced,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Place::Gone,
        // It cannot be told.
        Err(_) => Place::Here,
    }
}

/// The processes that have to do with the directory, with their parents.
fn concerned(seen: &Snapshot, mut scan: Scan) -> BTreeMap<i32, Process> {
    let mut pids: BTreeSet<i32> = BTreeSet::new();
    pids.extend(scan.found.iter().filter(|(_, found)| !found.open.is_empty()).map(|(pid, _)| *pid));
    pids.extend(seen.files.values().filter_map(|file| named_process(file.note.as_ref()?)));
    for lock in &seen.locks {
        pids.extend(lock.waiters.iter().filter_map(|waiter| waiter.pid));
        for held in &lock.held {
            pids.extend(&held.holders);
            if let Taker::Process(pid) = held.taker {
                pids.insert(pid);
            }
        }
    }
    let clock = Clock::read();
    let mut processes = BTreeMap::new();
    let mut next: Vec<i32> = pids.into_iter().collect();
    while let Some(pid) = next.pop() {
        if processes.contains_key(&pid) {
            continue;
        }
        if let Some(mut process) = process::read(pid, clock) {
            next.push(process.parent);
            let found = scan.found.remove(&pid);
            process.seen = found.is_some();
            process.open = found.unwrap_or_default().open;
            processes.insert(pid, process);
        }
    }
    processes
}

/// How long each has waited, as far as the kernel tells.
fn tell_waits(locks: &mut [Lock], processes: &BTreeMap<i32, Process>) {
    let mut clocks = Clocks::default();
    for waiter in locks.iter_mut().flat_map(|lock| &mut lock.waiters) {
        let Some(pid) = waiter.pid else { continue };
        let single = processes.get(&pid).is_some_and(|process| process.threads == 1);
        let threads: Vec<i32> =
            if single { vec![pid] } else { waits::calls(pid).into_iter().map(|(id, _)| id).collect() };
        // Of several that wait, the one that has for the shortest time: what is said holds for each.
        waiter.waited = threads.iter().filter_map(|id| clocks.asleep(pid, *id)).min_by(f64::total_cmp);
    }
}
