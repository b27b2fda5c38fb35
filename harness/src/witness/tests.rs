use std::path::Path;

mod foreign;
mod keeping;

use super::{
    Recorded, Recording, Witness, WitnessError, check_step, checksum, compare, parse, read, show, show_json,
    to_text, write,
};
use crate::model::{
    Choice, Ending, Exit, Operation, ProcessId, Said, Status, Strands, Verdict, View, Waiting,
};
use crate::oracle::testing::{Script, serial_of_two, tree};
use crate::oracle::{Case, Normalize, judge, versions};
use crate::report::Style;
use crate::scenario::{Scenario, Threads};

const A: Choice = Choice::Process(ProcessId(0));
const B: Choice = Choice::Process(ProcessId(1));

fn script() -> Script {
    Script::new(2).read(0, "f", "0").read(1, "f", "0").write(0, "f", "1").write(1, "f", "1").leaves("f", "1")
}

fn recording(script: &Script) -> Recording {
    let execution = script.execution();
    let steps = execution.schedule.iter().zip(&execution.trace).map(|(choice, event)| Recorded {
        choice: *choice,
        call: event.operation.call.clone(),
        enabled: vec![ProcessId(0), ProcessId(1)],
    });
    Recording {
        schedule: steps.collect(),
        ending: execution.ending,
        outcome: execution.outcome,
        whole_tree: true,
    }
}

fn witness() -> Witness {
    let (execution, initial) = (script().execution(), tree(&[("f", "0"), ("bytes", "hex:")]));
    let left = Script::new(2).leaves("f", "2").outcome();
    let serial = serial_of_two(left.clone(), left);
    let case = Case { execution: &execution, serial: &serial, initial: &initial, commands: &[], check: None };
    let toml =
        "time-limit = 0.1\nfinal = \"cat f\"\n[[process]]\ncommand = \"a\"\n[[process]]\nclosure = \"b\"\n";
    let scenario = Scenario::parse(toml, "scenario.toml").unwrap();
    let mut stderr = Said::default();
    stderr.keep(ProcessId(1), b"cannot lock\n");
    Witness {
        stderr,
        anomaly: judge(&case),
        versions: versions(&execution, &initial, &["f".to_owned()]),
        environment: [("kernel".to_owned(), "6.18".to_owned())].into(),
        ..Witness::new(scenario, initial.clone(), Verdict::Anomaly, recording(&script()))
    }
}

fn fails(bytes: &[u8]) -> String {
    parse(bytes, Path::new("w.json")).unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/w.json");
    write(&witness(), &path).unwrap();
    write(&witness(), &path).unwrap();
    assert_eq!(read(&path).unwrap(), witness());
    let names: Vec<_> =
        std::fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["w.json"], "nothing else is left");
}

#[test]
fn the_file_has_what_people_and_programs_look_for() {
    let value: serde_json::Value = serde_json::from_str(&to_text(&witness()).unwrap()).unwrap();
    assert_eq!(value["format"], 2);
    assert_eq!(value["scenario"]["process"][0]["command"], "a");
    assert_eq!(value["initial"]["f"]["content"], "0");
    assert_eq!(value["schedule"][2]["choice"], "A");
    assert_eq!(value["schedule"][2]["call"]["name"], "write");
    assert_eq!(value["schedule"][2]["enabled"][1], "B");
    assert_eq!((&value["verdict"], &value["anomaly"]["kind"]), (&"anomaly".into(), &"lost-update".into()));
    assert_eq!(
        (&value["ending"], &value["outcome"]["tree"]["f"]["content"]),
        (&"complete".into(), &"1".into())
    );
    assert_eq!(value["versions"][1]["content"], "1");
    assert_eq!(value["stderr"], serde_json::json!({"B": "cannot lock\n"}));
    // Steps count from 1: the third step is A's write.
    let words = witness().anomaly.unwrap();
    assert_eq!(value["versions"][1]["step"], 3);
    let steps: Vec<_> =
        value["anomaly"]["steps"].as_array().unwrap().iter().map(|it| it["step"].clone()).collect();
    let in_memory: Vec<_> =
        words.steps.iter().map(|marked| serde_json::Value::from(marked.step + 1)).collect();
    assert_eq!(steps, in_memory);
}

