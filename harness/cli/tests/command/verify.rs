//! `--verify N`: executions that are run twice, and the canaries that must be caught by it.

use crate::support::{Place, number};

/// A command that depends on a file outside of the workspace, which keeps what every execution adds to it. What it learns is gone
/// from the workspace in the end, so that no outcome tells of it.
fn remembers(place: &Place, then: &str) -> String {
    let outside = place.path("outside").display().to_string();
    format!("echo x >> {outside}; n=$(wc -l < {outside}); {then}")
}

/// Explores a canary beside another process, with every Nth execution run twice.
#[track_caller]
fn caught(then: &str, other: &str, verify: &str, said: &str) {
    let place = Place::with(&[]);
    let command = remembers(&place, then);
    let run = place.cooks(&["explore", "--verify", verify, "-p", &command, "-p", other, "--format", "json"]);
    run.refuses(
        5,
        &format!("cooks: the execution does not repeat: divergence at {said}; leave out by --ignore"),
    );
}

/// Two serial runs come first; then the execution, and the same once more.
#[test]
fn other_bytes_are_caught_though_the_outcome_is_the_same() {
    let hidden = "echo $n > f; rm f";
    let place = Place::with(&[]);
    place.explore(0, &[&remembers(&place, hidden), "true"], &[]);
    let said = "step 2: the bytes of A: write f: 2 bytes: recorded \"3\\n\"; now \"4\\n\"";
    caught(hidden, "true", "1", said);
}

#[test]
fn other_steps_are_caught() {
    let odd = "[ $((n % 2)) = 0 ] && : > f; rm -f f";
    let said = "step 3: the event: recorded A: look at f: no such file (child 2); now A: create f";
    caught(odd, "true", "1", said);
}

#[test]
fn another_outcome_is_caught() {
    let said = "the end: what A prints: recorded \"0\\n\"; now \"1\\n\"";
    caught("echo $((n / 4))", "true", "1", said);
}

/// Of two executions the second alone is run twice: the fifth run, after two in serial orders, and the sixth.
#[test]
fn executions_between_are_run_once() {
    let said = "step 2: the bytes of A: write f: 2 bytes: recorded \"4\\n\"; now \"5\\n\"";
    caught("echo $n > f; rm f; : >> log", ": >> log", "2", said);
}

#[test]
fn what_repeats_gives_the_same_report() {
    let place = Place::with(&[("f", "0\n"), ("s/scenario.toml", SCENARIO)]);
    let commands = ["read x < f; echo $((x+1)) > f"; 2];
    let reports: Vec<_> = [&[][..], &["--verify", "1"], &["--verify", "3"]]
        .into_iter()
        .map(|options| {
            let options = [&["--setup", "echo 0 > f", "--all"], options].concat();
            let report = place.explore(1, &commands, &options);
            ["executions", "complete", "distinct_outcomes", "steps"].map(|key| number(&report, key))
        })
        .collect();
    assert_eq!((reports[0], reports[1]), (reports[1], reports[2]));
    place.cooks(&["run", "s", "--format", "json"]).json(0);
    place.cooks(&["run", "s", "--verify", "0"]).refuses(2, "`verify` is 0: leave it out");
}

const SCENARIO: &str = r#"
setup = "echo 0 > f"
verify = 1
[[process]]
command = "read x < f; echo $((x+1)) > f"
[[process]]
command = "cat f"
[expect]
verdict = "anomaly"
"#;
