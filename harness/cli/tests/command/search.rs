//! How far a search goes, by chance and by bounds; why it ended; and how simple the schedules are that it reports.

use serde_json::Value;

use crate::support::{Place, Run, kinds, number};

const COUNTER: &str = "read x < n; echo $((x+1)) > n";

fn place() -> Place {
    Place::with(&[("work/n", "0\n")])
}

/// All but the time that it took.
fn timeless(mut report: Value) -> Value {
    report["elapsed_s"].take();
    report
}

fn word<'r>(report: &'r Value, key: &str) -> &'r str {
    report[key].as_str().unwrap_or_default()
}

#[test]
fn each_strategy_by_chance_finds_it_and_the_same_for_the_same_seed() {
    let place = place();
    for strategy in ["random", "pct", "pos"] {
        let options =
            ["--dir", "work", "--strategy", strategy, "--seed", "7", "--all", "--max-executions", "40"];
        let once = || timeless(place.explore(1, &[COUNTER, COUNTER], &options));
        let report = once();
        assert_eq!(report, once(), "{strategy}");
        assert_eq!((word(&report, "strategy"), number(&report, "seed")), (strategy, 7));
        assert_eq!((number(&report, "executions"), &report["exhaustive"]), (40, &false.into()), "{strategy}");
        assert_eq!(word(&report, "ended_by"), "max-executions", "{strategy}");
        let covered = word(&report, "covered");
        assert!(covered.starts_with(&format!("40 executions by chance ({strategy}, seed 7)")), "{covered}");
        assert_eq!(
            covered.contains("a given bug of depth 3 with a chance of at least 1 in "),
            strategy == "pct"
        );
        // What reads a file that is being written may come to the same outcome: then what is found first is told.
        assert!(["lost-update", "non-serializable"].contains(&kinds(&report)[0]), "{strategy}");
    }
}

/// Also where it was drawn: it is the only way to the same executions again.
#[test]
fn the_seed_is_told_in_every_format() {
    let place = Place::with(&[]);
    for strategy in ["random", "pct", "pos"] {
        for (format, told) in [
            ("human", format!("({strategy}, seed 1234)")),
            ("json", "\"seed\": 1234".to_owned()),
            ("junit", "<property name=\"seed\" value=\"1234\"/>".to_owned()),
            ("github", format!("({strategy}, seed 1234)")),
        ] {
            let run = place.cooks(&[
                "explore",
                "-p",
                "true",
                "-p",
                "true",
                "--strategy",
                strategy,
                "--seed",
                "1234",
                "--max-executions",
                "2",
                "--format",
                format,
            ]);
            assert_eq!((run.code, run.stderr.as_str()), (Some(3), ""), "{format}");
            let text = run.stdout.replace("\n  ", " ");
            assert!(text.contains(&told), "{format}: {}", run.stdout);
        }
    }
    let drawn = place.explore(3, &["true", "true"], &["--strategy", "pos", "--max-executions", "2"]);
    assert!(drawn["seed"].is_u64());
}

#[test]
fn a_bound_of_preemptions_says_what_it_covers() {
    let place = place();
    let bounded = |code, bound, more: &[&str]| {
        let options = [&["--dir", "work", "--preemptions", bound, "--all"], more].concat();
        place.explore(code, &[COUNTER, COUNTER], &options)
    };
    let none = bounded(3, "0", &[]);
    let executions = number(&none, "executions");
    assert_eq!((word(&none, "verdict"), word(&none, "ended_by")), ("inconclusive", "preemptions"));
    let covered = format!("all schedules with at most 0 preemptions: {executions} executions");
    assert_eq!((word(&none, "covered"), executions), (covered.as_str(), 2));
    let one = bounded(1, "1", &[]);
    assert_eq!(word(&one, "ended_by"), "preemptions");
    assert!(kinds(&one).contains(&"lost-update"), "{:?}", kinds(&one));
    let all_of_them = bounded(1, "1", &["--strategy", "dfs"]);
    assert_eq!(one["distinct_outcomes"], all_of_them["distinct_outcomes"]);
    assert!(number(&one, "executions") < number(&all_of_them, "executions"));
    let human =
        place.cooks(&["explore", "-p", "echo x > n", "-p", "cat n", "--dir", "work", "--preemptions", "0"]);
    assert_eq!(human.code, Some(3), "{}", human.stderr);
    let text = human.stdout.replace("\n  ", " ");
    assert!(
        text.starts_with("inconclusive: ") && text.contains("only all schedules with at most 0 preemptions"),
        "{text}"
    );
}

