//! The catalogue, the machine, and what is printed.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{Place, kinds, number};

/// The keys of the outermost object of an indented JSON text, in their order.
fn keys(text: &str, indent: usize) -> Vec<&str> {
    let start = format!("\n{}\"", " ".repeat(indent));
    text.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

const FIELDS: [&str; 30] = [
    "format",
    "cooks",
    "scenario",
    "subject",
    "verdict",
    "reason",
    "exhaustive",
    "ended_by",
    "covered",
    "not_covered",
    "conflicts",
    "coverage",
    "serial_failures",
    "strategy",
    "equivalence",
    "seed",
    "processes",
    "commands",
    "executions",
    "complete",
    "blocked",
    "redundant",
    "elsewhere",
    "serial_runs",
    "distinct_outcomes",
    "serial_outcomes",
    "steps",
    "elapsed_s",
    "outcomes",
    "anomalies",
];
const EXPECTED: [&str; 2] = ["expected", "as_expected"];
const ANOMALY: [&str; 10] = [
    "kind",
    "summary",
    "files",
    "keys",
    "processes",
    "critical",
    "execution",
    "context_switches",
    "witness",
    "replayed",
];

#[test]
fn fields_are_those_of_the_contract_in_their_order() {
    let place = Place::with(&[]);
    let fixed = place.cooks(&["run", "agent-ab-fixed", "--format", "json"]);
    assert_eq!(keys(&fixed.stdout, 2), [FIELDS.as_slice(), &EXPECTED].concat());
    let report = fixed.json(0);
    let counts = ["format", "processes", "executions", "complete", "blocked", "redundant", "serial_runs"];
    assert_eq!(counts.map(|key| number(&report, key)), [1, 2, 266, 266, 0, 0, 2]);
    assert_eq!((&report["verdict"], &report["exhaustive"]), (&"clean".into(), &true.into()));
    assert_eq!((&report["scenario"], &report["as_expected"]), (&"agent-ab-fixed".into(), &true.into()));

    let native = place.cooks(&["run", "agent-ab-native", "--format", "json"]);
    assert_eq!(keys(&native.stdout, 2), [FIELDS.as_slice(), &EXPECTED].concat());
    let report = native.json(0);
    assert_eq!((&report["verdict"], &report["exhaustive"]), (&"anomaly".into(), &true.into()));
    let count = kinds(&report).len();
    // Behind the anomalies come the kinds that are expected, at the same depth.
    // What the processes wrote to their standard error is there if they wrote anything.
    let mut fields = keys(&native.stdout, 6);
    fields.retain(|key| *key != "stderr");
    assert_eq!(fields[..ANOMALY.len() * count], ANOMALY.repeat(count));
    assert!(kinds(&report).contains(&"lost-update"), "{:?}", kinds(&report));

    let explored = place.cooks(&["explore", "-p", "true", "-p", "true", "--format", "json"]);
    assert_eq!(keys(&explored.stdout, 2), FIELDS);
}

#[test]
fn several_scenarios_are_one_object() {
    let place = Place::with(&[]);
    let names = ["agent-ab-fixed", "agent-ab-native"];
    let report = place.cooks(&["run", names[0], names[1], "--format", "json"]).json(0);
    assert_eq!(report["format"], 1);
    let scenarios = report["scenarios"].as_array().expect("a list");
    let found: Vec<&Value> = scenarios.iter().map(|scenario| &scenario["scenario"]).collect();
    assert_eq!(found, names);
    assert!(scenarios.iter().all(|scenario| scenario["as_expected"] == true));
}

/// A scenario that is not as it is expected to be fails.
#[test]
fn a_folder_is_held_to_what_it_expects() {
    let scenario = |expect: &str| {
        let process = "[[process]]\ncommand = \"read x < n; echo $((x+1)) > n\"\n";
        format!("{process}{process}[expect]\n{expect}\n")
    };
    for (expect, code) in [
        ("verdict = \"anomaly\"\nkinds = [\"lost-update\"]", 0),
        ("verdict = \"anomaly\"\nkinds = [\"deadlock\"]", 1),
        ("verdict = \"clean\"", 1),
    ] {
        let place = Place::with(&[("s/scenario.toml", &scenario(expect)), ("s/workspace/n", "0\n")]);
        let report = place.cooks(&["run", "s", "--format", "json"]).json(code);
        assert_eq!((&report["verdict"], &report["as_expected"]), (&"anomaly".into(), &(code == 0).into()));
    }
}

#[test]
fn the_list_names_each_scenario_with_what_it_shows() {
    let place = Place::with(&[]);
    let list = place.cooks(&["list"]);
    assert_eq!((list.code, list.stderr.as_str()), (Some(0), ""));
    let names: Vec<&str> = list.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.is_sorted(), "{names:?}");
    for name in ["agent-ab", "agent-ab-native", "agent-ab-fixed"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(list.stdout.lines().all(|line| line.split_whitespace().count() > 3), "{}", list.stdout);
}

#[test]
fn this_machine_can_trace() {
    let doctor = Place::with(&[]).cooks(&["doctor"]);
    assert_eq!((doctor.code, doctor.stderr.as_str()), (Some(0), ""));
    assert_eq!(doctor.stdout.lines().last(), Some("this machine can trace"), "{}", doctor.stdout);
}

/// Whoever reads the output may have seen enough.
#[test]
fn a_closed_pipe_is_no_error() {
    let place = Place::with(&[]);
    for arguments in [
        &["list"][..],
        &["--help"],
        &["run", "agent-ab-fixed"],
        &["run", "agent-ab-fixed", "--format", "json"],
        &["doctor"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let child = place.command(arguments).stdout(writer).stderr(Stdio::piped()).spawn();
        let output = child.and_then(std::process::Child::wait_with_output).expect("cooks can be run");
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{arguments:?}");
    }
}

#[test]
fn every_format_tells_of_the_anomaly() {
    let counter = "read x < n; echo $((x+1)) > n";
    let place = Place::with(&[("work/n", "0\n")]);
    for (format, words) in [
        ("human", &["lost-update", "replay: cooks replay"][..]),
        ("junit", &["<?xml", "<failure", "lost-update"]),
        ("github", &["::error", "lost-update"]),
    ] {
        let run =
            place.cooks(&["explore", "--dir", "work", "-p", counter, "-p", counter, "--format", format]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""), "{format}");
        assert!(words.iter().all(|word| run.stdout.contains(word)), "{format}: {}", run.stdout);
    }
    let human = place.cooks(&["explore", "--dir", "work", "-p", counter, "-p", counter]);
    let last = human.stdout.lines().last().expect("lines");
    assert_eq!(last, "replay: cooks replay cooks-output/work-1-lost-update.json");
}
