use std::collections::BTreeMap;

use super::evidence::{list, shown, sorted};
use super::{Case, Oracle};
use crate::model::{Anomaly, Call, Cut, Ending, Endless, Event, Kind, MarkedStep, ProcessId};

/// Finds executions that have as many steps as one may have, and tells what the processes go on doing.
#[derive(Clone, Copy, Debug)]
pub struct Livelock;

impl Oracle for Livelock {
    fn judge(&self, case: &Case<'_>) -> Option<Anomaly> {
        if let Ending::Endless(endless) = &case.execution.ending {
            return Some(endless_anomaly(endless, &case.execution.trace));
        }
        if case.execution.ending != Ending::Cut(Cut::Steps) {
            return None;
        }
        let trace = &case.execution.trace;
        let habits = habits(&trace[trace.len() / 2..]);
        let processes = sorted(habits.keys().copied());
        let mut files: Vec<String> = habits.values().filter_map(|(call, _)| call.path.clone()).collect();
        files.sort();
        files.dedup();
        let go_on = if processes.len() == 1 { "goes on" } else { "go on" };
        let explanation = habits.iter().map(|(process, (call, times))| {
            format!(
                "{process} goes on with {}: {times} times in the last {} steps",
                words(call),
                trace.len().div_ceil(2)
            )
        });
        Some(Anomaly {
            kind: Kind::Livelock,
            summary: format!("no end after {} steps: {} {go_on}", trace.len(), list(&processes, 4)),
            files,
            keys: Vec::new(),
            processes: processes.clone(),
            steps: Vec::new(),
            explanation: explanation.collect(),
        })
    }
}

/// A process that comes to no further operation, which no serial order lets it.
fn endless_anomaly(endless: &Endless, trace: &[Event]) -> Anomaly {
    let last = trace.iter().rposition(|event| event.process == endless.process);
    let place = last.map_or_else(String::new, |step| format!(", after step {}", shown(step)));
    let steps = last.map(|step| MarkedStep { step, note: "comes to no further operation".into() });
    let file = last.and_then(|step| trace[step].operation.call.path.clone());
    let others = trace.iter().map(|event| event.process).filter(|process| *process != endless.process);
    Anomaly {
        kind: Kind::Livelock,
        summary: format!("no end: {endless}{place}"),
        files: file.into_iter().collect(),
        keys: Vec::new(),
        processes: sorted(others.chain([endless.process])),
        steps: steps.into_iter().collect(),
        explanation: vec!["In the serial runs every process ends.".to_owned()],
    }
}

/// The call that each process made most often, and how often; of several, the first in alphabetical order.
fn habits(trace: &[Event]) -> BTreeMap<ProcessId, (&Call, usize)> {
    let mut counts: BTreeMap<(ProcessId, String), (&Call, usize)> = BTreeMap::new();
    for event in trace {
        let call = &event.operation.call;
        counts.entry((event.process, words(call))).or_insert((call, 0)).1 += 1;
    }
    let mut habits: BTreeMap<ProcessId, (&Call, usize)> = BTreeMap::new();
    for ((process, _), (call, count)) in counts {
        let best = habits.entry(process).or_insert((call, count));
        if count > best.1 {
            *best = (call, count);
        }
    }
    habits
}

fn words(call: &Call) -> String {
    let path = call.path.iter().map(|path| format!(" {path}"));
    let detail = Some(&call.detail).filter(|detail| !detail.is_empty()).map(|detail| format!(" ({detail})"));
    path.chain(detail).fold(call.name.clone(), |text, part| text + &part)
}
