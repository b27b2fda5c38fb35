//! Programs that decide by which of two files was written last: both orders are explored, even if nothing else orders the two writes.

use serde_json::Value;

use crate::support::{Place, kinds, number};

/// The first process fails if `g` was written later than `f`. It succeeds in both serial orders, and fails if the other process writes `g`
/// between its write and its test.
const NEWER: [&str; 2] = ["echo 1 > f; [ f -nt g ]", "echo 2 > g"];

/// The first process copies a file. The second changes that file, and copies it too if the copy is older. If both copy at the same time,
/// the copy may stay as it was.
const BUILDS: [&str; 2] =
    ["cat src > out", "echo 22 > src; [ -z \"$(find src -newer out)\" ] || cat src > out"];

/// The first process reads the status of two files, their times included, but does not compare the times.
const LOOKS: [&str; 2] = ["echo 1 > f; stat -c %n f g; ls -l f > out", "echo 2 > g"];

fn place() -> Place {
    Place::with(&[("work/f", "0\n"), ("work/g", "0\n"), ("work/src", "1\n"), ("work/out", "1\n")])
}

fn explored(code: i32, commands: &[&str], options: &[&str]) -> Value {
    place().explore(code, commands, &[&["--dir", "work", "--all"], options].concat())
}

#[test]
fn which_file_is_newer_is_explored_in_both_orders() {
    let reference = explored(1, &NEWER, &["--strategy", "dfs"]);
    // In every interleaving of the same calls on the kernel, the first process ends with 0 or 1.
    assert_eq!((number(&reference, "distinct_outcomes"), number(&reference, "serial_outcomes")), (2, 1));
    for options in [&[][..], &["--equivalence", "observed"], &["--jobs", "2"]] {
        let report = explored(1, &NEWER, options);
        assert_eq!(kinds(&report), ["process-failure"], "{options:?}");
        assert_eq!(report["outcomes"], reference["outcomes"], "{options:?}");
        assert_eq!(number(&report, "redundant"), 0);
    }
}

#[test]
fn a_copy_that_is_older_is_made_anew_unless_both_are_made_at_once() {
    for options in [&[][..], &["--equivalence", "observed"]] {
        let report = explored(1, &BUILDS, options);
        assert_eq!(kinds(&report), ["non-serializable"], "{options:?}");
        assert_eq!((number(&report, "distinct_outcomes"), number(&report, "serial_outcomes")), (2, 1));
        assert_eq!(report["exhaustive"], true);
    }
}

#[test]
fn a_witness_shows_the_same_times_again() {
    let place = place();
    let report = place.explore(1, &NEWER, &["--dir", "work"]);
    let witness = report["anomalies"][0]["witness"].as_str().expect("a path");
    let replay = place.cooks(&["replay", witness]);
    assert_eq!(replay.code, Some(1), "{}{}", replay.stdout, replay.stderr);
}

#[test]
fn who_only_looks_at_times_costs_no_execution() {
    let report = explored(0, &LOOKS, &[]);
    assert_eq!((number(&report, "distinct_outcomes"), number(&report, "serial_outcomes")), (1, 1));
    // One for each way in which the two changes of `g` come before or after the `stat` of it.
    assert_eq!((number(&report, "complete"), number(&report, "executions")), (3, 3));
}

/// Each further file multiplies the executions.
#[test]
fn that_the_times_of_many_files_matter_is_a_gap() {
    let writes = |name: &str| format!("for i in 1 2 3 4; do echo 1 > {name}$i; done");
    let looks = format!("{}; for file in $(ls -t); do : < $file; done", writes("a"));
    let report = Place::with(&[]).explore(3, &[&looks, &writes("b")], &["--max-executions", "3"]);
    let gaps = report["coverage"]["gaps"].as_array().expect("a list");
    let of_times = gaps.iter().find(|gap| gap["kind"] == "uncontrolled-time").expect("a gap");
    assert_eq!(of_times["hides_races"], true);
}
