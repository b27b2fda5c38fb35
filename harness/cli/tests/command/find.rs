//! What is found without any specification: lost updates and deadlocks of plain commands; and what is found to be without them.

use std::fs;

use serde_json::Value;

use crate::support::{Place, kinds, number};

/// Reads a JSON file, sets a key of its own, writes the file.
const AGENT: &str = "
import json, sys
with open('shared.json') as file:
    data = json.load(file)
data[sys.argv[1]] = 'active'
with open('shared.json', 'w') as file:
    json.dump(data, file)
";

/// The same under a lock file that is there and stays.
const LOCKED: &str = "
import fcntl, json, sys
with open('shared.lock', 'r+') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with open('shared.json') as file:
        data = json.load(file)
    data[sys.argv[1]] = 'active'
    with open('shared.json', 'w') as file:
        json.dump(data, file)
";

/// Takes two locks in the order in which they are given.
const TWO_LOCKS: &str = "
import fcntl, sys
with open(sys.argv[1], 'r+') as first, open(sys.argv[2], 'r+') as second:
    fcntl.flock(first, fcntl.LOCK_EX)
    fcntl.flock(second, fcntl.LOCK_EX)
";

fn place(agent: &str) -> Place {
    Place::with(&[
        ("work/agent.py", agent),
        ("work/shared.json", "{}\n"),
        ("work/shared.lock", ""),
        ("work/a.lock", ""),
        ("work/b.lock", ""),
    ])
}

const TWO: [&str; 2] = ["python3 agent.py A", "python3 agent.py B"];

/// How many schedules there are of two processes with so many steps each.
fn schedules(steps: u64) -> f64 {
    (1..=steps).fold(1.0, |product, step| product * (steps + step) as f64 / step as f64)
}

#[test]
fn a_lost_update_of_plain_python_is_found_and_named() {
    let place = place(AGENT);
    let report = place.explore(1, &TWO, &["--dir", "work", "--all"]);
    assert_eq!((&report["verdict"], &report["exhaustive"]), (&"anomaly".into(), &true.into()));
    assert_eq!(report["not_covered"], Value::Array(Vec::new()));
    let executions = number(&report, "executions");
    assert_eq!(number(&report, "complete"), executions);
    assert_eq!((number(&report, "blocked"), number(&report, "redundant")), (0, 0));
    let steps = number(&report, "steps") / executions / 2;
    assert!(schedules(steps) > 1e6 * executions as f64, "{steps} steps each");
    let anomalies = report["anomalies"].as_array().expect("a list");
    let lost: Vec<&Value> = anomalies.iter().filter(|anomaly| anomaly["kind"] == "lost-update").collect();
    let keys: Vec<&Value> = lost.iter().map(|anomaly| &anomaly["keys"]).collect();
    assert_eq!(keys, [&Value::from(["A"].as_slice()), &Value::from(["B"].as_slice())]);
    for anomaly in &lost {
        assert_eq!(anomaly["files"], Value::from(["shared.json"].as_slice()));
        assert_eq!(anomaly["replayed"], 3);
        let summary = anomaly["summary"].as_str().expect("a sentence");
        assert!(summary.starts_with("shared.json: ") && summary.contains("overwrote it"), "{summary}");
    }
    // A file of the user's own is not touched.
    assert_eq!(fs::read_to_string(place.path("work/shared.json")).expect("it is there"), "{}\n");
    replays(&place, lost[0]);
}

/// Without options the search ends early, but not before the update that is lost is named, whatever symptom was found first.
#[test]
fn the_lost_update_is_named_without_being_asked_for() {
    let place = place(AGENT);
    let report = place.explore(1, &TWO, &["--dir", "work"]);
    let anomalies = report["anomalies"].as_array().expect("a list");
    let last = anomalies.last().expect("an anomaly");
    assert_eq!(
        (&last["kind"], &last["files"]),
        (&"lost-update".into(), &Value::from(["shared.json"].as_slice()))
    );
    assert_eq!(report["exhaustive"], false);
}

/// The witness replays: the same kind on the same file, each time.
fn replays(place: &Place, anomaly: &Value) {
    let witness = anomaly["witness"].as_str().expect("a path");
    let first = place.cooks(&["replay", witness, "--quiet", "--format", "json"]).json(1);
    let again = place.cooks(&["replay", witness, "--quiet", "--format", "json"]).json(1);
    for replayed in [&first, &again] {
        assert_eq!((number(replayed, "executions"), kinds(replayed)), (1, vec!["lost-update"]));
        let found = &replayed["anomalies"][0];
        for key in ["summary", "files", "keys", "processes", "context_switches"] {
            assert_eq!(found[key], anomaly[key], "{key}");
        }
    }
    assert_eq!(number(&first, "steps"), number(&again, "steps"));
}

