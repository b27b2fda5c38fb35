//! The tracer changes nothing of what a program sees, apart from what is fixed on purpose: random sequences of calls give the same
//! results and leave the same files with it and without it.

use std::process::Command;

use cooks_harness::model::Tree;
use cooks_harness::workspace;

use crate::support::{files, in_turn, interpreter, python};

/// Makes as many random calls as it is told, from a seed, and prints what each gives: a value or an error. Inode numbers, times, the
/// free space, and the size, links and order of directories are fixed by the tracer, and not printed.
const CALLS: &str = include_str!("random_calls.py");

const CALLS_EACH: usize = 150;

fn initial() -> Tree {
    files(&[("a", "0123456789"), ("b", ""), ("c", "some text\n")])
}

/// What the program prints and leaves, without the tracer.
fn without(script: &str) -> (String, Tree) {
    // The same file system as that of the workspace.
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    workspace::lay(folder.path(), &initial()).expect("a workspace");
    let ran = Command::new(interpreter()).args(["-c", script]).current_dir(folder.path()).output();
    let ran = ran.expect("Python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let tree = workspace::capture_own(folder.path()).expect("the folder can be read");
    (String::from_utf8(ran.stdout).expect("text"), tree)
}

#[test]
fn random_calls_give_the_same_with_and_without() {
    for seed in 0..20 {
        let script = format!("SEED, CALLS = {seed}, {CALLS_EACH}\n{CALLS}");
        let (lines, tree) = without(&script);
        assert_eq!(lines.lines().count(), CALLS_EACH, "seed {seed}");
        let ran = in_turn(&[python(&script)], initial());
        let traced = String::from_utf8_lossy(&ran.outcome.stdout[0]);
        for (number, (without, with)) in lines.lines().zip(traced.lines()).enumerate() {
            assert_eq!(with, without, "seed {seed}, call {number}: with the tracer, and without it");
        }
        assert_eq!(traced.lines().count(), CALLS_EACH, "seed {seed}: {:?}", ran.outcome.exits);
        let left = &ran.outcome.tree;
        let paths: Vec<_> =
            left.keys().chain(tree.keys()).filter(|path| left.get(*path) != tree.get(*path)).collect();
        assert!(paths.is_empty(), "seed {seed}: not the same with the tracer and without it: {paths:?}");
    }
}
