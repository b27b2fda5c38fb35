//! Programs in the workspace: the kernel runs none that somebody has open for writing, and opens none for writing that somebody runs.

use std::collections::BTreeSet;

use cooks_harness::model::{Entry, Exit, Tree};

use crate::support::{classes, files, schedules, shell};

/// A workspace with a program that does nothing.
fn with_a_program() -> Tree {
    let content = std::fs::read("/bin/true").expect("every system has it");
    let mut tree = files(&[]);
    tree.insert("x".into(), Entry::File { mode: 0o755, content });
    tree
}

/// How two scripts end, in all interleavings.
fn exits(scripts: [&str; 2]) -> BTreeSet<[i32; 2]> {
    let (programs, initial) = (scripts.map(shell), with_a_program());
    let seen = classes(&programs, &initial);
    assert_eq!(seen.outcomes, schedules(&programs, &initial).outcomes, "{scripts:?}");
    let status = |exit: Option<Exit>| match exit {
        Some(Exit::Status(status)) => status,
        other => panic!("{other:?}"),
    };
    let exits = seen.outcomes.iter().map(|outcome| [status(outcome.exits[0]), status(outcome.exits[1])]);
    exits.collect()
}

/// How a shell ends if the kernel refuses to run a program, and if it cannot open a file.
const REFUSED: i32 = 126;
const NOT_OPENED: i32 = 2;

#[test]
fn a_program_is_not_run_while_somebody_writes_it() {
    for writer in ["exec 3>> x; exec 3>&-", "exec 3>> x"] {
        assert_eq!(exits([writer, "./x"]), [[0, 0], [0, REFUSED], [NOT_OPENED, 0]].into(), "{writer}");
    }
}

#[test]
fn a_program_is_not_opened_for_writing_while_somebody_runs_it() {
    for writer in ["echo >> x", "truncate -s 1000000 x", "exec 3<> x"] {
        let failed = if writer.starts_with("truncate") { 1 } else { NOT_OPENED };
        let found = exits(["./x", writer]);
        assert!(found.is_superset(&[[0, 0], [0, failed], [REFUSED, 0]].into()), "{writer}: {found:?}");
    }
}
