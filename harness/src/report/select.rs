//! Which steps of a trace a timeline shows: those that had a part in the anomaly, and what stands around them.
//!
//! A program makes a hundred operations before it comes to the point (it looks at the directory, reads itself). Shown are: the
//! marked steps; where units begin; reads and changes of the files concerned; everything about locks, and what is done to a lock's file
//! where that does not stay at its name; how processes end. Passed over are: looks that
//! tell nothing of content (`stat`, the end of a file), flushes, opens that no other process's change follows before they are
//! used, and all other files.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, words};
use crate::model::{CallResult, Event, ProcessId};

/// Most lines of a timeline; of more, those nearest to the marked steps, or to the end.
const MOST: usize = 20;

/// Steps that make one line: one, or several of one process that do the same to one file, nothing shown between them.
pub(super) struct Line {
    /// From 0, ascending.
    pub steps: Vec<usize>,
}

/// What a step is to somebody who reads a timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// Tells nothing of content.
    Look,
    /// Opens a file and changes nothing.
    Open,
    /// Tells something of content, or that there is no such file.
    Read,
    /// Changes something.
    Change,
    /// Takes, tries or gives back a lock.
    Lock,
    /// Begins a unit.
    Unit,
}

/// The lines of a finding's timeline, for these processes.
pub(super) fn lines(finding: &Finding, processes: &[ProcessId]) -> Vec<Line> {
    let trace = &finding.shown.trace;
    let marked: BTreeSet<usize> = finding.anomaly.steps.iter().map(|marked| marked.step).collect();
    let concern = Concern::of(finding, processes);
    let mut kept: BTreeSet<usize> = (0..trace.len())
        .filter(|step| processes.contains(&trace[*step].process))
        .filter(|step| marked.contains(step) || trace[*step].exit.is_some() || concern.matters(&trace[*step]))
        .collect();
    let opens: Vec<usize> = (0..trace.len())
        .filter(|step| concern.opens(&trace[*step]) && overtaken(trace, &kept, *step))
        .collect();
    kept.extend(opens);
    nearest(merged(trace, &kept, &marked), &marked, trace.len())
}

/// The files that a finding is about.
struct Concern<'f> {
    files: BTreeSet<&'f str>,
    /// Files that come to stand in the place of one of those.
    sources: BTreeSet<&'f str>,
    /// Files whose mere existence may be a lock: made with "must be new", and known to several processes.
    tokens: BTreeSet<&'f str>,
}

impl<'f> Concern<'f> {
    fn of(finding: &'f Finding, processes: &[ProcessId]) -> Self {
        let trace = &finding.shown.trace;
        let known = known_to(trace);
        let shared = |path: &str| known.get(path).is_some_and(|who| who.len() > 1);
        let mut files: BTreeSet<&str> = finding.anomaly.files.iter().map(String::as_str).collect();
        if files.is_empty() {
            let changed = trace.iter().filter(|event| part(event) == Part::Change).flat_map(paths);
            files = changed.filter(|path| shared(path)).collect();
        }
        let own = trace.iter().filter(|event| processes.contains(&event.process));
        let mut concern = Self { files, sources: BTreeSet::new(), tokens: BTreeSet::new() };
        for event in own {
            let call = &event.operation.call;
            let (Some(path), target) = (call.path.as_deref(), call.target.as_deref()) else { continue };
            if target.is_some_and(|target| concern.files.contains(target)) {
                concern.sources.insert(path);
            }
            let new = call.detail.contains("exclusive") && call.name.starts_with("open");
            if (new || call.name.starts_with("mkdir")) && shared(path) {
                concern.tokens.insert(path);
            }
        }
        let common: Vec<&str> = concern.sources.iter().copied().filter(|path| shared(path)).collect();
        concern.files.extend(common);
        concern.files.extend(moved_locks(trace).into_keys());
        concern
    }

    /// Whether a step is shown for what it does.
    fn matters(&self, event: &Event) -> bool {
        let about = |files: &BTreeSet<&str>| paths(event).any(|path| files.contains(path));
        match part(event) {
            Part::Lock | Part::Unit => true,
            Part::Read => about(&self.files) || about(&self.tokens),
            Part::Change => {
                let fills = words::moved(event).is_some() && about(&self.sources);
                fills || about(&self.files) || about(&self.tokens)
            }
            Part::Look | Part::Open => false,
        }
    }

    /// Whether a step opens one of the files.
    fn opens(&self, event: &Event) -> bool {
        part(event) == Part::Open && paths(event).any(|path| self.files.contains(path))
    }
}

/// Locks whose file somebody removed, or put another in the place of, and who: a second one may hold "the" lock then.
pub(super) fn moved_locks(trace: &[Event]) -> BTreeMap<&str, BTreeSet<ProcessId>> {
    let locks = trace.iter().filter(|event| matches!(event.operation.call.name.as_str(), "flock" | "fcntl"));
    let locks: BTreeSet<&str> = locks.flat_map(paths).collect();
    let mut moved: BTreeMap<&str, BTreeSet<ProcessId>> = BTreeMap::new();
    for event in trace.iter().filter(|event| matches!(event.result, CallResult::Value(_))) {
        let name = event.operation.call.name.as_str();
        if name.starts_with("unlink") || name.starts_with("rename") {
            for path in paths(event).filter(|path| locks.contains(path)) {
                moved.entry(path).or_default().insert(event.process);
            }
        }
    }
    moved
}

