//! A search by several jobs, or in shards that are joined, comes to what it comes to in one piece.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Place, number};

const COUNTER: &str = "read x < n; echo $((x+1)) > n";
const WITH_LOCK: &str = "flock lock sh -c 'read x < n; echo $((x+1)) > n'";

fn place() -> Place {
    Place::with(&[("work/n", "0\n"), ("work/lock", "")])
}

/// What must not depend on how a search is cut into parts.
fn sums(report: &Value) -> (u64, u64, Value, Value, Value) {
    let of = |key: &str| report[key].clone();
    (number(report, "complete"), number(report, "blocked"), of("outcomes"), of("verdict"), of("exhaustive"))
}

/// The kinds, files, keys and processes of all that was found, sorted.
fn found(report: &Value) -> Vec<String> {
    let anomalies = report["anomalies"].as_array().expect("a list");
    let identity = |found: &Value| ["kind", "files", "keys", "processes"].map(|key| found[key].clone());
    let mut found: Vec<String> = anomalies.iter().map(|found| format!("{:?}", identity(found))).collect();
    found.sort();
    found
}

/// The kinds and files of all that was found. Each shard tells an anomaly by the simplest schedule that it comes to, so which keys
/// and processes are named may differ.
fn kinds_and_files(report: &Value) -> BTreeSet<String> {
    let anomalies = report["anomalies"].as_array().expect("a list");
    anomalies.iter().map(|found| format!("{} {}", found["kind"], found["files"])).collect()
}

/// Lets every shard do what these arguments ask for, and joins their results.
fn joined(place: &Place, code: i32, arguments: &[&str], shards: u32) -> Value {
    let files: Vec<String> = (1..=shards).map(|shard| format!("shard-{shard}.json")).collect();
    for (shard, file) in (1..).zip(&files) {
        let shard = format!("{shard}/{shards}");
        let run = place.cooks(&[arguments, &["--format", "json", "--shard", shard.as_str()]].concat());
        assert!(run.code == Some(0) || run.code == Some(code), "{}", run.stderr);
        std::fs::write(place.path(file), &run.stdout).expect("a file can be written");
    }
    let mut merge = vec!["merge", "--format", "json"];
    merge.extend(files.iter().rev().map(String::as_str));
    place.cooks(&merge).json(code)
}

/// Explores these commands in so many shards, and joins their results.
fn in_shards(place: &Place, code: i32, commands: &[&str], options: &[&str], shards: u32) -> Value {
    let processes: Vec<&str> = commands.iter().flat_map(|command| ["-p", command]).collect();
    joined(place, code, &[&["explore"], options, &processes].concat(), shards)
}

/// The executions of a shard, or of all, add up, and none is redundant.
#[track_caller]
fn adds_up(report: &Value) {
    let sum: u64 = ["complete", "blocked", "elsewhere"].iter().map(|key| number(report, key)).sum();
    assert_eq!((number(report, "redundant"), number(report, "executions")), (0, sum));
}

#[test]
fn shards_come_to_what_the_whole_comes_to() {
    for (commands, code) in [(&[COUNTER, COUNTER][..], 1), (&[WITH_LOCK; 2], 0), (&[WITH_LOCK, COUNTER], 1)] {
        let options = ["--dir", "work", "--all"];
        let whole = place().explore(code, commands, &options);
        assert_eq!((number(&whole, "redundant"), number(&whole, "elsewhere")), (0, 0));
        for jobs in ["1", "2"] {
            let place = place();
            let merged = in_shards(&place, code, commands, &[&options[..], &["--jobs", jobs]].concat(), 3);
            assert_eq!((sums(&merged), found(&merged)), (sums(&whole), found(&whole)), "{jobs} jobs");
            assert_eq!(merged["distinct_outcomes"], whole["distinct_outcomes"]);
            adds_up(&merged);
        }
    }
}

/// A run of scenarios in shards is held to what is expected when they are joined.
#[test]
fn scenarios_are_joined_by_name_and_held_to_what_is_expected() {
    let place = place();
    for scenarios in [&["agent-ab-native"][..], &["agent-ab-native", "agent-abc-native"]] {
        let whole = place.cooks(&[&["run", "--format", "json"], scenarios].concat()).json(0);
        let merged = joined(&place, 0, &[&["run"], scenarios].concat(), 2);
        let list = |report: &Value| report["scenarios"].as_array().cloned().unwrap_or(vec![report.clone()]);
        assert_eq!(list(&merged).len(), scenarios.len());
        for (merged, whole) in list(&merged).iter().zip(&list(&whole)) {
            assert_eq!((sums(merged), kinds_and_files(merged)), (sums(whole), kinds_and_files(whole)));
            assert_eq!((&merged["scenario"], &merged["as_expected"]), (&whole["scenario"], &true.into()));
            adds_up(merged);
        }
    }
    let shard = std::fs::read_to_string(place.path("shard-1.json")).expect("a file");
    assert!(!shard.contains("as_expected"), "a shard alone is held to nothing");
    place.cooks(&["merge", "shard-1.json"]).refuses(2, "not all shards are there: 2/2");
}

