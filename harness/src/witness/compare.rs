use std::fmt;

use super::{Recorded, Recording};
use crate::model::{Choice, Details, Ending, Entry, Outcome, ProcessId, Strands, View};
use crate::oracle::Normalize;
use crate::report::{visible, words};

/// Longest content shown, in characters.
const CONTENT: usize = 60;

/// A replay that does not match its recording: where, and both sides in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Divergence {
    /// The step (from 0); none where the steps agree and what they left does not.
    pub step: Option<usize>,
    /// What differs.
    pub what: String,
    /// The recording's side.
    pub expected: String,
    /// The replay's side.
    pub actual: String,
}

impl std::error::Error for Divergence {}

impl fmt::Display for Divergence {
    /// The step as people count, from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "divergence at step {}: ", step + 1)?,
            None => f.write_str("divergence at the end: ")?,
        }
        let text = format!("{}: recorded {}; now {}", self.what, self.expected, self.actual);
        f.write_str(&visible::line(&text))
    }
}

/// The first difference between a recording and a replay of it, of these `strands`; outcomes are compared under `rules`.
#[must_use]
pub fn compare(
    expected: &Recording,
    actual: &Recording,
    rules: &Normalize,
    strands: Strands,
) -> Option<Divergence> {
    let steps = expected.schedule.len().max(actual.schedule.len());
    let step = |step: usize| match (expected.schedule.get(step), actual.schedule.get(step)) {
        (Some(recorded), Some(now)) => compare_step(step, recorded, now, strands),
        (recorded, now) => {
            let side = |recorded: Option<&Recorded>, ending| {
                recorded.map_or_else(|| end(ending, strands), |it| chosen(it, strands))
            };
            let sides = (side(recorded, &expected.ending), side(now, &actual.ending));
            Some(divergence(Some(step), "how it goes on", sides.0, sides.1))
        }
    };
    (0..steps)
        .find_map(step)
        .or_else(|| {
            unequal(None, "how it ends", end(&expected.ending, strands), end(&actual.ending, strands))
        })
        .or_else(|| {
            let mut outcome = actual.outcome.clone();
            if !expected.whole_tree {
                outcome.tree = outcome.tree.plain();
            }
            compare_outcomes(&rules.outcome(&expected.outcome), &rules.outcome(&outcome))
        })
}

/// The difference between what was recorded of a choice and what there is to choose from now. To be asked before the choice is
/// made again.
#[must_use]
pub fn check_step(step: usize, expected: &Recorded, view: &View<'_>, strands: Strands) -> Option<Divergence> {
    compare_step(step, expected, &Recorded::at(view, expected.choice), strands)
}

fn compare_step(step: usize, expected: &Recorded, actual: &Recorded, strands: Strands) -> Option<Divergence> {
    // Nobody recorded who could go on: the anomaly was not run again when it was found.
    if expected.enabled.is_empty() {
        return None;
    }
    let names = |strands_there: &[ProcessId]| names(strands_there, strands);
    unequal(Some(step), "who can go on", names(&expected.enabled), names(&actual.enabled))
        .or_else(|| {
            unequal(Some(step), "the next operation", chosen(expected, strands), chosen(actual, strands))
        })
        // Calls that read the same may still differ in a word that is not shown.
        .or_else(|| {
            unequal(Some(step), "the next call", format!("{:?}", expected.call), format!("{:?}", actual.call))
        })
}

fn divergence(step: Option<usize>, what: &str, expected: String, actual: String) -> Divergence {
    Divergence { step, what: what.to_owned(), expected, actual }
}

fn unequal(step: Option<usize>, what: &str, expected: String, actual: String) -> Option<Divergence> {
    (expected != actual).then(|| divergence(step, what, expected, actual))
}

fn names(these: &[ProcessId], strands: Strands) -> String {
    let names: Vec<String> = these.iter().map(|strand| strands.name(*strand)).collect();
    if names.is_empty() { "nobody".into() } else { names.join(", ") }
}

pub(super) fn chosen(recorded: &Recorded, strands: Strands) -> String {
    let Choice::Process(strand) = recorded.choice;
    format!("{}: {}", strands.name(strand), words::pending(&recorded.call))
}

pub(super) fn end(ending: &Ending, strands: Strands) -> String {
    match ending {
        Ending::Complete => "every process has ended".into(),
        Ending::Cut(_) => "the execution is cut short".into(),
        Ending::Endless(endless) => endless.to_string(),
        Ending::Blocked(waiting) => {
            let each = waiting.iter().map(|waiting| {
                let call = words::pending(&waiting.operation.call);
                let (waits, holders) = (strands.name(waiting.process), names(&waiting.holders, strands));
                format!("{waits} waits to {call}, held by {holders}")
            });
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

/// The first difference between what a recording left and what a replay of it leaves.
#[must_use]
pub fn compare_outcomes(expected: &Outcome, actual: &Outcome) -> Option<Divergence> {
    let mut paths: Vec<&String> = expected.tree.keys().chain(actual.tree.keys()).collect();
    paths.sort();
    let path = |path: &&String| {
        let (recorded, now) = (expected.tree.detailed(path), actual.tree.detailed(path));
        (recorded != now).then(|| divergence(None, path, entry(recorded), entry(now)))
    };
    let processes = expected.exits.len().max(actual.exits.len());
    let process = |number: usize| {
        let exit = |outcome: &Outcome| {
            outcome
                .exits
                .get(number)
                .copied()
                .flatten()
                .map_or_else(|| "no exit".into(), |exit| exit.to_string())
        };
        let output = |outcome: &Outcome| quoted(outcome.stdout.get(number).map_or(&[], Vec::as_slice));
        let name = ProcessId(number);
        unequal(None, &format!("how {name} ends"), exit(expected), exit(actual))
            .or_else(|| unequal(None, &format!("what {name} prints"), output(expected), output(actual)))
    };
    let rest = |outcome: &Outcome| {
        let Outcome { canon, canon_failed, last, .. } = outcome;
        let failed = canon_failed.as_ref().map_or_else(String::new, |failed| format!(", fails: {failed:?}"));
        format!("{canon:?}, {last:?}{failed}")
    };
    paths
        .iter()
        .find_map(path)
        .or_else(|| (0..processes).find_map(process))
        .or_else(|| unequal(None, "the canonical form or the final command", rest(expected), rest(actual)))
        .or_else(|| {
            (expected != actual).then(|| divergence(None, "the outcome", "one".into(), "another".into()))
        })
}

fn entry(detailed: Option<(&Entry, &Details)>) -> String {
    let Some((entry, details)) = detailed else { return "not there".into() };
    let entry = match entry {
        Entry::File { mode, content } => format!("{} with mode {mode:o}", quoted(content)),
        Entry::Dir { mode } => format!("a directory with mode {mode:o}"),
        Entry::Link { target } => format!("a link to {target}"),
        Entry::Other { kind, mode } => format!("a {kind} with mode {mode:o}"),
        Entry::HardLink { to } => format!("the same file as {to}"),
    };
    entry + &details.in_words()
}

/// Content as text; of long content the beginning, and its length.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(CONTENT) {
        Some((end, _)) => {
            format!("{:?}… ({} bytes, crc32 {:08x})", &text[..end], bytes.len(), crc32fast::hash(bytes))
        }
        None => format!("{text:?}"),
    }
}
