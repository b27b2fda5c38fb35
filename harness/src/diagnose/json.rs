//! The diagnosis for programs.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::snapshot::{LockKind, Snapshot, State};
use super::{Contention, Diagnosis, Finding};
use crate::report::visible;

/// The format's number; raised when a field changes its meaning or goes.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Object<'a> {
    format: u32,
    dir: &'a str,
    locks: Vec<LockObject<'a>>,
    findings: &'a [Finding],
    not_seen: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    contention: Option<&'a Contention>,
}

#[derive(Serialize)]
struct LockObject<'a> {
    path: &'a str,
    kind: LockKind,
    holders: Vec<ProcessObject>,
    waiters: Vec<WaiterObject>,
}

#[derive(Serialize)]
struct ProcessObject {
    pid: i32,
    command: String,
    mode: &'static str,
    state: State,
    started: Option<String>,
}

#[derive(Serialize)]
struct WaiterObject {
    #[serde(flatten)]
    process: ProcessObject,
    waited_s: Option<f64>,
}

/// Writes the diagnosis as one JSON object.
///
/// # Errors
/// Those of the writer.
pub fn json(diagnosis: &Diagnosis, out: &mut dyn io::Write) -> io::Result<()> {
    let seen = &diagnosis.seen;
    let locks = seen.locks.iter().map(|lock| LockObject {
        path: &lock.path,
        kind: lock.kind,
        holders: lock
            .held
            .iter()
            .flat_map(|held| held.holders.iter().map(|pid| process(seen, *pid, held.claim.exclusive)))
            .collect(),
        waiters: lock
            .waiters
            .iter()
            .filter_map(|waiter| {
                let process = process(seen, waiter.pid?, waiter.claim.exclusive);
                Some(WaiterObject { process, waited_s: waiter.waited })
            })
            .collect(),
    });
    let object = Object {
        format: FORMAT,
        dir: &seen.dir,
        locks: locks.collect(),
        findings: &diagnosis.findings,
        not_seen: &seen.not_seen,
        contention: diagnosis.contention.as_ref(),
    };
    writeln!(out, "{}", visible::json(&serde_json::to_string_pretty(&object)?))
}

fn process(seen: &Snapshot, pid: i32, exclusive: bool) -> ProcessObject {
    let process = seen.processes.get(&pid);
    ProcessObject {
        pid,
        command: seen.command(pid),
        mode: if exclusive { "exclusive" } else { "shared" },
        state: process.map_or(State::Unknown, |process| process.state),
        started: process.map(|process| time(process.started)),
    }
}

/// `2025-11-20T00:30:12Z`
fn time(seconds: f64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs_f64(seconds.max(0.0))).to_string()
}
