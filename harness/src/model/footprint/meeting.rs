//! Where the footprints of processes meet, and which coverage gaps follow from them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Gap, GapKind, ProcessId};
use super::{Footprint, Thing, Touch, is_listing};

/// Shared memory by name is here: it is fresh in each execution.
const SHARED_MEMORY: &str = "/dev/shm/";

/// Something outside the workspace that one process changes and another one reads or changes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Meeting {
    /// `outside-write` if both change it, `outside-read` if one reads it, `shared-memory` in `/dev/shm`.
    pub kind: GapKind,
    /// The processes, sorted.
    pub processes: Vec<ProcessId>,
    /// The absolute path by which it is shown.
    pub path: String,
}

/// What is the same thing to two processes: by its identity, or by its path if their footprints are of different machines.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Same<'a> {
    Thing(&'a Thing),
    Path(u8, &'a str),
}

type Touched<'a> = Vec<(ProcessId, &'a Thing, &'a Touch)>;

/// Where one process's change meets another one's read or change: each path once for each kind.
#[must_use]
pub fn meetings(footprints: &[Footprint]) -> Vec<Meeting> {
    let mut changed = BTreeMap::<Same<'_>, Touched<'_>>::new();
    let all = || {
        footprints.iter().flat_map(|of| of.touches.iter().map(|(thing, touch)| (of.process, thing, touch)))
    };
    for (_, thing, touch) in all().filter(|(_, _, touch)| touch.changes_at_all()) {
        for same in sames(thing, touch) {
            changed.entry(same).or_default();
        }
    }
    for (process, thing, touch) in all() {
        for same in sames(thing, touch) {
            if let Some(touched) = changed.get_mut(&same) {
                touched.push((process, thing, touch));
            }
        }
    }
    let mut found = BTreeMap::<(GapKind, String), BTreeSet<ProcessId>>::new();
    for touched in changed.values() {
        for (one, thing, change) in touched.iter().filter(|(_, _, touch)| touch.changes_at_all()) {
            for (other, _, touch) in touched.iter().filter(|(other, ..)| other != one) {
                let Some(kind) = kind_of(thing, &change.path, touch) else { continue };
                found.entry((kind, change.path.clone())).or_default().extend([*one, *other]);
            }
        }
    }
    let meeting = |((kind, path), processes): (_, BTreeSet<_>)| Meeting {
        kind,
        path,
        processes: Vec::from_iter(processes),
    };
    found.into_iter().map(meeting).collect()
}

fn sames<'a>(thing: &'a Thing, touch: &'a Touch) -> [Same<'a>; 2] {
    let sort = match thing {
        Thing::Name { .. } => 0,
        Thing::Inode(_) => 1,
        Thing::Listing(_) => 2,
    };
    [Same::Thing(thing), Same::Path(sort, &touch.path)]
}

/// The kind of gap if a process changes a thing, shown by this path, that another process has touched. `None` if they do not meet.
fn kind_of(thing: &Thing, path: &str, other: &Touch) -> Option<GapKind> {
    // Two new names in one directory do not meet: only reading the list does.
    let both_change = other.changes_at_all() && !is_listing(thing);
    match (both_change, other.reads) {
        (false, false) => None,
        _ if path.starts_with(SHARED_MEMORY) => Some(GapKind::SharedMemory),
        (true, _) => Some(GapKind::OutsideWrite),
        (false, true) => Some(GapKind::OutsideRead),
    }
}

/// The coverage gaps that follow from what the processes touch outside the workspace. `is_host`: changes are made to the machine's own
/// files, and stay there for the next execution. Gaps of one kind and the same processes are one gap with all the paths.
#[must_use]
pub fn gaps(footprints: &[Footprint], is_host: bool) -> Vec<Gap> {
    let mut found = BTreeMap::<(GapKind, bool, Vec<ProcessId>), BTreeSet<String>>::new();
    for Meeting { kind, processes, path } in meetings(footprints) {
        found.entry((kind, true, processes)).or_default().insert(path);
    }
    let persistent = if is_host { persistent(footprints) } else { BTreeMap::new() };
    for (path, processes) in persistent {
        let processes = processes.into_iter().collect();
        found.entry((GapKind::PersistentEffect, true, processes)).or_default().insert(path);
    }
    let named: BTreeSet<String> = found.values().flatten().cloned().collect();
    for footprint in footprints {
        let mut alone = footprint.written_paths();
        alone.retain(|path| !path.starts_with(SHARED_MEMORY) && !named.contains(path));
        if !alone.is_empty() {
            found.entry((GapKind::OutsideWrite, false, vec![footprint.process])).or_default().extend(alone);
        }
    }
    let gap =
        |((kind, hides_races, processes), paths): ((GapKind, bool, Vec<ProcessId>), BTreeSet<String>)| {
            let detail = words(kind, hides_races, &processes);
            Gap { kind, processes, paths: Vec::from_iter(paths), detail, hides_races, accepted: false }
        };
    found.into_iter().map(gap).collect()
}

/// What processes change and leave changed, and processes (perhaps the same) have read as it was when an execution began: by its path,
/// with the processes that change or read it.
fn persistent(footprints: &[Footprint]) -> BTreeMap<String, BTreeSet<ProcessId>> {
    let (mut changed, mut seen) = (BTreeMap::<&Thing, (&str, BTreeSet<ProcessId>)>::new(), BTreeMap::new());
    for footprint in footprints {
        for (thing, touch) in &footprint.touches {
            // These are removed between executions.
            if touch.path.starts_with(SHARED_MEMORY) || touch.path == SHARED_MEMORY.trim_end_matches('/') {
                continue;
            }
            if touch.changes {
                changed.entry(thing).or_insert((&touch.path, BTreeSet::new())).1.insert(footprint.process);
            }
            if touch.sees_earlier {
                seen.entry(thing).or_insert_with(BTreeSet::new).insert(footprint.process);
            }
        }
    }
    let mut both = BTreeMap::<String, BTreeSet<ProcessId>>::new();
    for (thing, (path, by)) in changed {
        if let Some(readers) = seen.get(thing) {
            both.entry(path.to_owned()).or_default().extend(by.iter().chain(readers));
        }
    }
    both
}

fn words(kind: GapKind, hides_races: bool, processes: &[ProcessId]) -> String {
    let names = and(processes);
    let verb = |one: &'static str, many: &'static str| if processes.len() == 1 { one } else { many };
    match kind {
        GapKind::PersistentEffect => {
            let (look, change) = (verb("reads", "read"), verb("changes", "change"));
            format!(
                "{names} {look} what {} {change}, and the change stays for the next execution",
                verb("it", "they")
            )
        }
        GapKind::OutsideRead => {
            format!("of {names}, one changes what another one reads outside the workspace")
        }
        GapKind::SharedMemory => format!("{names} share memory by name"),
        _ if hides_races => format!("{names} change the same files outside the workspace"),
        _ => format!("{names} changes files outside the workspace that no other process touches"),
    }
}

/// `A`, `A and B`, `A, B and C`.
fn and(processes: &[ProcessId]) -> String {
    let names: Vec<String> = processes.iter().map(ToString::to_string).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}
