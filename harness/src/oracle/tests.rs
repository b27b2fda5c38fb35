//! Each kind of anomaly on hand-made traces, and what is none.

mod any_trace;
mod lost_updates;
mod untraced;

use super::testing::{Script, serial_of_two, tree};
use super::{Aborts, Case, CheckRun, Normalize, Order, SerialOutcomes, SerialRun, judge, versions};
use crate::model::{
    Access, Anomaly, Call, Cut, Ending, Exit, Kind, Location, Need, ObjectId, Operation, Outcome, ProcessId,
    Tree, Way,
};

fn judged(script: &Script, serial: &SerialOutcomes, initial: &Tree) -> Option<Anomaly> {
    let commands = ["a".to_owned(), "b".to_owned()];
    judge(&Case { execution: &script.execution(), serial, initial, commands: &commands, check: None })
}

/// Serial outcomes of two processes that both leave one file so.
fn both_leave(path: &str, content: &str) -> SerialOutcomes {
    let outcome = Script::new(2).leaves(path, content).outcome();
    serial_of_two(outcome.clone(), outcome)
}

fn notes(anomaly: &Anomaly) -> Vec<(usize, &str)> {
    anomaly.steps.iter().map(|marked| (marked.step, marked.note.as_str())).collect()
}

const FILE: &str = "agent_metadata.json";
const TRUNCATE: &str = "write, create, truncate";

/// The incident: both read, both write back what they had read with their own agent added.
fn incident() -> Script {
    Script::new(2)
        .open(0, FILE, "read")
        .read(0, FILE, "{}")
        .open(1, FILE, "read")
        .read(1, FILE, "{}")
        .open(1, FILE, TRUNCATE)
        .write(1, FILE, "{\"agent-b\": 1}")
        .open(0, FILE, TRUNCATE)
        .write(0, FILE, "{\"agent-a\": 1}")
        .leaves(FILE, "{\"agent-a\": 1}")
}

#[test]
fn json_that_no_longer_parses_is_torn() {
    let script = Script::new(2)
        .open(0, FILE, TRUNCATE)
        .open(1, FILE, TRUNCATE)
        .write(0, FILE, "{\"a\":1,\"b\":1}")
        .write(1, FILE, "{\"b\":1}")
        .leaves(FILE, "{\"b\":1}\"b\":1}");
    let anomaly = judged(&script, &both_leave(FILE, "{\"a\":1,\"b\":1}"), &tree(&[(FILE, "{}")])).unwrap();
    assert_eq!(anomaly.kind, Kind::TornFile);
    assert_eq!(
        anomaly.summary,
        "agent_metadata.json is no longer JSON (trailing characters at line 1 column 8): A and B wrote it at the same time \
         (steps 1 to 4)"
    );
    assert_eq!(notes(&anomaly)[..2], [(0, "A begins to write the file"), (1, "B begins to write the file")]);
}

#[test]
fn content_mixed_of_two_writers_is_torn_and_whole_content_is_not() {
    let mixed = |last: &str, left: &str| {
        let script = Script::new(2)
            .open(0, "f", TRUNCATE)
            .open(1, "f", TRUNCATE)
            .write(0, "f", "AAAA")
            .write(1, "f", last);
        judged(&script.leaves("f", left), &both_leave("f", "AAAABBBB"), &Tree::new()).unwrap()
    };
    let torn = mixed("BB", "BBAA");
    assert_eq!(torn.kind, Kind::TornFile);
    assert_eq!(
        torn.summary,
        "f holds what no process wrote as a whole: A and B wrote it at the same time (steps 1 to 4)"
    );
    assert_ne!(mixed("BBBB", "BBBB").kind, Kind::TornFile);
    // One after another, each whole: not torn either.
    let script = Script::new(2).open(0, "f", TRUNCATE).write(0, "f", "AAAA").open(1, "f", "append");
    let script = script.write_at(1, "f", 4, "B").leaves("f", "AAAAB");
    assert_ne!(judged(&script, &both_leave("f", "x"), &Tree::new()).unwrap().kind, Kind::TornFile);
}

