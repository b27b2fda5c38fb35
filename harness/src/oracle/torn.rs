//! Torn files: content that no process wrote as a whole, or that no longer parses.

use super::difference::{Compared, content, why_not_json};
use super::evidence::{Marks, list, shown, sorted};
use super::history::{Content, History, Writing};
use crate::model::{Anomaly, Kind, ProcessId};

/// The first file, by path, that is torn.
pub(super) fn find(compared: &Compared<'_>, history: &History) -> Option<Anomaly> {
    compared.paths().iter().find_map(|path| {
        let writings = history.writings(path);
        let mixed = mixed(compared, path, &writings);
        let broken = compared.no_longer_json(path);
        (broken || mixed).then(|| anomaly(compared, path, &writings, broken))
    })
}

/// Whether writers got between each other's writes, and what came out is not what one of them would have left by itself.
fn mixed(compared: &Compared<'_>, path: &str, writings: &[&Writing]) -> bool {
    let Some(here) = content(&compared.here.tree, path) else { return false };
    let known = writings.iter().all(|writing| writing.alone != Content::Unknown);
    // The tree here is canonical, what the processes wrote is not.
    let whole = |writing: &&Writing| writing.alone.bytes().is_some_and(|bytes| same(path, bytes, here));
    known
        && writings.iter().any(|one| writings.iter().any(|other| interrupts(other, one)))
        && !writings.iter().any(whole)
}

fn same(path: &str, written: &[u8], here: &[u8]) -> bool {
    let json = |bytes| super::normalize::json_of(path, bytes);
    written == here || json(written).is_some_and(|value| Some(value) == json(here))
}

/// Whether one writing has a step strictly within another process's.
fn interrupts(other: &Writing, one: &Writing) -> bool {
    let within = |step: usize| one.first < step && step < one.last;
    other.process != one.process && (within(other.first) || within(other.last))
}

fn anomaly(compared: &Compared<'_>, path: &str, writings: &[&Writing], broken: bool) -> Anomaly {
    let crossing: Vec<&&Writing> = writings
        .iter()
        .filter(|one| writings.iter().any(|other| interrupts(other, one) || interrupts(one, other)))
        .collect();
    let concerned: Vec<&&Writing> =
        if crossing.is_empty() { writings.iter().rev().take(1).collect() } else { crossing };
    let mut marks = Marks::default();
    for writing in &concerned {
        let process = writing.process;
        if writing.first == writing.last {
            marks.add(writing.first, format!("{process} writes the file"));
        } else {
            marks.add(writing.first, format!("{process} begins to write the file"));
            marks.add(writing.last, format!("{process} ends its writing"));
        }
    }
    let writers = sorted(concerned.iter().map(|writing| writing.process));
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
fn how(writers: &[ProcessId], writings: &[&&Writing]) -> String {
    let first = writings.iter().map(|writing| writing.first).min();
    let last = writings.iter().map(|writing| writing.last).max();
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
