//! Torn files: content that no process wrote as a whole, or that no longer parses.

use super::difference::{Compared, content, why_not_json};
use super::evidence::{Marks, list, shown, sorted};
use super::history::{Content, History, Session};
use crate::model::{Anomaly, Kind, ProcessId};

/// The first file, by path, that is torn.
pub(super) fn find(compared: &Compared<'_>, history: &History) -> Option<Anomaly> {
    compared.paths().iter().find_map(|path| {
        let sessions = history.sessions(path);
        let mixed = mixed(compared, path, &sessions);
        let broken = compared.no_longer_json(path);
        (broken || mixed).then(|| anomaly(compared, path, &sessions, broken))
    })
}

/// Whether writers got between each other's writes, and what came out is not what one of them would have left by itself.
fn mixed(compared: &Compared<'_>, path: &str, sessions: &[&Session]) -> bool {
    let Some(here) = content(&compared.here.tree, path) else { return false };
    let known = sessions.iter().all(|session| session.alone != Content::Unknown);
    // The tree here is canonical, what the processes wrote is not.
    let whole = |session: &&Session| session.alone.bytes().is_some_and(|bytes| same(path, bytes, here));
    known
        && sessions.iter().any(|one| sessions.iter().any(|other| interrupts(other, one)))
        && !sessions.iter().any(whole)
}

fn same(path: &str, written: &[u8], here: &[u8]) -> bool {
    let json = |bytes| super::normalize::json_of(path, bytes);
    written == here || json(written).is_some_and(|value| Some(value) == json(here))
}

/// Whether one writing has a step strictly within another process's.
fn interrupts(other: &Session, one: &Session) -> bool {
    let within = |step: usize| one.first < step && step < one.last;
    other.process != one.process && (within(other.first) || within(other.last))
}

fn anomaly(compared: &Compared<'_>, path: &str, sessions: &[&Session], broken: bool) -> Anomaly {
    let crossing: Vec<&&Session> = sessions
        .iter()
        .filter(|one| sessions.iter().any(|other| interrupts(other, one) || interrupts(one, other)))
        .collect();
    let concerned: Vec<&&Session> =
        if crossing.is_empty() { sessions.iter().rev().take(1).collect() } else { crossing };
    let mut marks = Marks::default();
    for session in &concerned {
        let process = session.process;
        if session.first == session.last {
            marks.add(session.first, format!("{process} writes the file"));
        } else {
            marks.add(session.first, format!("{process} begins to write the file"));
            marks.add(session.last, format!("{process} ends its writing"));
        }
    }
    let writers = sorted(concerned.iter().map(|session| session.process));
    let what = if broken {
        let bytes = content(&compared.here.tree, path).unwrap_or_default();
        format!("{path} is no longer JSON ({})", why_not_json(path, bytes))
    } else {
        format!("{path} holds what no process wrote as a whole")
    };
    Anomaly {
        kind: Kind::TornFile,
        summary: format!("{what}{}", how(&writers, &concerned)),
        files: vec![path.to_owned()],
        keys: Vec::new(),
        processes: writers,
        steps: marks.finish(),
        explanation: Vec::new(),
    }
}

/// Who wrote it, and when.
fn how(writers: &[ProcessId], sessions: &[&&Session]) -> String {
    let first = sessions.iter().map(|session| session.first).min();
    let last = sessions.iter().map(|session| session.last).max();
    match (first, last) {
        (Some(first), Some(last)) if writers.len() > 1 => {
            format!(
                ": {} wrote it at the same time (steps {} to {})",
                list(writers, 4),
                shown(first),
                shown(last)
            )
        }
        (_, Some(last)) => format!(": {} wrote it last (step {})", list(writers, 4), shown(last)),
        _ => String::new(),
    }
}