#[test]
fn a_process_that_dies_of_a_half_written_file_has_failed() {
    let script = Script::new(2)
        .open(0, FILE, TRUNCATE)
        .read(1, FILE, "")
        .write(0, FILE, "{}")
        .leaves(FILE, "{}")
        .exit(1, Exit::Status(1));
    let serial = both_leave(FILE, "{}");
    let initial = tree(&[(FILE, "{\"x\":1}")]);
    let anomaly = judged(&script, &serial, &initial).unwrap();
    assert_eq!(anomaly.kind, Kind::ProcessFailure);
    assert_eq!(
        anomaly.summary,
        "B fails (exit 1), which no serial order lets it: it read agent_metadata.json at step 2 while A was writing it and got \
         0 bytes"
    );
    let expected = ["how B ends:", "  every serial order  exit 0", "  here                exit 1"];
    assert_eq!(anomaly.explanation, expected);
    let killed = judged(&script.exit(1, Exit::Signal(11)), &serial, &initial).unwrap();
    assert!(killed.summary.starts_with("B is killed by signal 11: "), "{}", killed.summary);
}

#[test]
fn one_that_gives_up_is_fine_where_allowed_unless_it_had_an_effect() {
    let mut serial = SerialOutcomes::new(Aborts::Allow, Normalize::default());
    let full = Script::new(2).leaves("f", "ab").outcome();
    for order in super::orders(2) {
        serial.push(SerialRun { order, outcome: full.clone() });
    }
    let alone =
        Outcome { exits: vec![Some(Exit::Status(0)), None], ..Script::new(2).leaves("f", "a").outcome() };
    serial.push(SerialRun {
        order: Order { processes: vec![ProcessId(0)], left_out: vec![ProcessId(1)] },
        outcome: alone,
    });
    let gave_up = Script::new(2).exit(1, Exit::Status(1)).prints(1, "busy");
    assert_eq!(judged(&gave_up.clone().leaves("f", "a"), &serial, &Tree::new()), None);
    let left = judged(&gave_up.clone().leaves("f", "a").leaves("f.tmp", ""), &serial, &Tree::new()).unwrap();
    assert_eq!(
        (left.kind, left.summary.as_str()),
        (Kind::LeftBehind, "f.tmp left behind, which no serial order leaves")
    );
    let effect = judged(&gave_up.leaves("f", "b"), &serial, &Tree::new()).unwrap();
    assert_eq!(effect.kind, Kind::ProcessFailure);
}

#[test]
fn additional_files_are_left_behind() {
    let script = Script::new(2).open(1, "t.tmp", TRUNCATE).leaves("f", "x").leaves("t.tmp", "");
    let anomaly = judged(&script, &both_leave("f", "x"), &Tree::new()).unwrap();
    assert_eq!((anomaly.kind, anomaly.processes.as_slice()), (Kind::LeftBehind, &[ProcessId(1)][..]));
    assert_eq!(notes(&anomaly), [(0, "leaves t.tmp")]);
    assert_eq!(
        anomaly.explanation,
        ["t.tmp:", "  every serial order  not there", "  here                \"\""]
    );
}

#[test]
fn output_alone_is_a_dirty_read() {
    let script = Script::new(2).open(0, "f", TRUNCATE).read(1, "f", "").write(0, "f", "new");
    let serial = serial_of_two(
        Script::new(2).leaves("f", "new").prints(1, "new").outcome(),
        Script::new(2).leaves("f", "new").prints(1, "old").outcome(),
    );
    let anomaly = judged(&script.leaves("f", "new"), &serial, &tree(&[("f", "old")])).unwrap();
    assert_eq!(anomaly.kind, Kind::DirtyRead);
    assert_eq!(
        anomaly.summary,
        "B prints what no serial order prints: it read f at step 2 while A was writing it and got 0 bytes"
    );
    assert_eq!(
        anomaly.explanation,
        ["what B prints:", "  A then B  \"new\"", "  B then A  \"old\"", "  here      \"\""]
    );
}

