//! Scenarios that are run together: a user's own folder of them, side by side, in shards; and a new one to begin with.

use std::fs;

use serde_json::Value;

use crate::support::{Place, Run, number};

const UNLOCKED: &str = "read n < count; echo $((n + 1)) > count";
const LOCKED: &str = "flock lock sh -c 'read n < count; echo $((n + 1)) > count'";

/// The script for continuous integration.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/suite");

/// A scenario of two processes that run this, with these keys, of which this is expected.
fn scenario(command: &str, keys: &str, expect: &str) -> String {
    let process = format!("[[process]]\ncommand = \"{command}\"\n");
    format!("{keys}\n{process}{process}{expect}\n")
}

const CLEAN: &str = "[expect]\nverdict = \"clean\"";
const LOST: &str = "[expect]\nverdict = \"anomaly\"\nkinds = [\"lost-update\"]";
const OPEN: &str = "[expect]\nverdict = \"inconclusive\"";

/// A folder with four scenarios, two of which cannot be split into shards.
fn place(more: &[(&str, &str)]) -> Place {
    let at_random = "strategy = \"pos\"\nseed = 1\nmax-executions = 20";
    let scenarios = [
        ("s/locked", scenario(LOCKED, "", CLEAN)),
        ("s/deep/lost", scenario(UNLOCKED, "all = true", LOST)),
        ("s/random", scenario(LOCKED, at_random, OPEN)),
        ("s/bounded", scenario(LOCKED, "preemptions = 0", OPEN)),
    ];
    let mut files: Vec<(String, &str)> = Vec::new();
    for (folder, text) in &scenarios {
        files.push((format!("{folder}/scenario.toml"), text));
        files.push((format!("{folder}/workspace/count"), "0\n"));
        files.push((format!("{folder}/workspace/lock"), ""));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    Place::with(&[&files, more].concat())
}

/// A result without what depends on the time, and on where witnesses are.
fn without_time(text: &str) -> Value {
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("\"elapsed_s\"")).collect();
    serde_json::from_str(&lines.join("\n")).expect("one JSON object")
}

fn names(result: &Value) -> Vec<&str> {
    let scenarios = result["scenarios"].as_array().expect("a list");
    scenarios.iter().map(|scenario| scenario["scenario"].as_str().expect("a name")).collect()
}

#[test]
fn a_folder_of_scenarios_comes_to_the_same_by_however_many_jobs() {
    let place = place(&[]);
    let run = |jobs: &str| place.cooks(&["run", "s", "--format", "json", "--jobs", jobs]);
    let one = run("1");
    assert_eq!((one.code, one.stderr.as_str()), (Some(0), ""));
    let result = without_time(&one.stdout);
    assert_eq!(names(&result), ["bounded", "lost", "locked", "random", "canary"]);
    let scenarios = result["scenarios"].as_array().expect("a list");
    assert!(scenarios.iter().all(|scenario| scenario["as_expected"] == true), "{result}");
    for jobs in ["2", "5", "9"] {
        assert_eq!(without_time(&run(jobs).stdout), result, "{jobs} jobs");
    }
    let table = place.cooks(&["run", "s", "--jobs", "3"]);
    let marks: Vec<&str> = table.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(marks, ["scenario", "ok", "ok", "ok", "ok", "ok", "5"], "{}", table.stdout);
    assert!(table.stdout.lines().all(|line| line.chars().count() <= 80), "{}", table.stdout);
}

