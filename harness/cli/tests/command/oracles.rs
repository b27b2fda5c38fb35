//! What counts as wrong, and how the options say otherwise.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Place, kinds, number};

/// The kinds of all anomalies of two commands.
#[track_caller]
fn found(commands: [&str; 2], options: &[&str]) -> BTreeSet<String> {
    let options: Vec<&str> = options.iter().copied().chain(["--all"]).collect();
    let report = Place::with(&[]).explore(1, &commands, &options);
    assert_eq!((&report["verdict"], &report["exhaustive"]), (&"anomaly".into(), &true.into()));
    kinds(&report).into_iter().map(str::to_owned).collect()
}

#[test]
fn each_kind_is_found() {
    let counter = "read x < n; echo $((x+1)) > n";
    for (kind, commands, setup) in [
        ("lost-update", [counter, counter], "echo 0 > n"),
        // A longer and a shorter text at once, each written from the beginning.
        ("torn-file", ["echo '{\"a\": 1, \"b\": 2}' > f.json", "echo '{}' > f.json"], "true"),
        ("dirty-read", ["echo half > f; echo whole > f", "cat f"], "echo none > f"),
        ("process-failure", ["echo x > f", "test -s f"], "echo none > f"),
        ("process-failure", ["echo x > f", "[ -s f ] || kill -SEGV $$"], "echo none > f"),
        ("left-behind", [": > tmp; rm tmp", "[ -e tmp ] && : > seen; true"], "true"),
        ("non-serializable", ["cat a > x; echo 1 > b", "cat b > y; echo 1 > a"], "echo 0 > a; echo 0 > b"),
    ] {
        let kinds = found(commands, &["--setup", setup]);
        assert!(kinds.contains(kind), "{kind} of {commands:?}: {kinds:?}");
    }
}

/// 10^23 + 1 is 10^23 to a number of 64 bits.
#[test]
fn numbers_of_json_are_compared_exactly() {
    let counts = "read x < n.json; case $x in *0}) n=1 ;; *) n=2 ;; esac
        echo \"{\\\"n\\\":10000000000000000000000$n}\" > n.json";
    let kinds = found([counts, counts], &["--setup", "echo '{\"n\":100000000000000000000000}' > n.json"]);
    assert!(kinds.contains("lost-update"), "{kinds:?}");
}

#[test]
fn an_invariant_is_checked_in_every_final_workspace() {
    let commands = ["echo a > f", "echo b > f"];
    let place = Place::with(&[]);
    let report = place.explore(1, &commands, &["--check", "grep -q a f", "--all"]);
    assert_eq!(kinds(&report), ["check-failed"]);
    assert_eq!((number(&report, "distinct_outcomes"), number(&report, "serial_outcomes")), (2, 2));
    let witness = report["anomalies"][0]["witness"].as_str().expect("a path");
    assert_eq!(
        kinds(&place.cooks(&["replay", witness, "--quiet", "--format", "json"]).json(1)),
        ["check-failed"]
    );
    place.explore(0, &commands, &["--check", "test -s f"]);
}

/// Two that append, in either order: two outcomes, both serial; one where the order does not count.
#[test]
fn outcomes_are_compared_as_it_is_said() {
    let commands = ["echo a >> log; echo a", "echo b >> log; echo b"];
    for (options, outcomes) in [
        (&[][..], 2),
        (&["--unordered", "log"], 1),
        (&["--canon", "sort log"], 1),
        (&["--ignore", "log"], 1),
        (&["--ignore", "l*"], 1),
        (&["--final", "cat log"], 2),
        (&["--final", "sort log", "--ignore", "log"], 1),
        (&["--final", "rm log"], 1),
        (&["--final", "wc -l log", "--unordered", "log"], 1),
    ] {
        let report = Place::with(&[]).explore(0, &commands, options);
        let counts = ["distinct_outcomes", "serial_outcomes"].map(|key| number(&report, key));
        assert_eq!(counts, [outcomes, outcomes], "{options:?}");
        assert_eq!(report["exhaustive"], true);
    }
}