#[test]
fn write_skew_is_non_serializable_and_the_cycle_tells() {
    let script = Script::new(2).touch(0, "r1").touch(1, "r2").touch(0, "w2").touch(1, "w1");
    let script = script.leaves("x", "1").leaves("y", "1");
    let serial = serial_of_two(
        Script::new(2).leaves("x", "1").leaves("y", "2").outcome(),
        Script::new(2).leaves("x", "2").leaves("y", "1").outcome(),
    );
    let anomaly = judged(&script, &serial, &Tree::new()).unwrap();
    assert_eq!(anomaly.kind, Kind::NonSerializable);
    assert_eq!(
        anomaly.summary,
        "no serial order gives this outcome: A reads w1 (step 1) before B changes it (step 4), B reads w2 (step 2) before A \
         changes it (step 3)"
    );
    assert_eq!(
        anomaly.explanation,
        [
            "each part is one that some serial order gives, all together are not:",
            "  A then B  y \"2\", here \"1\"",
            "  B then A  x \"2\", here \"1\""
        ]
    );
}

#[test]
fn locks_taken_crosswise_are_a_deadlock_with_its_ring() {
    let script = Script::new(3)
        .lock(0, "a.lock", 1)
        .lock(1, "b.lock", 2)
        .waits(0, "b.lock", 2, &[1])
        .waits(1, "a.lock", 1, &[0])
        .waits(2, "a.lock", 1, &[0]);
    let anomaly = judged(&script, &both_leave("f", ""), &Tree::new()).unwrap();
    assert_eq!(anomaly.kind, Kind::Deadlock);
    assert_eq!(anomaly.summary, "A waits for b.lock held by B, B waits for a.lock held by A");
    assert_eq!((anomaly.files.len(), anomaly.processes.as_slice()), (2, &[ProcessId(0), ProcessId(1)][..]));
    assert_eq!(anomaly.explanation, ["C waits for a.lock as well"]);
    assert_eq!(notes(&anomaly), [(0, "B comes to wait for it"), (1, "A comes to wait for it")]);
    let forgotten = Script::new(2).lock(0, "a.lock", 1).waits(1, "a.lock", 1, &[0]);
    let anomaly = judged(&forgotten, &both_leave("f", ""), &Tree::new()).unwrap();
    assert_eq!(anomaly.summary, "a lock is never released: B for a.lock wait for ever");
    assert_eq!(anomaly.explanation, ["B waits for a.lock, held by A (since step 1)"]);
    let alone = Script::new(1).lock(0, "a.lock", 1).waits(0, "a.lock", 1, &[0]);
    let anomaly = judged(&alone, &both_leave("f", ""), &Tree::new()).unwrap();
    assert_eq!(anomaly.summary, "A waits for a.lock, which it holds itself");
}

