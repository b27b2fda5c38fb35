//! Nothing found is lost: whatever stops an exploration or its output, each anomaly is on disk or printed, and nothing is left behind.

use std::fs::File;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::stopping::{marker, wait_for};
use crate::support::{Place, Run, kinds, processes};

/// Loses an update; found in one of the first executions.
const LOSES: &str = "n=$(cat n); echo $((n + 1)) > n";

fn counted(scenario: &str) -> Place {
    Place::with(&[("w/n", "0"), ("s/1/scenario.toml", &loses(scenario)), ("s/1/workspace/n", "0")])
}

fn loses(more: &str) -> String {
    format!("{more}\n[[process]]\ncommand = \"{LOSES}\"\n[[process]]\ncommand = \"{LOSES}\"\n")
}

/// A search that finds a lost update at once, and goes on for very long.
fn endless(marker: &str, format: &str) -> Vec<String> {
    let mut words = vec!["explore".to_owned(), "--dir".into(), "w".into(), "--all".into()];
    words.extend(["--format".to_owned(), format.to_owned()]);
    for _ in 0..4 {
        words.extend(["-p".to_owned(), format!(": {marker}; {LOSES}; {LOSES}")]);
    }
    words
}

/// Starts it, and sends the signal as soon as a witness is on disk.
fn interrupted(signal: Signal, format: &str) -> (Run, Place) {
    let marker = marker(&format!("lost-{}-{format}", signal.as_str()));
    let place = counted("");
    let words = endless(&marker, format);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = place.command(&words);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cooks can be run");
    wait_for("a witness", || {
        let entries = std::fs::read_dir(place.path("cooks-output")).ok()?;
        let is_witness = |name: &str| name.ends_with(".json");
        entries.flatten().any(|entry| is_witness(&entry.file_name().to_string_lossy())).then_some(())
    });
    kill(Pid::from_raw(child.id().cast_signed()), signal).expect("it runs");
    let run = Run::of(child.wait_with_output().expect("it ends"));
    assert_eq!(processes(&marker), [], "a process is left");
    (run, place)
}

#[test]
fn a_signal_after_an_anomaly_leaves_the_report_and_the_witness() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let (run, place) = interrupted(signal, "json");
        let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
        assert_eq!(
            (run.code, &report["ended_by"]),
            (Some(1), &"interrupted".into()),
            "{signal}: {}",
            run.stderr
        );
        assert_eq!(report["verdict"], "anomaly");
        assert!(kinds(&report).contains(&"lost-update"), "{signal}: {report}");
        let witness = report["anomalies"][0]["witness"].as_str().expect("a witness").to_owned();
        assert_eq!(place.cooks(&["replay", "--quiet", &witness]).code, Some(1), "{signal}");
    }
}

#[test]
fn each_format_has_what_was_found_before_an_interruption() {
    for (format, shows) in [("human", "lost-update"), ("junit", "<failure"), ("github", "::error")] {
        let (run, _) = interrupted(Signal::SIGTERM, format);
        assert_eq!(run.code, Some(1), "{format}: {}", run.stderr);
        assert!(run.stdout.contains(shows), "{format}: {}", run.stdout);
    }
}

/// Of a suite, the scenarios that were over are reported.
#[test]
fn a_suite_that_is_interrupted_reports_what_was_over() {
    let marker = marker("lost-suite");
    let slow = format!("[[process]]\ncommand = \": {marker}; while :; do :; done\"\n").repeat(2);
    let place = counted("name = \"quick\"");
    std::fs::create_dir_all(place.path("s/2")).expect("a folder");
    std::fs::write(place.path("s/2/scenario.toml"), slow).expect("a file");
    let mut command = place.command(&["run", "s", "--format", "junit"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cooks can be run");
    wait_for("the second scenario", || (!processes(&marker).is_empty()).then_some(()));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("it runs");
    let run = Run::of(child.wait_with_output().expect("it ends"));
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stdout.contains("name=\"quick\"") && run.stdout.contains("lost-update"), "{}", run.stdout);
    assert_eq!(processes(&marker), []);
}

fn explore<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["explore", "--dir", "w", "-p", LOSES, "-p", LOSES][..], more].concat()
}

/// A file stands where the folder for witnesses should be.
#[test]
fn a_folder_that_cannot_be_written_costs_the_witness_alone() {
    let place = counted("");
    let run = place.cooks(&explore(&["--output", "w/n"]));
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("anomaly: lost-update"), "{}", run.stdout);
    assert!(
        run.stderr.contains("no witness of anomaly 1: w/n/w-1-lost-update.json: cannot be written"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_full_disk_behind_standard_output_leaves_the_witness() {
    let place = counted("");
    let mut command = place.command(&explore(&[]));
    let full = File::options().write(true).open("/dev/full").expect("it is there");
    let run = Run::of(command.stdout(full).stderr(Stdio::piped()).output().expect("cooks can be run"));
    assert_eq!(run.code, Some(6));
    let witness = "cooks-output/w-1-lost-update.json";
    assert!(run.stderr.contains(&format!("an anomaly was found: cooks replay {witness}")), "{}", run.stderr);
    assert!(place.path(witness).is_file());
}

#[test]
fn a_closed_pipe_changes_neither_the_exit_code_nor_the_witness() {
    let place = counted("");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = place.command(&explore(&[]));
    let run = Run::of(command.stdout(writer).stderr(Stdio::piped()).output().expect("cooks can be run"));
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    assert!(place.path("cooks-output/w-1-lost-update.json").is_file());
}

#[test]
fn a_second_run_does_not_write_over_the_witness_of_the_first() {
    let place = counted("");
    place.cooks(&explore(&[]));
    let first = std::fs::read(place.path("cooks-output/w-1-lost-update.json")).expect("a witness");
    // The same again is the same file; another one is another file.
    place.cooks(&explore(&[]));
    assert!(!place.path("cooks-output/w-1-lost-update.2.json").exists());
    std::fs::write(place.path("w/n"), "7").expect("a file");
    let run = place.cooks(&explore(&[]));
    assert!(
        run.stdout.ends_with("replay: cooks replay cooks-output/w-1-lost-update.2.json\n"),
        "{}",
        run.stdout
    );
    assert_eq!(std::fs::read(place.path("cooks-output/w-1-lost-update.json")).expect("a witness"), first);
}

/// One scenario of several is no scenario: the others are run.
#[test]
fn a_bad_scenario_costs_that_one() {
    let place = counted("name = \"quick\"");
    std::fs::create_dir_all(place.path("s/2")).expect("a folder");
    std::fs::write(place.path("s/2/scenario.toml"), "nonsense = 1\n").expect("a file");
    let run = place.cooks(&["run", "s", "--format", "json"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let scenarios = report["scenarios"].as_array().expect("a list");
    assert!(
        scenarios.iter().any(|one| one["scenario"] == "quick" && one["verdict"] == "anomaly"),
        "{report}"
    );
    let error = scenarios.iter().find_map(|one| one["error"].as_str()).expect("an error");
    assert!(error.contains("unknown key `nonsense`"), "{error}");
}
