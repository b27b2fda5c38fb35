//! The example program does what it says, also when two of them run at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use cooks_core::{METADATA_FILE, Store};
use serde_json::json;

/// `cargo test` builds the examples before it runs the tests. Where only this test is asked for, it does not.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("runs");
    let target = test.ancestors().nth(2).expect("target/debug/deps/test");
    let program = target.join("examples/agent_metadata");
    if !program.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "cooks-core", "--example", "agent_metadata"]);
        build.args((!cfg!(debug_assertions)).then_some("--release"));
        assert!(build.status().expect("there is cargo").success());
    }
    program
}

fn start(dir: &Path, id: &str, status: &str) -> Child {
    let mut command = Command::new(program());
    command.arg(dir).args([id, status]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("starts")
}

fn end(child: Child) -> Output {
    child.wait_with_output().expect("ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn two_at_once_save_both_and_a_third_shows_them() {
    let dir = tempfile::tempdir().expect("a directory");
    for round in 0..20 {
        let status = format!("busy {round}");
        let both = ["alice", "bob"].map(|id| start(dir.path(), id, &status));
        for child in both {
            let output = end(child);
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        let loaded = Store::open(&dir).and_then(|store| store.load()).expect("loads");
        assert_eq!(
            (&loaded["alice"], &loaded["bob"]),
            (&json!({ "status": status }), &json!({ "status": status }))
        );
    }
    let third = end(start(dir.path(), "carol", "new"));
    let expected = "alice: {\"status\":\"busy 19\"}\nbob: {\"status\":\"busy 19\"}\ncarol is new\n";
    assert_eq!(text(&third.stdout), expected);
}

#[test]
fn what_else_stands_in_its_part_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join(METADATA_FILE), r#"{"a": {"runs": 3, "status": "old"}, "b": 1.50}"#)
        .expect("writes");
    assert!(end(start(dir.path(), "a", "new")).status.success());
    let expected = "{\n  \"a\": {\n    \"runs\": 3,\n    \"status\": \"new\"\n  },\n  \"b\": 1.50\n}\n";
    assert_eq!(fs::read_to_string(dir.path().join(METADATA_FILE)).expect("reads"), expected);
}

#[test]
fn it_says_what_went_wrong_and_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().canonicalize().expect("exists").join(METADATA_FILE);
    fs::write(&path, "{").expect("writes");
    let output = end(start(dir.path(), "a", "new"));
    let place = "line 1, column 2 (byte 1): the text ends too early (EOF while parsing an object)";
    let advice = "Repair the file at that place, or put back a copy.";
    assert_eq!(text(&output.stderr), format!("{} is corrupt at {place}\n{advice}\n", path.display()));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&path).expect("reads"), "{");

    let output = end(start(dir.path(), "../a", "new"));
    let expected =
        "the agent id \"../a\" cannot be used: it begins with a dot\nChoose another name for the agent.\n";
    assert_eq!(text(&output.stderr), expected);
}