/// With more jobs the report is that of one, byte for byte, but for the time that it took; and so are the witnesses.
#[test]
fn the_result_does_not_depend_on_the_number_of_jobs() {
    let place = place();
    let report = |options: &[&str], jobs: &str| {
        let commands = ["explore", "-p", COUNTER, "-p", WITH_LOCK, "--dir", "work", "--format", "json"];
        let run = place.cooks(&[&commands, options, &["--jobs", jobs]].concat());
        assert_eq!((run.code == Some(1) || run.code == Some(3), run.stderr.as_str()), (true, ""));
        let without_time: Vec<&str> = run.stdout.lines().filter(|line| !line.contains("elapsed_s")).collect();
        assert_eq!(without_time.len() + 1, run.stdout.lines().count());
        let folder = place.path("cooks-output");
        let mut witnesses = Vec::new();
        for file in std::fs::read_dir(&folder).into_iter().flatten() {
            let file = file.expect("an entry").path();
            witnesses.push((file.clone(), std::fs::read(file).expect("a file")));
        }
        witnesses.sort();
        let _ = std::fs::remove_dir_all(folder);
        (without_time.join("\n"), witnesses)
    };
    for options in [
        &["--all"][..],
        &[],
        &["--all", "--max-executions", "3"],
        &["--all", "--strategy", "dfs", "--max-executions", "30"],
        &["--all", "--preemptions", "1"],
        &["--all", "--equivalence", "observed"],
        &["--all", "--strategy", "random", "--seed", "7", "--max-executions", "30"],
        &["--all", "--strategy", "pct", "--seed", "7", "--max-executions", "30"],
        &["--all", "--strategy", "pos", "--seed", "7", "--max-executions", "30"],
        &["--all", "--shard", "1/2"],
    ] {
        let one = report(options, "1");
        for jobs in ["2", "3"] {
            assert!(report(options, jobs) == one, "{options:?}, {jobs} jobs");
        }
    }
}

#[test]
fn what_does_not_belong_together_is_not_joined() {
    let place = place();
    let options = ["--dir", "work", "--all"];
    in_shards(&place, 1, &[COUNTER, COUNTER], &options, 3);
    let whole = place.explore(1, &[COUNTER, COUNTER], &options);
    let shard = |file: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(place.path(file)).expect("a file")).expect("JSON")
    };
    let write = |file: &str, value: &Value| {
        std::fs::write(place.path(file), value.to_string()).expect("a file can be written");
    };
    write("whole.json", &whole);
    let changed = |key: &str, value: Value| {
        let mut changed = shard("shard-3.json");
        changed[key] = value;
        write(&format!("{key}.json"), &changed);
    };
    changed("subject", "0".into());
    changed("cooks", "0.0.0".into());
    changed("shard", "3/4".into());
    changed("format", 99.into());
    write("text.json", &"text".into());
    for (files, message) in [
        (&["shard-1.json", "shard-3.json"][..], "not all shards are there: 2/3"),
        (&["shard-1.json", "shard-2.json", "shard-2.json"], "shard 2/3 again"),
        (&["whole.json"], "this is not the result of a shard"),
        (&["shard-1.json", "subject.json"], "another scenario or workspace"),
        (&["shard-1.json", "cooks.json"], "another version of cooks"),
        (&["shard-1.json", "shard.json"], "another number of shards"),
        (&["format.json"], "format 99 instead of 1"),
        (&["text.json"], "no result of `cooks explore`"),
        (&["missing.json"], "missing.json cannot be read"),
    ] {
        place.cooks(&[&["merge"], files].concat()).refuses(2, message);
    }
    let human = place.cooks(&["merge", "shard-1.json", "shard-2.json", "shard-3.json"]);
    assert_eq!(human.code, Some(1));
    assert!(human.stdout.starts_with("anomaly: lost-update"), "{}", human.stdout);
    assert!(human.stdout.contains("exhaustive") && human.stdout.contains("replay: cooks replay"));
}

/// A planted fault: the shards say that they are exhaustive, and none of them has met what a serial order leaves.
#[test]
fn a_serial_outcome_that_no_shard_met_is_told() {
    let place = place();
    in_shards(&place, 0, &[WITH_LOCK; 2], &["--dir", "work"], 2);
    for file in ["shard-1.json", "shard-2.json"] {
        let text = std::fs::read_to_string(place.path(file)).expect("a file");
        let mut shard: Value = serde_json::from_str(&text).expect("JSON");
        shard["outcomes"] = Value::Array(Vec::new());
        std::fs::write(place.path(file), shard.to_string()).expect("a file can be written");
    }
    let merged = place.cooks(&["merge", "shard-1.json", "shard-2.json"]);
    assert_eq!(merged.code, Some(6), "{}", merged.stdout);
    let said: Vec<&str> = merged.stdout.split_whitespace().collect();
    let said = said.join(" ");
    assert!(said.contains("did not meet what the serial order A, B leaves"), "{said}");
}

#[test]
fn what_cannot_be_split_is_refused() {
    let place = place();
    let two = ["explore", "-p", "true", "-p", "true"];
    for (options, message) in [
        (&["--shard", "0/3"][..], "is no shard"),
        (&["--shard", "4/3"], "is no shard"),
        (&["--shard", "3"], "is no shard"),
        (&["--jobs", "0"], "0 is not in 1..=256"),
        (&["--shard", "1/2", "--preemptions", "2"], "--shard splits the search of dpor"),
        (&["--explain", "--strategy", "pos"], "--explain: pos goes back to no races"),
    ] {
        place.cooks(&[&two[..], options].concat()).refuses(2, message);
    }
}

#[test]
fn each_race_that_the_search_goes_back_to_is_told() {
    let place = place();
    let options = ["explore", "--dir", "work", "--all", "--quiet", "--explain", "-p", COUNTER, "-p", COUNTER];
    let run = place.cooks(&options);
    let whole = place.explore(1, &[COUNTER, COUNTER], &["--dir", "work", "--all"]);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines[0].starts_with("execution 1: back to step "), "{}", lines[0]);
    assert!(lines[0].contains("to be overtaken by step "), "{}", lines[0]);
    // Every execution but the first is one that the search went back for.
    assert_eq!(lines.len() as u64 + 1, number(&whole, "executions"), "{}", run.stderr);
}