/// Who waits at a FIFO or socket, and for whom.
#[test]
fn waits_at_fifos_and_sockets_say_what_does_not_come() {
    let (object, stream) = (ObjectId::Initial(1), Location::stream(ObjectId::Initial(1), Way::There));
    let ends = |way| Location::Ends { object, way };
    let awaits = |accesses: Vec<Location>| Operation {
        accesses: accesses.into_iter().map(Access::read).collect(),
        awaits: true,
        ..Operation::default()
    };
    let opens = |way| awaits(vec![ends(way)]);
    let reads = Operation { needs: vec![Need::of(stream.clone(), true)], ..Operation::default() };
    let mut writes = awaits(vec![stream.clone(), ends(Way::Back)]);
    writes.call.detail = Call::WAITS_FOR_ROOM.into();
    let said = |waits: Vec<(Operation, &[usize])>| {
        let mut script = Script::new(waits.len());
        for (process, (operation, holders)) in waits.into_iter().enumerate() {
            script = script.waits_at(process, "p", operation, holders);
        }
        judged(&script, &both_leave("f", ""), &Tree::new()).unwrap().summary
    };
    let nobody: &[usize] = &[];
    let first = "A waits to open the FIFO p for reading; nobody opens it for writing";
    assert_eq!(said(vec![(opens(Way::There), nobody)]), first);
    let second = "B waits to open the FIFO p for writing; nobody opens it for reading";
    let both = vec![(opens(Way::There), nobody), (opens(Way::Back), nobody)];
    assert_eq!(said(both), format!("{first}; {second}"));
    assert_eq!(said(vec![(reads.clone(), nobody)]), "A waits to read from the FIFO p; nobody writes into it");
    assert_eq!(
        said(vec![(reads.clone(), &[1]), (writes, &[0])]),
        "A waits to read from the FIFO p, which B has open, B waits to write into the FIFO p, which A has open"
    );
    assert_eq!(said(vec![(awaits(vec![stream]), nobody)]), "A waits to find a change at p; nobody uses it");
    let named = |name: &str, detail: &str| {
        let call = Call { name: name.into(), detail: detail.into(), ..Call::default() };
        Operation { call, needs: reads.needs.clone(), ..Operation::default() }
    };
    let accepts = "A waits to be connected to at the socket p; nobody connects to it";
    assert_eq!(said(vec![(named("accept4", ""), nobody)]), accepts);
    let mut fills = named("write", "waits for room through the socket");
    (fills.awaits, fills.needs) = (true, Vec::new());
    assert_eq!(
        said(vec![(fills, &[1]), (named("accept", ""), nobody)]),
        "A waits to write into the connection through the socket p, which B has open; \
         B waits to be connected to at the socket p; nobody connects to it"
    );
    let receives = named("recvfrom", "9 bytes as a datagram at the socket");
    let mut sends = named("sendto", "waits for room at the socket");
    (sends.awaits, sends.needs) = (true, Vec::new());
    assert_eq!(
        said(vec![(receives, nobody), (sends, &[0])]),
        "A waits to receive at the socket p; nobody sends to it; B waits to send to the socket p, which A has open"
    );
    assert_eq!(
        said(vec![
            (named("read", "9 bytes at once through the socket"), &[1]),
            (named("accept", ""), nobody)
        ]),
        "A waits to read from the connection through the socket p, which B has open; \
         B waits to be connected to at the socket p; nobody connects to it"
    );
}

#[test]
fn too_many_steps_are_a_livelock_and_a_redundant_execution_is_nothing() {
    let mut script = Script::new(2).open(0, "l", TRUNCATE);
    for _ in 0..3 {
        script = script.call(1, "flock", "l", "exclusive, try").error("EWOULDBLOCK");
    }
    let serial = both_leave("f", "");
    let anomaly = judged(&script.clone().ending(Ending::Cut(Cut::Steps)), &serial, &Tree::new()).unwrap();
    assert_eq!((anomaly.kind, anomaly.summary.as_str()), (Kind::Livelock, "no end after 4 steps: B goes on"));
    assert_eq!(anomaly.explanation, ["B goes on with flock l (exclusive, try): 2 times in the last 2 steps"]);
    assert_eq!(judged(&script.ending(Ending::Cut(Cut::Redundant)), &serial, &Tree::new()), None);
}

#[test]
fn a_failing_check_counts_only_where_nothing_more_specific_does() {
    let check =
        CheckRun { command: "test -s f".into(), exit: Exit::Status(3), output: "\nf is empty\n".into() };
    let serial = both_leave("f", "");
    let (initial, good) = (Tree::new(), Script::new(2).leaves("f", "").execution());
    let case =
        Case { execution: &good, serial: &serial, initial: &initial, commands: &[], check: Some(&check) };
    let anomaly = judge(&case).unwrap();
    assert_eq!(
        (anomaly.kind, anomaly.summary.as_str()),
        (Kind::CheckFailed, "the check fails (exit 3): f is empty")
    );
    let bad = Script::new(2).leaves("g", "").leaves("f", "").execution();
    assert_eq!(judge(&Case { execution: &bad, ..case }).unwrap().kind, Kind::LeftBehind);
    let passed = CheckRun { exit: Exit::Status(0), ..check.clone() };
    assert_eq!(judge(&Case { check: Some(&passed), ..case }), None);
}