#[test]
fn under_a_lock_nothing_is_lost() {
    let place = place(LOCKED);
    let three = ["python3 agent.py A", "python3 agent.py B", "python3 agent.py C"];
    for (commands, orders) in [(&three[..2], 2), (&three[..], 6)] {
        let report = place.explore(0, commands, &["--dir", "work"]);
        assert_eq!((&report["verdict"], &report["exhaustive"]), (&"clean".into(), &true.into()));
        let counts = ["executions", "complete", "blocked", "redundant"].map(|key| number(&report, key));
        assert_eq!(counts, [orders, orders, 0, 0], "{} processes", commands.len());
        assert_eq!(report["anomalies"], Value::Array(Vec::new()));
    }
    assert_eq!(place.names(), ["work".to_owned()].into(), "nothing is written where nothing is found");
}

#[test]
fn two_locks_in_opposite_orders_are_a_deadlock() {
    let place = place(TWO_LOCKS);
    let commands = ["python3 agent.py a.lock b.lock", "python3 agent.py b.lock a.lock"];
    let report = place.explore(1, &commands, &["--dir", "work", "--all"]);
    let counts = ["executions", "complete", "blocked", "redundant"].map(|key| number(&report, key));
    assert_eq!((counts, kinds(&report)), ([3, 2, 1, 0], vec!["deadlock"]));
    assert_eq!(report["exhaustive"], true);
    let anomaly = &report["anomalies"][0];
    assert_eq!(anomaly["files"], Value::from(["a.lock", "b.lock"].as_slice()));
    assert_eq!(anomaly["processes"], Value::from(["A", "B"].as_slice()));
    let summary = anomaly["summary"].as_str().expect("a sentence");
    for part in ["A", "B", "a.lock", "b.lock"] {
        assert!(summary.contains(part), "{summary}");
    }
    let witness = anomaly["witness"].as_str().expect("a path");
    let replayed = place.cooks(&["replay", witness, "--quiet", "--format", "json"]).json(1);
    assert_eq!((kinds(&replayed), number(&replayed, "blocked")), (vec!["deadlock"], 1));
    assert_eq!(replayed["anomalies"][0]["summary"], anomaly["summary"]);
}

const COUNTER: &str = "read x < n; echo $((x+1)) > n";

/// One execution of each class finds what all schedules find.
#[test]
fn strategies_agree() {
    let place = Place::with(&[("work/n", "0\n")]);
    let commands = ["echo x > n", "echo y > n"];
    let dpor = place.explore(0, &commands, &["--dir", "work"]);
    let dfs = place.explore(0, &commands, &["--dir", "work", "--strategy", "dfs"]);
    assert_eq!((&dpor["exhaustive"], &dfs["exhaustive"]), (&true.into(), &true.into()));
    assert_eq!(dpor["distinct_outcomes"], dfs["distinct_outcomes"]);
    // Each empties the file and writes it: 4! / (2! 2!) orders of what conflicts.
    assert_eq!((number(&dpor, "executions"), number(&dpor, "redundant")), (6, 0));
    let steps = number(&dfs, "steps") / number(&dfs, "executions") / 2;
    assert_eq!(number(&dfs, "executions") as f64, schedules(steps), "{steps} steps each");
    let random = ["--dir", "work", "--strategy", "random", "--seed", "7", "--max-executions", "9"];
    let random = place.explore(3, &commands, &random);
    assert_eq!((&random["exhaustive"], &random["seed"]), (&false.into(), &7.into()));
    assert_eq!(number(&random, "executions"), 9);
}

/// The schedule of a witness: who was chosen at each step.
fn schedule(place: &Place, report: &Value) -> Vec<String> {
    let witness = report["anomalies"][0]["witness"].as_str().expect("a path");
    let text = fs::read_to_string(place.path(witness)).expect("the witness is there");
    let witness: Value = serde_json::from_str(&text).expect("JSON");
    let steps = witness["schedule"].as_array().expect("a list");
    steps.iter().map(|step| step["choice"].as_str().expect("a process").to_owned()).collect()
}

#[test]
fn two_runs_and_two_orders_find_the_same() {
    let place = Place::with(&[("work/n", "0\n")]);
    let [a, b] = [format!("{COUNTER} # one"), format!("{COUNTER} # two")];
    let mut found = Vec::new();
    for (number, commands) in [[&a, &b], [&a, &b], [&b, &a]].iter().enumerate() {
        let output = format!("out{number}");
        let options = ["--dir", "work", "--all", "--output", &output];
        let report = place.explore(1, &commands.map(String::as_str), &options);
        let witness = fs::read(place.path(&format!("{output}/work-1-lost-update.json"))).expect("a witness");
        let mut counts = report.clone();
        // The other order is another exploration.
        for key in ["elapsed_s", "anomalies", "commands", "subject"] {
            counts[key].take();
        }
        found.push((counts, schedule(&place, &report), witness));
    }
    assert_eq!(found[0], found[1], "two runs: the same counts, schedule, and witness, byte for byte");
    assert_eq!(
        (&found[0].0, &found[0].1),
        (&found[2].0, &found[2].1),
        "two orders: the same counts and schedule"
    );
}
