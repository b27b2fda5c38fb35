use std::collections::BTreeMap;

use super::evidence::{list, sorted};
use super::{Case, Oracle};
use crate::model::{Anomaly, Call, Cut, Ending, Event, Kind, ProcessId};

/// Finds executions that have as many steps as one may have, and tells what the processes go on doing.
#[derive(Clone, Copy, Debug)]
pub struct Livelock;

impl Oracle for Livelock {
    fn judge(&self, case: &Case<'_>) -> Option<Anomaly> {
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
