//! What is wrong with where the files lie and with who uses them.

use std::collections::BTreeMap;

use super::{Finding, Kind, Severity, list};
use crate::diagnose::snapshot::{Process, Snapshot};

/// File systems whose locks are not, or not surely, seen by all who use the files: by the start of the type's name, and why.
const UNRELIABLE: [(&str, &str); 12] = [
    (
        "nfs",
        "flock becomes a lock of the server, or of this machine alone (mount option local_lock), and is lost when the server restarts",
    ),
    ("cifs", "flock becomes a mandatory lock of the server, or of this machine alone (mount option nobrl)"),
    ("smb", "flock becomes a mandatory lock of the server, or of this machine alone"),
    ("9p", "locks hold on this machine alone, unless the server keeps them"),
    ("virtiofs", "locks hold inside this virtual machine alone, unless the host was told otherwise"),
    ("vboxsf", "locks hold inside this virtual machine alone"),
    ("prl_fs", "locks hold inside this virtual machine alone"),
    ("fuse", "the program behind it decides what locks do; most keep them on this machine alone"),
    ("afs", "locks are of whole files and by the server, byte ranges on this machine alone"),
    ("ceph", "locks are by the server and lost with the session"),
    ("lustre", "without the mount option flock, locks hold on this machine alone or not at all"),
    ("gfs2", "locks are by the cluster, unless mounted with localflocks"),
];

/// `filesystem` and `too-many-servers`.
pub fn findings(seen: &Snapshot) -> Vec<Finding> {
    let unreliable = seen.file_systems.iter().filter_map(|(path, kind)| file_system(path, kind));
    unreliable.chain(servers(seen)).collect()
}

fn file_system(path: &str, kind: &str) -> Option<Finding> {
    // fuseblk is a disk of this machine: the kernel keeps its locks.
    let (_, why) = UNRELIABLE.iter().find(|(start, _)| kind.starts_with(start) && kind != "fuseblk")?;
    let place = if path == "." { "the directory" } else { path };
    Some(Finding {
        kind: Kind::Filesystem,
        severity: Severity::Warning,
        summary: format!("{place} lies on {kind}, where locks cannot be relied on: {why}. Holders on other machines are not seen here"),
        remedy: "move the shared files to a local file system (ext4, xfs, btrfs, tmpfs), or let one process own them and be asked"
            .to_owned(),
        paths: vec![path.to_owned()],
        pids: Vec::new(),
    })
}

/// Several processes with the very same command line that serve somebody each: their input is a pipe or a socket, or their name says
/// so. A process and its children count once.
fn servers(seen: &Snapshot) -> Vec<Finding> {
    let mut groups: BTreeMap<&[String], Vec<i32>> = BTreeMap::new();
    for (pid, process) in seen.processes.iter().filter(|(_, process)| serves(process)) {
        groups.entry(&process.command).or_default().push(*pid);
    }
    let several = groups.into_iter().filter_map(|(command, all)| {
        let child = |pid: &&i32| ancestors(seen, **pid).iter().any(|parent| all.contains(parent));
        let pids: Vec<i32> = all.iter().filter(|pid| !child(pid)).copied().collect();
        (pids.len() > 1).then(|| (command.join(" "), pids))
    });
    several.map(|(command, pids)| too_many(seen, &command, pids)).collect()
}

fn serves(process: &Process) -> bool {
    let words = process.command.iter().flat_map(|word| word.split(|c: char| !c.is_alphanumeric()));
    let mut words = words.map(str::to_lowercase);
    let named = words.any(|word| matches!(word.as_str(), "server" | "serve" | "mcp" | "daemon"));
    !process.open.is_empty() && (process.asked || named)
}

fn ancestors(seen: &Snapshot, pid: i32) -> Vec<i32> {
    let mut all = Vec::new();
    let mut next = pid;
    while let Some(process) = seen.processes.get(&next) {
        next = process.parent;
        if all.contains(&next) {
            break;
        }
        all.push(next);
    }
    all
}

fn too_many(seen: &Snapshot, command: &str, pids: Vec<i32>) -> Finding {
    let open = pids.iter().filter_map(|pid| seen.processes.get(pid)).flat_map(|process| &process.open);
    let mut paths: Vec<String> = open.map(|open| open.path.clone()).collect();
    paths.sort();
    paths.dedup();
    let numbers = list(&pids.iter().map(ToString::to_string).collect::<Vec<_>>());
    Finding {
        kind: Kind::TooManyServers,
        severity: Severity::Warning,
        summary: format!(
            "{} servers of the same command have files here open: {command} (processes {numbers}). Each has a state of its own \
             in memory: without one lock around reading, changing and writing they overwrite each other",
            pids.len()
        ),
        remedy: "end those that no client uses any more; let clients share one server, or see that every change reads the file \
                 anew under the lock that it is written under (cooks explore shows whether it does)"
            .to_owned(),
        paths,
        pids,
    }
}