#[test]
fn what_is_no_witness_is_told_from_one_that_was_cut_or_edited() {
    let text = to_text(&witness()).unwrap();
    assert_eq!(parse(text.as_bytes(), Path::new("w.json")).unwrap(), witness());
    for (bytes, error) in [
        (b"".as_slice(), "w.json: the file is cut off at line 1, column 0: copy it again"),
        (b"hello", "w.json: not a witness: expected value at line 1 column 1"),
        (b"\xff\xfe", "w.json: not a witness: expected value at line 1 column 1"),
        (b"[]", "w.json: not a witness: there is no `format`"),
        (b"{\"a\": 1}", "w.json: not a witness: there is no `format`"),
        (
            b"{\"format\": 3}",
            "w.json: a witness of format 3; this version reads formats 1 to 2: use a newer one",
        ),
        (
            b"{\"format\": 0}",
            "w.json: a witness of format 0; this version reads formats 1 to 2: use a newer one",
        ),
        (
            b"{\"format\": \"x\"}",
            "w.json: a witness of format \"x\"; this version reads formats 1 to 2: use a newer one",
        ),
    ] {
        assert_eq!(fails(bytes), error);
    }
    let half = fails(&text.as_bytes()[..text.len() / 2]);
    assert!(half.starts_with("w.json: the file is cut off at line "), "{half}");
    let edited = text.replacen("\"choice\": \"A\"", "\"choice\": \"B\"", 1);
    let told = fails(edited.as_bytes());
    assert!(told.starts_with("w.json: this witness was edited or damaged: its checksum is crc32:"), "{told}");
    let unsigned = "{\"format\": 1}";
    assert!(fails(unsigned.as_bytes()).contains("its checksum is missing"), "{}", fails(unsigned.as_bytes()));
    // Layout and the order of keys do not matter: an editor may have put them in order.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parse(value.to_string().as_bytes(), Path::new("w.json")).unwrap(), witness());
    let missing = read(Path::new("no/such.json")).unwrap_err();
    assert!(matches!(missing, WitnessError::Read { .. }), "{missing}");
}

#[test]
fn every_cut_is_noticed() {
    let text = to_text(&witness()).unwrap();
    for length in 0..text.trim_end().len() {
        assert!(parse(&text.as_bytes()[..length], Path::new("w")).is_err(), "{length}");
    }
}

#[test]
fn a_replay_that_matches_has_no_divergence() {
    assert_eq!(
        compare(&recording(&script()), &recording(&script()), &Normalize::default(), Strands::whole(2)),
        None
    );
    let volatile = recording(&script().leaves("x.log", "12:00"));
    let rules = Normalize::new(&["*.log".into()], &[]).unwrap();
    assert_eq!(compare(&recording(&script()), &volatile, &rules, Strands::whole(2)), None);
}

type Edit = fn(&mut Recording);

#[test]
fn a_divergence_says_where_and_both_sides() {
    let same = recording(&script());
    let change = |edit: Edit| {
        let mut actual = same.clone();
        edit(&mut actual);
        compare(&same, &actual, &Normalize::default(), Strands::whole(2)).unwrap().to_string()
    };
    let cases: [(Edit, &str); 9] = [
        (
            |r| r.schedule[1].enabled = vec![ProcessId(1)],
            "divergence at step 2: who can go on: recorded A, B; now B",
        ),
        (
            |r| r.schedule[2].call.path = Some("g".into()),
            "divergence at step 3: the next operation: recorded A: write f: 1 byte; now A: write g: 1 byte",
        ),
        (
            |r| r.schedule[2].choice = B,
            "divergence at step 3: the next operation: recorded A: write f: 1 byte; now B: write f: 1 byte",
        ),
        (
            |r| drop(r.schedule.pop()),
            "divergence at step 4: how it goes on: recorded B: write f: 1 byte; now every process has ended",
        ),
        (
            |r| r.ending = Ending::Blocked(Vec::new()),
            "divergence at the end: how it ends: recorded every process has ended; now ",
        ),
        (|r| r.outcome.tree.clear(), "divergence at the end: f: recorded \"1\" with mode 644; now not there"),
        (
            |r| r.outcome.exits[1] = Some(Exit::Signal(9)),
            "divergence at the end: how B ends: recorded exit 0; now signal 9",
        ),
        (
            |r| r.outcome.stdout[0] = b"x\n".to_vec(),
            "divergence at the end: what A prints: recorded \"\"; now \"x\\n\"",
        ),
        (
            |r| r.outcome.canon = Some("c".into()),
            "divergence at the end: the canonical form or the final command: recorded None, None; now Some(\"c\"), None",
        ),
    ];
    for (edit, words) in cases {
        assert_eq!(change(edit), words);
    }
}

