//! What is told of runs that nobody traced.

use super::{FILE, both_leave};
use crate::model::{Anomaly, Exit, Kind, ProcessId};
use crate::oracle::testing::{Script, tree};
use crate::oracle::{Case, Order, SerialRun, judge_untraced};

/// What one of two processes leaves without the other.
fn without(left_out: usize, path: &str, content: &str) -> SerialRun {
    let order = Order { processes: vec![ProcessId(1 - left_out)], left_out: vec![ProcessId(left_out)] };
    SerialRun { order, outcome: Script::new(2).leaves(path, content).outcome() }
}

fn judged(script: &Script, path: &str, serial: &str, alone: [&str; 2]) -> Option<Anomaly> {
    let (serial, initial) = (both_leave(path, serial), tree(&[(path, "0")]));
    let alone = [without(1, path, alone[0]), without(0, path, alone[1])];
    let commands = ["a".to_owned(), "b".to_owned()];
    let execution = script.execution();
    let case =
        Case { execution: &execution, serial: &serial, initial: &initial, commands: &commands, check: None };
    judge_untraced(&case, &alone)
}

#[test]
fn what_is_as_without_a_process_has_lost_its_change() {
    let both = "{\"a\": 1, \"b\": 1}";
    let alone = ["{\"a\": 1}", "{\"b\": 1}"];
    let leaves = |content: &str| Script::new(2).leaves(FILE, content);
    let anomaly = judged(&leaves(alone[0]), FILE, both, alone).unwrap();
    assert_eq!((anomaly.kind, anomaly.keys.as_slice()), (Kind::LostUpdate, ["b".to_owned()].as_slice()));
    assert_eq!(anomaly.processes, [ProcessId(1)]);
    assert_eq!(anomaly.summary, "agent_metadata.json: the change of \"b\" by B is lost: it is as without it");
    assert_eq!(judged(&leaves(both), FILE, both, alone), None);

    // Of two that leave the same alone it is not known which one has lost.
    let counted = judged(&Script::new(2).leaves("n", "1"), "n", "2", ["1", "1"]).unwrap();
    assert_eq!((counted.kind, counted.processes.len()), (Kind::LostUpdate, 2));
    assert_eq!(counted.summary, "n: the change by A or B is lost: it is as without it");
}

#[test]
fn what_neither_leaves_alone_is_no_lost_update() {
    let odd = judged(&Script::new(2).leaves("n", "7"), "n", "2", ["1", "1"]).unwrap();
    assert_eq!(odd.kind, Kind::NonSerializable);
    // Who says that it failed has not lost what it says it did not do.
    let failed = Script::new(2).leaves("n", "1").exit(1, Exit::Status(3));
    assert_eq!(judged(&failed, "n", "2", ["1", "1"]).unwrap().kind, Kind::ProcessFailure);
    let torn = Script::new(2).leaves(FILE, "{\"a\"");
    assert_eq!(judged(&torn, FILE, "{}", ["{}", "{}"]).unwrap().kind, Kind::TornFile);
}
