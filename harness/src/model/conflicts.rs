use std::collections::{BTreeMap, BTreeSet};

use super::access::Key;
use super::{AccessKind, Call, Event, Location, ProcessId};

/// How many pairs of operations of different processes conflict in a trace.
#[must_use]
pub fn conflicts(trace: &[Event]) -> u64 {
    let contested = contested(trace);
    let touches =
        |event: &&Event| {
            let about_a_process = |location: &Location| matches!(location, Location::Process(_));
            event.operation.accesses.iter().any(|access| {
                contested.contains(&Key::of(&access.location)) || about_a_process(&access.location)
            })
        };
    let signals = trace.iter().any(|event| event.operation.signalled().next().is_some());
    let concerned: Vec<&Event> = trace.iter().filter(|event| signals || touches(event)).collect();
    let mut pairs = 0;
    for (at, event) in concerned.iter().enumerate() {
        let earlier = concerned[..at].iter().filter(|earlier| earlier.process != event.process);
        let conflicting = earlier
            .filter(|earlier| event.operation.disturbs(event.process, &earlier.operation, earlier.process));
        pairs += conflicting.count() as u64;
    }
    pairs
}

/// What more than one process touches and one of them changes.
fn contested(trace: &[Event]) -> BTreeSet<Key> {
    let mut touched: BTreeMap<Key, (BTreeSet<ProcessId>, bool)> = BTreeMap::new();
    for event in trace {
        for access in &event.operation.accesses {
            let (processes, changed) = touched.entry(Key::of(&access.location)).or_default();
            processes.insert(event.process);
            *changed |= access.kind != AccessKind::Read;
        }
    }
    let contested = touched.into_iter().filter(|(_, (processes, changed))| processes.len() > 1 && *changed);
    contested.map(|(key, _)| key).collect()
}

/// The files whose names or contents each process changes in a trace, sorted.
#[must_use]
pub fn written(trace: &[Event]) -> BTreeMap<ProcessId, BTreeSet<String>> {
    let mut written: BTreeMap<ProcessId, BTreeSet<String>> = BTreeMap::new();
    for event in trace {
        let changes = event.operation.accesses.iter().any(|access| {
            access.kind != AccessKind::Read
                && matches!(
                    access.location,
                    Location::Name { .. } | Location::Data { .. } | Location::Mode(_)
                )
        });
        if changes {
            let paths = changed_by(&event.operation.call).cloned();
            written.entry(event.process).or_default().extend(paths);
        }
    }
    written
}

/// The paths that a call changes: of a copy or a hard link, where it leads; of a rename, both.
fn changed_by(call: &Call) -> impl Iterator<Item = &String> {
    let both = call.name.starts_with("rename");
    let leads = ["copy_file_range", "sendfile", "splice", "link", "linkat"].contains(&call.name.as_str());
    let path = call.path.iter().filter(move |_| both || !leads);
    path.chain(call.target.iter().filter(move |_| both || leads))
}

#[cfg(test)]
mod tests {
    use super::{conflicts, written};
    use crate::model::{Access, Call, CallResult, Event, Location, ObjectId, Operation, ProcessId};

    fn event(process: usize, path: &str, accesses: Vec<Access>) -> Event {
        let call = Call { name: "x".into(), path: Some(path.into()), ..Call::default() };
        Event {
            process: ProcessId(process),
            task: String::new(),
            operation: Operation { call, accesses, ..Operation::default() },
            result: CallResult::Value(0),
            exit: None,
            payload: None,
        }
    }

    fn name(name: &str) -> Location {
        Location::Name { dir: ObjectId::Initial(0), name: name.into() }
    }

    #[test]
    fn pairs_of_different_processes_are_counted_that_do_not_commute() {
        let reads = |process, what: &str| event(process, what, vec![Access::read(name(what))]);
        let writes = |process, what: &str| event(process, what, vec![Access::write(name(what))]);
        for (trace, count) in [
            (vec![], 0),
            (vec![reads(0, "f"), reads(1, "f")], 0),
            (vec![writes(0, "f"), writes(0, "f")], 0),
            (vec![writes(0, "f"), writes(1, "g")], 0),
            (vec![writes(0, "f"), reads(1, "f"), reads(1, "f"), writes(2, "f")], 5),
        ] {
            assert_eq!(conflicts(&trace), count, "{trace:?}");
        }
    }

    #[test]
    fn what_a_process_writes_is_what_it_changes_by_name_or_content() {
        let data = Location::Data { object: ObjectId::Initial(1), start: 0, end: 3 };
        let trace = [
            event(0, "read", vec![Access::read(name("read"))]),
            event(0, "made", vec![Access::write(name("made"))]),
            event(1, "filled", vec![Access::write(data)]),
        ];
        let written = written(&trace);
        let of = |process| written[&ProcessId(process)].iter().cloned().collect::<Vec<_>>();
        assert_eq!((of(0), of(1)), (vec!["made".to_owned()], vec!["filled".to_owned()]));
    }
}
