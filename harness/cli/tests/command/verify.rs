//! `--verify N`: executions that are run twice, and the canaries that must be caught by it.

use crate::support::{Place, kinds, number};

/// A command that depends on a file outside of the workspace, which keeps what every execution adds to it. What it learns is gone
/// from the workspace in the end, so that no outcome tells of it.
fn remembers(place: &Place, then: &str) -> String {
    let outside = place.path("outside").display().to_string();
    format!("echo x >> {outside}; n=$(wc -l < {outside}); {then}")
}

/// What a file outside keeps from run to run is a gap of its own: here it is accepted, so that what it does to executions is seen.
const ACCEPTED: &[&str] = &["--accept", "persistent-effect"];

/// Explores a canary beside another process, with every Nth execution run twice: the place of the divergence, both sides, the way out.
#[track_caller]
fn caught(then: &str, other: &str, verify: &str, place_of: &str, [recorded, now]: [&str; 2]) {
    let place = Place::with(&[]);
    let command = remembers(&place, then);
    let run = place.cooks(
        &[&["explore", "--verify", verify, "-p", &command, "-p", other, "--format", "json"], ACCEPTED]
            .concat(),
    );
    run.refuses(
        5,
        &format!("cooks: the execution does not repeat: divergence at {place_of}: recorded {recorded}"),
    );
    for part in [&format!("; now {now}"), "; leave out by --ignore"] {
        assert!(run.stderr.contains(part), "`{part}` is not in: {}", run.stderr);
    }
}

/// Which number each has seen depends on how the processes were begun: only that they are two.
const NUMBERS: [&str; 2] = ["\"", "\""];

#[test]
fn other_bytes_are_caught_though_the_outcome_is_the_same() {
    let hidden = "echo $n > f; rm f";
    let place = Place::with(&[]);
    place.explore(0, &[&remembers(&place, hidden), "true"], ACCEPTED);
    caught(hidden, "true", "1", "step 4: the bytes of A: write f: 2 bytes", NUMBERS);
}

#[test]
fn other_steps_are_caught() {
    let odd = "[ $((n % 2)) = 0 ] && : > f; rm -f f";
    let place = Place::with(&[]);
    let command = remembers(&place, odd);
    let run = place.cooks(&[&["explore", "--verify", "1", "-p", &command, "-p", "true"], ACCEPTED].concat());
    run.refuses(5, ": the event: recorded A: ");
    for side in ["A: look at f: no such file", "A: create f"] {
        assert!(run.stderr.contains(side), "{}", run.stderr);
    }
}

#[test]
fn another_outcome_is_caught() {
    caught("echo $n", "true", "1", "the end: what A prints", NUMBERS);
}

/// Of two executions the second is run twice; of one, none.
#[test]
fn executions_between_are_run_once() {
    let place = Place::with(&[]);
    place.explore(
        0,
        &[&remembers(&place, "echo $n > f; rm f"), "true"],
        &[&["--verify", "2"], ACCEPTED].concat(),
    );
    let both = "echo $n > f; rm f; : >> log";
    caught(both, ": >> log", "2", "step 4: the bytes of A: write f: 2 bytes", NUMBERS);
}

#[test]
fn what_repeats_gives_the_same_report() {
    let place = Place::with(&[("f", "0\n"), ("s/scenario.toml", SCENARIO)]);
    let commands = ["read x < f; echo $((x+1)) > f"; 2];
    let reports: Vec<_> = [(&[][..], None), (&["--verify", "1"], Some(1)), (&["--verify", "3"], Some(3))]
        .into_iter()
        .map(|(options, each)| {
            let options = [&["--setup", "echo 0 > f", "--all"], options].concat();
            let report = place.explore(1, &commands, &options);
            // How many were run again is told, exactly.
            let verified = each.map(|each| number(&report, "executions") / each);
            assert_eq!(report["verified"].as_u64(), verified, "{report}");
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

/// One that looks at the same again and again, without a pause, before it touches data: its beginning is not recorded as if it had
/// not.
#[test]
fn looks_in_vain_at_the_beginning_come_again() {
    let place = Place::with(&[("work/n", "0\n")]);
    let looks = "i=0; while [ $i -lt 100 ]; do [ -e none/x ]; i=$((i+1)); done; read x < n; echo $x";
    let options = ["--dir", "work", "--all", "--verify", "1"];
    let report = place.explore(1, &[looks, "echo 5 > n; mkdir none"], &options);
    assert_eq!((report["exhaustive"].as_bool(), kinds(&report)), (Some(true), vec!["dirty-read"]));
}