#[test]
fn a_step_is_checked_before_the_choice_is_made_again() {
    let expected = recording(&script()).schedule.remove(0);
    let held = |step: usize| {
        Status::Enabled(Operation {
            call: script().execution().trace[step].operation.call.clone(),
            ..Operation::default()
        })
    };
    let as_recorded = [held(0), held(1)];
    let view = View { trace: &[], processes: &as_recorded };
    assert_eq!(Recorded::at(&view, A), expected);
    assert_eq!(check_step(0, &expected, &view, Strands::whole(2)), None);
    let other = [held(2), Status::Finished(Exit::Status(0))];
    let divergence =
        check_step(0, &expected, &View { trace: &[], processes: &other }, Strands::whole(2)).unwrap();
    assert_eq!(divergence.to_string(), "divergence at step 1: who can go on: recorded A, B; now A");
}

#[test]
fn tasks_have_names_that_say_whose_they_are() {
    let mut witness = witness();
    witness.scenario.threads = Threads::Explore;
    let strands = Strands::of_tasks(witness.scenario.processes.len());
    let (second, whole) = (strands.of(0, 1), strands.of_whole(1));
    witness.recording.schedule[0].choice = Choice::Process(second);
    witness.recording.schedule[0].enabled = vec![ProcessId(0), second];
    let operation = Operation::default();
    witness.recording.ending =
        Ending::Blocked(vec![Waiting { process: whole, operation, holders: Vec::new() }]);
    let text = to_text(&witness).expect("it can be written");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["schedule"][0]["choice"], "A.1");
    assert_eq!(value["schedule"][0]["enabled"], serde_json::json!(["A", "A.1"]));
    assert_eq!(value["ending"]["blocked"][0]["process"], "B.15");
    assert_eq!(parse(text.as_bytes(), Path::new("w.json")).expect("a witness"), witness);
}

const FORMAT_1: &str = include_str!("format-1.json");

/// It was written by a version that counted steps from 0.
#[test]
fn a_witness_of_the_first_format_is_read_and_its_steps_are_the_same() {
    let old = parse(FORMAT_1.as_bytes(), Path::new("old.json")).unwrap();
    assert_eq!((old.format, old.cooks.as_str()), (1, "0.1.0"));
    let anomaly = old.anomaly.as_ref().unwrap();
    assert!(anomaly.summary.contains("B's change (step 16) is lost"), "{}", anomaly.summary);
    let marked: Vec<usize> = anomaly.steps.iter().map(|marked| marked.step).collect();
    assert_eq!(marked, [5, 15, 17]);
    // Written again it is in the new format: counted from 1, and otherwise the same.
    let value: serde_json::Value = serde_json::from_str(&to_text(&old).unwrap()).unwrap();
    assert_eq!((&value["format"], &value["anomaly"]["steps"][1]["step"]), (&2.into(), &16.into()));
    assert_eq!((&value["critical"][0]["step"], &value["versions"][1]["step"]), (&14.into(), &8.into()));
    let again = parse(to_text(&old).unwrap().as_bytes(), Path::new("new.json")).unwrap();
    assert_eq!(again, Witness { format: 2, ..old });
}

fn shown(witness: &Witness) -> String {
    let mut out = Vec::new();
    show(witness, "w.json", &Style::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_witness_is_shown_without_being_run() {
    let text = shown(&parse(FORMAT_1.as_bytes(), Path::new("w.json")).unwrap());
    for line in [
        "w.json: a witness of format 1, recorded by cooks 0.1.0\n",
        "scenario work\n",
        "  A: sh add.sh\n",
        "    0644         1  n\n",
        "anomaly: lost-update\n",
        "     16 ► B: write n: 2 bytes\n",
        "  ends: every process has ended\n",
        "replay: cooks replay w.json\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in:\n{text}");
    }
    let text = shown(&witness());
    assert!(text.contains("standard error of B\n  cannot lock\n"), "{text}");
    assert!(text.contains("final: cat f\n") && text.contains("time-limit: 0.1\n"), "{text}");
}

#[test]
fn what_is_shown_to_programs_is_the_witness_with_its_calls_in_words() {
    let mut out = Vec::new();
    show_json(&parse(FORMAT_1.as_bytes(), Path::new("w.json")).unwrap(), "w.json", &mut out).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&value["format"], &value["file"]), (&1.into(), &"w.json".into()));
    assert_eq!(
        value["steps"][15],
        serde_json::json!({"step": 16, "process": "B", "text": "write n: 2 bytes"})
    );
    assert_eq!(value["anomaly"]["steps"][1]["step"], 16);
}