/// Which processes name a path.
fn known_to(trace: &[Event]) -> BTreeMap<&str, BTreeSet<ProcessId>> {
    let mut known: BTreeMap<&str, BTreeSet<ProcessId>> = BTreeMap::new();
    for event in trace {
        for path in paths(event) {
            known.entry(path).or_default().insert(event.process);
        }
    }
    known
}

/// The paths that a step names.
fn paths(event: &Event) -> impl Iterator<Item = &str> {
    let call = &event.operation.call;
    [&call.path, &call.target].into_iter().flatten().map(String::as_str)
}

fn part(event: &Event) -> Part {
    let call = &event.operation.call;
    let failed = matches!(event.result, CallResult::Error(_));
    let locks = call.detail.contains("releases the lock");
    match call.name.as_str() {
        _ if call.begins().is_some() => Part::Unit,
        // "sleep": looks in vain while time passes.
        "flock" | "fcntl" | "sleep" => Part::Lock,
        _ if locks => Part::Lock,
        "open" | "openat" | "openat2" | "creat" => match words::made(event) {
            _ if failed => Part::Read,
            Some(true) => Part::Change,
            _ if call.detail.contains("truncate") || call.detail.contains("exclusive") => Part::Change,
            _ => Part::Open,
        },
        name if words::reads(name) => match words::moved(event) {
            Some(0) if !call.detail.ends_with(" at 0") => Part::Look,
            _ => Part::Read,
        },
        "stat" | "lstat" | "fstat" | "newfstatat" | "statx" | "stat64" | "access" | "faccessat"
        | "faccessat2" | "readlink" | "readlinkat" | "getxattr" | "lgetxattr" | "fgetxattr" | "listxattr"
        | "llistxattr" | "flistxattr" | "lseek" | "chdir" | "fchdir" | "close" | "fsync" | "fdatasync"
        | "sync_file_range" | "execve" | "execveat" | "exit" | "exit_group" => Part::Look,
        "getdents" | "getdents64" | "mmap" => Part::Read,
        _ if failed => Part::Read,
        _ => Part::Change,
    }
}

/// Whether another process changes the path between an open and the next step shown of the process that opened it.
fn overtaken(trace: &[Event], kept: &BTreeSet<usize>, open: usize) -> bool {
    let of_path = |step: &usize| paths(&trace[*step]).any(|path| paths(&trace[open]).any(|own| own == path));
    let later: Vec<usize> = kept.range(open + 1..).copied().filter(of_path).collect();
    let used = later.iter().position(|step| trace[*step].process == trace[open].process);
    let between = used.map_or(&later[..0], |used| &later[..used]);
    between.iter().any(|step| part(&trace[*step]) == Part::Change)
}

/// The steps as lines, runs of alike steps made one.
fn merged(trace: &[Event], kept: &BTreeSet<usize>, marked: &BTreeSet<usize>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for &step in kept {
        let joins = lines.last().and_then(|line| line.steps.last()).is_some_and(|&last| {
            let plain = |step: usize| !marked.contains(&step) && trace[step].exit.is_none();
            plain(last) && plain(step) && alike(&trace[last], &trace[step])
        });
        match lines.last_mut().filter(|_| joins) {
            Some(line) => line.steps.push(step),
            None => lines.push(Line { steps: vec![step] }),
        }
    }
    lines
}

/// Whether two steps do the same: move bytes the same way, or make the same call with the same result.
fn alike(a: &Event, b: &Event) -> bool {
    let (x, y) = (&a.operation.call, &b.operation.call);
    let bytes = words::moved(a).is_some() && words::moved(b).is_some();
    let moves_alike = bytes && x.name == y.name && x.path == y.path;
    let same = x == y && a.result == b.result;
    a.process == b.process && a.task == b.task && (moves_alike || same)
}

/// At most so many lines as can be taken in at a glance.
fn nearest(lines: Vec<Line>, marked: &BTreeSet<usize>, length: usize) -> Vec<Line> {
    if lines.len() <= MOST {
        return lines;
    }
    let distance = |line: &Line| {
        let from = |mark: usize| line.steps.iter().map(|step| step.abs_diff(mark)).min().unwrap_or(0);
        marked.iter().map(|mark| from(*mark)).min().unwrap_or_else(|| from(length))
    };
    let mut near: Vec<usize> = (0..lines.len()).collect();
    near.sort_by_key(|at| distance(&lines[*at]));
    let near: BTreeSet<usize> = near.into_iter().take(MOST).collect();
    lines.into_iter().enumerate().filter(|(at, _)| near.contains(at)).map(|(_, line)| line).collect()
}