/// What differs, and what comes to nothing, is told; all others are run.
#[test]
fn one_that_is_not_as_expected_does_not_hide_the_others() {
    let place = place(&[
        ("s/wrong/scenario.toml", &scenario(UNLOCKED, "", CLEAN)),
        ("s/wrong/workspace/count", "0\n"),
    ]);
    let run = place.cooks(&["run", "s"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("\n       the verdict is anomaly, expected clean\n"), "{}", run.stdout);
    assert!(run.stdout.starts_with("== wrong ==\n"), "what is not as expected is told in full");
    let last = run.stdout.lines().last().expect("lines");
    assert!(last.starts_with("6 scenarios, 1 not as expected: wrong ("), "{last}");

    fs::create_dir(place.path("s/broken")).expect("a folder can be made");
    let broken = scenario(LOCKED, "setup = \"echo no luck >&2; false\"", CLEAN);
    fs::write(place.path("s/broken/scenario.toml"), broken).expect("a file can be written");
    let result = place.cooks(&["run", "s", "--format", "json", "--jobs", "2"]);
    let object: Value = serde_json::from_str(&result.stdout).expect("one JSON object");
    assert_eq!((result.code, names(&object).len()), (Some(2), 7));
    let broken = &object["scenarios"][1];
    assert_eq!((&broken["scenario"], &broken["as_expected"]), (&"broken".into(), &false.into()));
    assert!(broken["error"].as_str().is_some_and(|error| error.contains("no luck")), "{broken}");
    let xml = place.cooks(&["run", "s", "--format", "junit"]).stdout;
    assert!(xml.contains("tests=\"7\" failures=\"1\" errors=\"1\" skipped=\"0\""), "{xml}");
}

/// Where a scenario does not say what it expects, it expects that nothing is found.
#[test]
fn what_is_found_must_be_expected() {
    let place = place(&[("one/scenario.toml", &scenario(UNLOCKED, "", "")), ("one/workspace/count", "0\n")]);
    assert_eq!(place.cooks(&["run", "one"]).code, Some(1));
    let both = place.cooks(&["run", "one", "canary"]);
    assert_eq!(both.code, Some(1));
    assert!(both.stdout.contains("an anomaly was found, and no `[expect]` says"), "{}", both.stdout);
}

#[test]
fn a_suite_that_has_the_canary_itself_gets_no_second_one() {
    let catalogue = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/catalogue");
    let place = Place::with(&[]);
    let copy = |name: &str| {
        let (from, to) = (format!("{catalogue}/{name}"), place.path(&format!("own/{name}")));
        fs::create_dir_all(place.path("own")).expect("a folder can be made");
        let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status();
        assert!(copied.is_ok_and(|status| status.success()));
    };
    copy("canary");
    copy("agent-ab-native");
    let result = place.cooks(&["run", "own", "--format", "json"]).json(0);
    assert_eq!(names(&result), ["agent-ab-native", "canary"]);
}

#[test]
fn the_canary_is_in_every_suite() {
    assert!(cooks_scenarios::names().any(|name| name == cooks_scenarios::CANARY));
    let place = place(&[]);
    // A search that finds nothing is told by it, whatever else is in the suite.
    let blind = place.cooks(&["run", "s", "--max-executions", "1", "--format", "json"]);
    let object: Value = serde_json::from_str(&blind.stdout).expect("one JSON object");
    let canary = object["scenarios"].as_array().and_then(|list| list.last()).expect("a list");
    assert_eq!((blind.code, &canary["scenario"]), (Some(1), &"canary".into()));
    assert_eq!((&canary["as_expected"], number(canary, "executions")), (&false.into(), 1));
}

/// Scenarios that cannot be split are whole in one of the shards, and all together are what they are in one piece.
#[test]
fn shards_of_a_suite_are_joined() {
    let place = place(&[]);
    let whole = without_time(&place.cooks(&["run", "s", "--format", "json"]).stdout);
    let mut files = Vec::new();
    let mut seen = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let run = place.cooks(&["run", "s", "--format", "json", "--shard", shard, "--jobs", "2"]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
        let object: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
        assert_eq!((&object["shard"], &object["names"][4]), (&shard.into(), &"canary".into()));
        seen.push(names(&object).join(" "));
        files.push(format!("{}.json", seen.len()));
        fs::write(place.path(&files[seen.len() - 1]), run.stdout).expect("a file can be written");
    }
    assert_eq!(seen, ["bounded lost locked canary", "lost locked random canary", "lost locked canary"]);
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let merged = place.cooks(&[&["merge", "--format", "json"], files.as_slice()].concat());
    assert_eq!((merged.code, merged.stderr.as_str()), (Some(0), ""), "{}", merged.stdout);
    let merged = without_time(&merged.stdout);
    assert_eq!(names(&merged), names(&whole));
    let same = ["verdict", "exhaustive", "complete", "covered", "outcomes", "equivalence", "as_expected"];
    for (merged, whole) in merged["scenarios"]
        .as_array()
        .into_iter()
        .flatten()
        .zip(whole["scenarios"].as_array().expect("a list"))
    {
        if whole["scenario"] == "random" || whole["scenario"] == "bounded" {
            assert_eq!(merged, whole, "what is whole is as it was");
        }
        for key in same.into_iter().filter(|key| *key != "covered") {
            assert_eq!(merged[key], whole[key], "{key} of {}", whole["scenario"]);
        }
    }
    place.cooks(&["merge", "1.json", "3.json"]).refuses(2, "not all shards are there: 2/3");
    place.cooks(&["merge", "1.json", "2.json", "2.json"]).refuses(2, "shard 2/3 again");
    let other = place.cooks(&["run", "canary", "s/random", "--format", "json", "--shard", "2/3"]);
    fs::write(place.path("other.json"), other.stdout).expect("a file can be written");
    place.cooks(&["merge", "1.json", "other.json"]).refuses(2, "another list of scenarios");
    // One that is alone, and cannot be split, is in the first.
    let alone = place.cooks(&["run", "s/random", "--format", "json", "--shard", "2/2"]).json(0);
    assert_eq!(names(&alone), Vec::<&str>::new());
}

/// What is on standard error, but for whose commands are run again.
fn complaints(run: &Run) -> Vec<&str> {
    let notice = ["  A: ", "  B: ", "They run with your rights"];
    let is_notice = |line: &str| {
        line.contains(" was recorded by cooks ") || notice.iter().any(|start| line.starts_with(start))
    };
    run.stderr.lines().filter(|line| !is_notice(line)).collect()
}

/// The script for continuous integration: in one piece, and in shards that are joined.
#[test]
fn the_script_tells_what_a_suite_comes_to() {
    let wrong = scenario(UNLOCKED, "all = true", CLEAN);
    for (more, code) in
        [(&[][..], 0), (&[("s/wrong/scenario.toml", wrong.as_str()), ("s/wrong/workspace/count", "0\n")], 1)]
    {
        let place = place(more);
        let run = |arguments: &[&str], shard: &str| {
            let mut command = place.program(SCRIPT.as_ref(), arguments);
            command.env("COOKS", env!("CARGO_BIN_EXE_cooks")).env("JOBS", "2").env("SHARD", shard);
            Run::of(command.env_remove("GITHUB_ACTIONS").output().expect("the script can be run"))
        };
        for shard in ["1/2", "2/2"] {
            let part = run(&["s"], shard);
            assert_eq!((part.code == Some(0) || part.code == Some(code), part.stderr.as_str()), (true, ""));
        }
        let joined = run(&["--join"], "1/1");
        assert_eq!((joined.code, complaints(&joined)), (Some(code), vec![]), "{}", joined.stdout);
        fs::remove_dir_all(place.path("cooks-results")).expect("there are results");
        let whole = run(&["s"], "1/1");
        assert_eq!((whole.code, complaints(&whole)), (Some(code), vec![]), "{}", whole.stdout);
        for run in [&joined, &whole] {
            let rows = run.stdout.lines().filter(|line| line.starts_with("ok ") || line.starts_with("FAIL "));
            assert_eq!(rows.count(), 5 + more.len() / 2, "{}", run.stdout);
            // What is not as expected is shown as it happened.
            let timeline = run.stdout.contains("\n  every serial order  ");
            assert_eq!(
                (timeline, run.stdout.contains("== wrong ==")),
                (code == 1, code == 1),
                "{}",
                run.stdout
            );
        }
        let xml = fs::read_to_string(place.path("cooks-results/junit.xml")).expect("a file");
        assert_eq!(xml.matches("<testcase").count(), 5 + more.len() / 2);
    }
}

/// What a folder comes to that has one scenario that cannot be run: by one command, from all shards, and by the script.
#[test]
fn a_scenario_that_cannot_be_run_gives_its_exit_code_everywhere() {
    for (broken, code) in [("colour = 1", 2), ("setup = \"exit 3\"", 2)] {
        let more = [("s/broken/scenario.toml", scenario(LOCKED, broken, CLEAN))];
        let place = place(&more.each_ref().map(|(path, text)| (*path, text.as_str())));
        assert_eq!(place.cooks(&["run", "s"]).code, Some(code), "{broken}");
        let mut files = Vec::new();
        for shard in ["1/2", "2/2"] {
            let part = place.cooks(&["run", "s", "--format", "json", "--shard", shard]);
            assert!([Some(0), Some(code)].contains(&part.code), "{broken}: {}", part.stderr);
            files.push(format!("{}.json", files.len()));
            fs::write(place.path(&files[files.len() - 1]), part.stdout).expect("a file can be written");
        }
        assert_eq!(place.cooks(&["merge", &files[0], &files[1]]).code, Some(code), "{broken}");
        let suite = |arguments: &[&str], shard: &str| {
            let mut command = place.program(SCRIPT.as_ref(), arguments);
            command.env("COOKS", env!("CARGO_BIN_EXE_cooks")).env("SHARD", shard);
            Run::of(command.env_remove("GITHUB_ACTIONS").output().expect("the script can be run")).code
        };
        assert_eq!(suite(&["s"], "1/1"), Some(code), "{broken}");
        let shards = [suite(&["s"], "1/2"), suite(&["s"], "2/2")];
        assert!(shards.iter().all(|part| [Some(0), Some(code)].contains(part)), "{broken}: {shards:?}");
        assert_eq!(suite(&["--join"], "1/1"), Some(code), "{broken}");
    }
}

#[test]
fn what_is_no_suite_is_refused() {
    let place = place(&[("t/locked/scenario.toml", &scenario("true", "", CLEAN)), ("empty/file", "")]);
    place.cooks(&["run", "s", "t"]).refuses(2, "two scenarios are called `locked`");
    place.cooks(&["run", "empty"]).refuses(2, "the folder empty has no scenario.toml");
    place.cooks(&["run", "s", "--explain"]).refuses(2, "scenario bounded: --explain: dpor goes back");
}

#[test]
fn a_new_scenario_runs_at_once_and_writes_over_nothing() {
    let place = Place::with(&[]);
    let made = place.cooks(&["new", "races/first"]);
    assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""));
    assert_eq!(made.stdout.lines().last(), Some("run it: cooks run races/first"));
    assert_eq!(place.cooks(&["run", "races/first"]).code, Some(0));
    assert_eq!(place.cooks(&["run", "races"]).code, Some(0));
    let toml = place.path("races/first/scenario.toml");
    let text = fs::read_to_string(&toml).expect("a file");
    place.cooks(&["new", "races/first"]).refuses(2, "races/first is there already");
    assert_eq!(fs::read_to_string(&toml).expect("a file"), text);
    // As its comments say: with the lock it is clean, and held to that.
    let mended = text.replace("command = \"sh count.sh\"", "command = \"flock count.sh sh count.sh\"");
    let mended = mended.replace("verdict = \"anomaly\"\nkinds = [\"lost-update\"]", "verdict = \"clean\"");
    assert_ne!(mended, text);
    fs::write(&toml, mended).expect("a file can be written");
    assert_eq!(place.cooks(&["run", "races/first"]).code, Some(0));
    // The catalogue's own name is that of the catalogue.
    let canary = place.cooks(&["new", "canary"]);
    assert_eq!(canary.stdout.lines().last(), Some("run it: cooks run ./canary"));
    assert_eq!(place.cooks(&["run", "./canary"]).code, Some(0));
}
