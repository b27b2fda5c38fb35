use std::collections::BTreeSet;

use super::human::{by_telling, is_known};
use super::{Report, words};
use crate::model::{Ending, Event, Kind, Verdict, Waiting};
use crate::scenario::Expect;

/// In what a report is not as expected, in words; nothing where it is.
#[must_use]
pub fn differences(expected: &Expect, report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    if expected.verdict != report.verdict() {
        found.push(format!("the verdict is {}, expected {}", word(report.verdict()), word(expected.verdict)));
    }
    let wanted: BTreeSet<Kind> = expected.kinds.iter().copied().collect();
    let kinds: BTreeSet<Kind> = report.anomalies.iter().map(|finding| finding.anomaly.kind).collect();
    if !wanted.is_empty() {
        found.extend(wanted.difference(&kinds).map(|kind| format!("no {kind} was found")));
        found
            .extend(kinds.difference(&wanted).map(|kind| format!("{kind} was found, which is not expected")));
    }
    found.extend(missing_step(&expected.timeline, report));
    let counts =
        [("complete", expected.complete, report.complete), ("blocked", expected.blocked, report.blocked)];
    for (what, expected, actual) in counts {
        let Some(expected) = expected else { continue };
        if !report.exhaustive {
            found.push(format!(
                "{expected} {what} executions are expected of an exhaustive search, and this one was not"
            ));
        } else if expected != actual {
            found.push(format!("{actual} {what} executions, expected {expected}"));
        }
    }
    found
}

/// The same, against what it is held to in a run of scenarios: where nothing is said, nothing may be found. A shard is held to nothing.
pub(super) fn unexpected(report: &Report) -> Vec<String> {
    match report.expectation() {
        Some(expected) => differences(expected, report),
        None if report.shard.is_none() && report.verdict() == Verdict::Anomaly => {
            vec!["an anomaly was found, and no `[expect]` says that there is one".into()]
        }
        None => Vec::new(),
    }
}

/// The first of these steps that the most telling anomaly has not, after those before it.
fn missing_step(expected: &[String], report: &Report) -> Option<String> {
    let shown = &by_telling(report).into_iter().find(|finding| is_known(finding))?.shown;
    let step = |event: &Event| {
        // How a process ends may stand for itself, whatever it did last.
        let exit = event.exit.map(|exit| format!("{}: {}", event.process, words::ended(exit)));
        [Some(format!("{}: {}", event.process, words::event(event))), exit]
    };
    let waits = match &shown.ending {
        Ending::Blocked(waiting) => waiting.as_slice(),
        _ => &[],
    };
    let wait = |waiting: &Waiting| {
        [Some(format!("{}: waits to {}", waiting.process, words::pending(&waiting.operation.call))), None]
    };
    let mut steps = shown.trace.iter().map(step).chain(waits.iter().map(wait));
    let is =
        |shown: [Option<String>; 2], step: &str| shown.iter().flatten().any(|shown| shown.starts_with(step));
    let missing = expected.iter().position(|step| !steps.any(|shown| is(shown, step)))?;
    let after =
        missing.checked_sub(1).map_or(String::new(), |before| format!(" after `{}`", expected[before]));
    Some(format!("the timeline has no `{}`{after}", expected[missing]))
}

/// The word for a verdict.
pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Anomaly => "anomaly",
        Verdict::Inconclusive => "inconclusive",
    }
}