#[test]
fn where_not_every_order_was_run_the_explanation_says_so() {
    let mut serial = both_leave(FILE, "{\"agent-b\": 1, \"agent-a\": 1}");
    serial.complete = false;
    let anomaly = judged(&incident(), &serial, &tree(&[(FILE, "{}")])).unwrap();
    assert_eq!(
        anomaly.explanation,
        [
            "agent_metadata.json, key \"agent-b\":",
            "  all 2 serial orders run  1",
            "  here                     not there"
        ]
    );
}

#[test]
fn longer_texts_are_explained_by_their_lines() {
    let script = Script::new(2).leaves("log", "head\na\ntail\n");
    let anomaly = judged(&script, &both_leave("log", "head\na\nb\ntail\n"), &Tree::new()).unwrap();
    assert_eq!(anomaly.explanation, ["log, after every serial order (-) and here (+):", "  - b"]);
    // Of several serial outcomes the one that is nearest.
    let serial = serial_of_two(
        Script::new(2).leaves("log", "a\nb\n").outcome(),
        Script::new(2).leaves("log", "b\na\n").outcome(),
    );
    let anomaly = judged(&Script::new(2).leaves("log", "b\n"), &serial, &Tree::new()).unwrap();
    assert_eq!(anomaly.explanation, ["log, after A then B (-) and here (+):", "  - a"]);
}

#[test]
fn what_has_the_same_values_is_explained_together() {
    let script = Script::new(2).leaves(FILE, "{}").exit(0, Exit::Status(1)).exit(1, Exit::Status(1));
    let anomaly = judged(&script, &both_leave(FILE, "{\"a\":1,\"b\":1}"), &Tree::new()).unwrap();
    assert_eq!(
        anomaly.explanation,
        [
            "agent_metadata.json, keys \"a\" and \"b\":",
            "  every serial order  1",
            "  here                not there",
            "how A and B end:",
            "  every serial order  exit 0",
            "  here                exit 1"
        ]
    );
}

#[test]
fn json_that_is_broken_is_shown_where_it_is() {
    let script = Script::new(2).leaves(FILE, "{\n  \"a\": 1\n}\n  \"b\": 1\n}");
    let anomaly = judged(&script, &both_leave(FILE, "{\"a\":1,\"b\":1}"), &Tree::new()).unwrap();
    assert_eq!(
        anomaly.explanation,
        [
            "agent_metadata.json:",
            "  every serial order  {\"a\":1,\"b\":1}",
            "  here                no JSON: trailing characters at line 4 column 3",
            "    1:  {",
            "    2:    \"a\": 1",
            "    3:  }",
            "    4:    \"b\": 1",
            "    5:  }"
        ]
    );
}

#[test]
fn a_process_that_fails_on_json_that_was_left_broken_says_by_whom() {
    let script = Script::new(2)
        .write(0, FILE, "{}}")
        .read(1, FILE, "{}}")
        .leaves(FILE, "{}}")
        .exit(1, Exit::Status(1));
    let anomaly = judged(&script, &both_leave(FILE, "{}"), &tree(&[(FILE, "{}")])).unwrap();
    assert_eq!(
        anomaly.summary,
        "B fails (exit 1), which no serial order lets it: what it read of agent_metadata.json at step 2 was not JSON (trailing \
         characters at line 1 column 3), as A had left it at step 1"
    );
    assert_eq!(notes(&anomaly)[0], (0, "leaves it broken"));
}

#[test]
fn versions_are_kept_for_people() {
    let kept = versions(&incident().execution(), &tree(&[(FILE, "{}")]), &[FILE.to_owned()]);
    let shown: Vec<_> =
        kept.iter().map(|v| (v.step, String::from_utf8_lossy(&v.content).into_owned())).collect();
    let expected = [
        (None, "{}"),
        (Some(4), ""),
        (Some(5), "{\"agent-b\": 1}"),
        (Some(6), ""),
        (Some(7), "{\"agent-a\": 1}"),
    ];
    assert_eq!(shown, expected.map(|(step, text)| (step, text.to_owned())));
}