/// A bound that keeps nothing out is none: everything was tried.
#[test]
fn a_bound_that_is_not_reached_leaves_it_clean() {
    let place = place();
    let commands = ["echo x > n", "echo y > n"];
    let bounded = place.explore(0, &commands, &["--dir", "work", "--preemptions", "50"]);
    assert_eq!((word(&bounded, "verdict"), word(&bounded, "ended_by")), ("clean", "everything"));
    let all = place.explore(0, &commands, &["--dir", "work"]);
    assert_eq!(bounded["distinct_outcomes"], all["distinct_outcomes"]);
    assert_eq!(
        bounded["covered"],
        format!("every interleaving: {} executions", number(&bounded, "executions"))
    );
}

#[test]
fn what_ended_a_search_is_told_from_the_first_anomaly() {
    let place = place();
    let ended = |code, options: &[&str]| {
        let report = place.explore(code, &[COUNTER, COUNTER], &[&["--dir", "work"], options].concat());
        (word(&report, "verdict").to_owned(), word(&report, "ended_by").to_owned())
    };
    let pair = |verdict: &str, end: &str| (verdict.to_owned(), end.to_owned());
    assert_eq!(ended(1, &[]), pair("anomaly", "anomaly"));
    assert_eq!(ended(1, &["--all"]), pair("anomaly", "everything"));
    assert_eq!(ended(3, &["--max-executions", "1"]), pair("inconclusive", "max-executions"));
    assert_eq!(
        ended(1, &["--all", "--strategy", "dfs", "--max-executions", "400"]),
        pair("anomaly", "max-executions")
    );
    assert_eq!(ended(3, &["--time-limit", "0.000001"]), pair("inconclusive", "time-limit"));
    let depth = ["--strategy", "pct", "--depth", "1", "--seed", "3", "--max-executions", "20"];
    assert_eq!(ended(3, &depth), pair("inconclusive", "max-executions"), "no preemption, nothing lost");
}

/// A polls for what B makes: for ever, where B never has its turn.
#[test]
fn executions_that_were_cut_leave_a_search_open() {
    let polls = ["until [ -e f ]; do :; done", "echo > f"];
    let report = Place::with(&[]).explore(1, &polls, &["--max-steps", "60", "--all"]);
    assert_eq!((word(&report, "ended_by"), &report["exhaustive"]), ("max-steps", &false.into()));
    assert_eq!(kinds(&report), ["livelock"]);
}

/// Whatever the schedule was that showed it: one of the two is interrupted once.
#[test]
fn a_witness_is_as_simple_as_can_be_and_says_what_it_hangs_on() {
    let place = place();
    for seed in ["1", "2", "3"] {
        let options =
            ["--dir", "work", "--strategy", "random", "--seed", seed, "--all", "--max-executions", "40"];
        let report = place.explore(1, &[COUNTER, COUNTER], &options);
        let lost = &report["anomalies"][0];
        assert_eq!((number(lost, "context_switches"), number(lost, "replayed")), (2, 3), "seed {seed}");
        let critical = lost["critical"].as_array().expect("a list");
        let [first, second] = critical.as_slice() else { panic!("two operations: {critical:?}") };
        assert!(number(first, "step") < number(second, "step"), "{critical:?}");
        assert_ne!(first["process"], second["process"], "{critical:?}");
        let operation = |step: &Value| step["operation"].as_str().map(str::to_owned).unwrap_or_default();
        assert!([first, second].iter().all(|step| operation(step).contains(" n")), "{critical:?}");
        let witness = lost["witness"].as_str().expect("a path");
        let replayed = place.cooks(&["replay", witness, "--quiet", "--format", "json"]).json(1);
        assert_eq!(replayed["anomalies"][0]["critical"], lost["critical"]);
        let human: Run = place.cooks(&["replay", witness]);
        assert!(human.stdout.contains("\nIt hangs on step "), "{}", human.stdout);
    }
}

/// Of sixteen, fourteen run at a stretch: one switch to each, and one more for the one that is interrupted.
#[test]
fn among_sixteen_two_are_left_that_interrupt_each_other() {
    let place = Place::with(&[]);
    let report = place.cooks(&["run", "agents-16-native", "--format", "json"]).json(0);
    let found = &report["anomalies"][0];
    assert_eq!((number(found, "context_switches"), number(found, "replayed")), (16, 3));
    assert_eq!(found["processes"].as_array().map(Vec::len), Some(2));
    assert_eq!(found["critical"].as_array().map(Vec::len), Some(2));
}
