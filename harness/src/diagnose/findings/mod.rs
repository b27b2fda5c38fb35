//! What is wrong, as it follows from a snapshot. Nothing here looks at the system.

mod cycle;
mod files;
mod holders;
mod system;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::snapshot::Snapshot;

/// Something that is wrong, or may be.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Finding {
    /// What sort of thing.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// What was seen, and what it means.
    pub summary: String,
    /// What to do.
    pub remedy: String,
    /// The files concerned, relative to the directory.
    pub paths: Vec<String>,
    /// The processes concerned.
    pub pids: Vec<i32>,
}

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work now, or data is damaged.
    Error,
    /// Something may go wrong, or has left its trace.
    Warning,
}

/// The sorts of findings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Processes wait for each other in a ring.
    LockCycle,
    /// A lock is held on a file that is no longer at its path.
    UnlinkedLock,
    /// A lock is held by a process that is stopped.
    StoppedHolder,
    /// A lock is held only through a descendant; the process that took it has it no more.
    InheritedLock,
    /// Somebody has waited long for a lock.
    LongWait,
    /// A lock file names a process that is gone.
    DeadOwner,
    /// A JSON file does not parse.
    TornFile,
    /// A process has a file open for writing and holds no lock.
    UnlockedWriter,
    /// A temporary file whose writer is gone.
    LeftoverTemporary,
    /// Locks of this file system cannot be relied on.
    Filesystem,
    /// Several servers of the same command share the directory.
    TooManyServers,
}

impl Kind {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::LockCycle => "lock-cycle",
            Self::UnlinkedLock => "unlinked-lock",
            Self::StoppedHolder => "stopped-holder",
            Self::InheritedLock => "inherited-lock",
            Self::LongWait => "long-wait",
            Self::DeadOwner => "dead-owner",
            Self::TornFile => "torn-file",
            Self::UnlockedWriter => "unlocked-writer",
            Self::LeftoverTemporary => "leftover-temporary",
            Self::Filesystem => "filesystem",
            Self::TooManyServers => "too-many-servers",
        }
    }
}

/// What follows from a snapshot, errors first, then by kind and path. A wait of `long` seconds is long.
pub fn findings(seen: &Snapshot, long: f64) -> Vec<Finding> {
    let mut found = cycle::cycles(seen, long);
    found.extend(holders::findings(seen));
    let long_waits = holders::long_waits(seen, long, &found);
    found.extend(long_waits);
    found.extend(files::findings(seen));
    found.extend(system::findings(seen));
    found.sort_by(|a, b| {
        (a.severity, a.kind, &a.paths, &a.pids).cmp(&(b.severity, b.kind, &b.paths, &b.pids))
    });
    found
}

/// The findings of a second look that the first one had as well: what was only on its way is not told.
pub fn confirmed(first: &[Finding], second: Vec<Finding>) -> Vec<Finding> {
    let had = |finding: &Finding| {
        let same = |other: &Finding| {
            let files = (other.kind, &other.paths) == (finding.kind, &finding.paths);
            // Who waits may change while nobody gets on.
            files
                && (other.pids == finding.pids
                    || finding.kind == Kind::LongWait
                    || finding.kind == Kind::StoppedHolder)
        };
        first.iter().any(same)
    };
    second.into_iter().filter(had).collect()
}

/// `process 12 (python3 agent.py a)`.
fn process(seen: &Snapshot, pid: i32) -> String {
    format!("process {pid} ({})", seen.command(pid))
}

/// `a`, `a and b`, `a, b and c`.
fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `process 1 (a), process 2 (b) and 3 more`.
fn processes(seen: &Snapshot, pids: &[i32]) -> String {
    const SHOWN: usize = 4;
    let shown = if pids.len() > SHOWN { SHOWN - 1 } else { pids.len() };
    let mut words: Vec<String> = pids[..shown].iter().map(|pid| process(seen, *pid)).collect();
    if pids.len() > shown {
        words.push(format!("{} more", pids.len() - shown));
    }
    list(&words)
}

/// Seconds for people: `0.5 s`, `12 s`, `2h 5m`.
pub fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds as u64;
    match (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60) {
        (0, 0, 0..=1) => format!("{whole} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
