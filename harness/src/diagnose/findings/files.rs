//! What is wrong with the files: names of the dead, torn content, writers without a lock, what dead writers left.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Kind, Severity, process, processes};
use crate::diagnose::names::{file_name, folder, is_lock_file, is_temporary, named_process, temporary};
use crate::diagnose::snapshot::{File, Snapshot};

/// How much a process may seem to have been started after it wrote a file: the clock is in ticks and may be set, in seconds.
const CLOCK_SLACK: f64 = 5.0;

/// `dead-owner`, `torn-file`, `unlocked-writer` and `leftover-temporary`.
pub fn findings(seen: &Snapshot) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for (path, file) in &seen.files {
        found.extend(dead_owner(seen, path, file));
        found.extend(torn(seen, path, file));
        found.extend(unlocked_writer(seen, path, file));
    }
    found.extend(leftovers(seen));
    found
}

/// A lock file that nobody holds and nobody has open, with the name of a process that is gone.
fn dead_owner(seen: &Snapshot, path: &str, file: &File) -> Option<Finding> {
    let pid = named_process(file.note.as_ref()?)?;
    let locked = seen.locks.iter().any(|lock| lock.id == file.id && !lock.held.is_empty());
    if locked || seen.openers(file.id).next().is_some() {
        return None;
    }
    let later = seen.processes.get(&pid).is_some_and(|process| process.started > file.modified + CLOCK_SLACK);
    let gone = match (seen.lives(pid), later) {
        (true, false) => return None,
        (true, true) => format!("which is gone (the id is now that of {})", process(seen, pid)),
        (false, _) => "which is gone".to_owned(),
    };
    Some(Finding {
        kind: Kind::DeadOwner,
        severity: Severity::Warning,
        summary: format!(
            "{path} names process {pid}, {gone}. The kernel holds no lock on it: programs that lock the file are not kept out, \
             programs that go by its being there, or by the id in it, are"
        ),
        remedy: "if its programs take the lock with flock or fcntl, nothing: never remove such a file. If they go by the file \
                 itself, make sure that none of them runs, then remove it"
            .to_owned(),
        paths: vec![path.to_owned()],
        pids: vec![pid],
    })
}

fn torn(seen: &Snapshot, path: &str, file: &File) -> Option<Finding> {
    let flaw = file.flaw.as_ref()?;
    let mut writers: Vec<i32> =
        seen.openers(file.id).filter(|(_, open)| open.writes).map(|(pid, _)| pid).collect();
    writers.dedup();
    let (severity, more, remedy) = match writers.as_slice() {
        [] => (
            Severity::Error,
            "nobody has it open for writing: a writer died in the middle, or two wrote at once".to_owned(),
            "restore it from a copy before any program starts afresh from it; write a temporary file, flush it and rename it, \
             under a lock"
                .to_owned(),
        ),
        some => (
            Severity::Warning,
            format!(
                "{} {} it open for writing, perhaps in the middle; whoever reads it now reads this",
                processes(seen, some),
                if some.len() == 1 { "has" } else { "have" }
            ),
            "let the writer finish and look again; write a temporary file and rename it, so that nobody sees half a file"
                .to_owned(),
        ),
    };
    Some(Finding {
        kind: Kind::TornFile,
        severity,
        summary: format!("{path} is no JSON: {flaw}; {more}"),
        remedy,
        paths: vec![path.to_owned()],
        pids: writers,
    })
}

/// A file that has a lock file, open for writing in a process that holds no lock here and waits for none.
fn unlocked_writer(seen: &Snapshot, path: &str, file: &File) -> Option<Finding> {
    let lock = lock_file_of(seen, path, file)?;
    let writers = seen.openers(file.id).filter(|(_, open)| open.writes).map(|(pid, _)| pid);
    let mut pids: Vec<i32> = writers.filter(|pid| !seen.is_under_a_lock(*pid)).collect();
    pids.dedup();
    if pids.is_empty() {
        return None;
    }
    let (has, holds) = if pids.len() == 1 { ("has", "holds") } else { ("have", "hold") };
    Some(Finding {
        kind: Kind::UnlockedWriter,
        severity: Severity::Warning,
        summary: format!(
            "{} {has} {path} open for writing and {holds} no lock (there is {lock}): what it writes may overwrite the others' \
             updates, and be overwritten",
            processes(seen, &pids)
        ),
        remedy: format!(
            "take the exclusive lock of {lock} before reading what is to be changed, keep it until the file is written, and \
             open the file only meanwhile; never write when the lock cannot be had"
        ),
        paths: vec![path.to_owned()],
        pids,
    })
}

/// The lock file that a data file is to be written under: `f.lock` or `.f.lock`; of a JSON file, any in its folder.
fn lock_file_of<'a>(seen: &'a Snapshot, path: &str, file: &File) -> Option<&'a str> {
    let name = file_name(path);
    if is_lock_file(path, file.size) || is_temporary(name) {
        return None;
    }
    let folder_of = folder(path);
    let locks =
        seen.files.iter().filter(|(other, at)| folder(other) == folder_of && is_lock_file(other, at.size));
    let names: Vec<&str> = locks.map(|(other, _)| other.as_str()).collect();
    let own = [".lock", ".lck"].map(|end| format!("{name}{end}"));
    let is_own = |lock: &&&str| own.iter().any(|own| file_name(lock).trim_start_matches('.') == own);
    let general = |lock: &&&str| file_name(lock).starts_with('.') || names.len() == 1;
    let found = names.iter().find(is_own);
    let any = || names.iter().find(general).or(names.first());
    found.or_else(|| name.ends_with(".json").then(any).flatten()).copied()
}

/// Temporary files beside what they were to replace, which nobody has open and whose writer, where the name tells, is gone.
fn leftovers(seen: &Snapshot) -> Vec<Finding> {
    let mut folders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for path in seen.files.keys() {
        folders.entry(folder(path)).or_default().insert(file_name(path));
    }
    let mut found = Vec::new();
    for (path, file) in &seen.files {
        let names = &folders[folder(path)];
        let Some(temporary) = temporary(file_name(path), names) else { continue };
        let of_json = names.iter().any(|name| name.ends_with(".json") && !is_temporary(name));
        let alive = temporary.numbers.iter().any(|pid| *pid > 1 && seen.lives(*pid));
        if alive || temporary.target.is_none() && !of_json || seen.openers(file.id).next().is_some() {
            continue;
        }
        let target = temporary.target.map_or_else(
            || "a file beside it".to_owned(),
            |target| {
                [folder(path), &target]
                    .iter()
                    .filter(|part| !part.is_empty())
                    .copied()
                    .collect::<Vec<_>>()
                    .join("/")
            },
        );
        found.push(Finding {
            kind: Kind::LeftoverTemporary,
            severity: Severity::Warning,
            summary: format!(
                "{path} is a temporary file that nobody has open: its writer ended before it renamed it to {target}, and what it \
                 was about to save is not there"
            ),
            remedy: format!("compare it with {target}; it can be removed (cooks-core removes its own at the next write)"),
            paths: vec![path.clone()],
            pids: Vec::new(),
        });
    }
    found
}