#[test]
fn the_order_of_printed_lines_counts_unless_it_is_said_not_to() {
    let commands = ["echo a >> log; echo b >> log", "cat log"];
    let setup = ["--setup", ": > log"];
    // Between the two lines a reader sees one of them, which no serial order shows.
    let report = Place::with(&[]).explore(1, &commands, &setup);
    assert_eq!(kinds(&report), ["dirty-read"]);
    let printing = ["ls", "echo x > x"];
    let report = Place::with(&[]).explore(0, &printing, &["--unordered", "stdout"]);
    assert_eq!(number(&report, "distinct_outcomes"), 2);
}

#[test]
fn what_is_ignored_is_no_anomaly() {
    let counter = "read x < n; echo $((x+1)) > n";
    let place = Place::with(&[("work/n", "0\n"), ("work/deep/n", "0\n")]);
    assert_eq!(kinds(&place.explore(1, &[counter; 2], &["--dir", "work"])), ["lost-update"]);
    place.explore(0, &[counter; 2], &["--dir", "work", "--ignore", "n"]);
    let deep = "read x < deep/n; echo $((x+1)) > deep/n";
    place.explore(1, &[deep; 2], &["--dir", "work", "--ignore", "m"]);
    place.explore(0, &[deep; 2], &["--dir", "work", "--ignore", "deep/*"]);
}

/// A program that gives up when it finds a lock taken is wrong by default, and not where that is allowed.
#[test]
fn giving_up_is_a_failure_unless_it_is_allowed() {
    let skips = "mkdir lock 2>/dev/null || exit 1; read x < n; echo $((x+1)) > n; rmdir lock";
    let place = Place::with(&[("work/n", "0\n")]);
    let failing = place.explore(1, &[skips; 2], &["--dir", "work", "--all"]);
    assert_eq!(kinds(&failing).into_iter().collect::<BTreeSet<_>>(), ["process-failure"].into());
    let allowed = place.explore(0, &[skips; 2], &["--dir", "work", "--all", "--aborts", "allow"]);
    assert_eq!((&allowed["verdict"], &allowed["exhaustive"]), (&"clean".into(), &true.into()));
    assert_eq!(allowed["executions"], failing["executions"]);
    // To give up is fine only where it had no effect.
    let dirty =
        "mkdir lock 2>/dev/null || { echo no > n; exit 1; }; read x < n; echo $((x+1)) > n; rmdir lock";
    place.explore(1, &[dirty; 2], &["--dir", "work", "--aborts", "allow"]);
}

#[test]
fn bounds_make_it_inconclusive() {
    let place = Place::with(&[]);
    let commands = ["echo a >> log; echo a >> log", "echo b >> log; echo b >> log"];
    let report = place.explore(3, &commands, &["--max-executions", "1", "--unordered", "log"]);
    assert_eq!((&report["verdict"], &report["exhaustive"]), (&"inconclusive".into(), &false.into()));
    assert_eq!(number(&report, "executions"), 1);
    place.explore(0, &commands, &["--unordered", "log"]);
}

/// A program that looks again and again never comes to an end where nobody changes what it looks at.
#[test]
fn a_livelock_is_found() {
    let waits = "while [ ! -e flag ]; do :; done";
    let commands = [waits, ": > flag"];
    let report = Place::with(&[]).explore(1, &commands, &["--max-steps", "30"]);
    assert_eq!(kinds(&report), ["livelock"]);
}

/// What the tracer cannot see is said.
#[test]
fn what_is_written_outside_is_said() {
    let place = Place::with(&[]);
    let outside = place.path("outside");
    let command = format!("echo x > {}", outside.display());
    // It is there with the same content, so that each execution finds the same.
    std::fs::write(&outside, "x\n").expect("a file");
    let report = place.explore(0, &[&command, "true"], &[]);
    let gap = &report["coverage"]["gaps"][0];
    assert_eq!((&gap["kind"], &gap["hides_races"]), (&"outside-write".into(), &false.into()), "{report}");
    assert_eq!(gap["paths"], Value::from(vec![outside.display().to_string()]));
}
