//! `cooks diagnose`: exit codes, what is printed, and who may see what. The staged situations are tests of the library.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use serde_json::{Value, json};

use crate::support::{Place, Run};

/// Who an ordinary user is, where the tests run as root.
const NOBODY: u32 = 65_534;

const HOLDER: &str =
    "import fcntl, sys; f = open('own.lock', 'a'); fcntl.flock(f, 2); print(flush=True); sys.stdin.read()";

/// This process takes a lock.
fn lock(place: &Place, name: &str) -> Flock<File> {
    let file = OpenOptions::new().append(true).create(true).open(place.path(name)).expect("it can be made");
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error).expect("it is free")
}

fn me() -> i64 {
    i64::from(std::process::id())
}

#[test]
fn nothing_wrong_is_said_with_all_four_parts() {
    let place = Place::with(&[("m.json", "{}"), ("free.lock", "")]);
    let _held = lock(&place, ".metadata.lock");
    for arguments in [&["diagnose"][..], &["diagnose", "."], &["diagnose", "--watch", "0.01"]] {
        let run = place.cooks(arguments);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
        assert!(run.stdout.starts_with("nothing wrong in /"), "{}", run.stdout);
        let parts = ["Active lock files", "Metadata conflicts", "Process conflicts", "Resource contention"];
        assert_eq!(run.stdout.lines().filter(|line| parts.contains(line)).collect::<Vec<_>>(), parts);
        assert!(run.stdout.contains(&format!("held by   {} ", me())), "{}", run.stdout);
        assert!(run.stdout.lines().all(|line| line.chars().count() <= 80), "{}", run.stdout);
    }
    let run = place.cooks(&["diagnose", "--quiet"]);
    assert_eq!((run.code, run.stdout.lines().count()), (Some(0), 1), "{}", run.stdout);
}

#[test]
fn findings_are_told_with_what_to_do_and_exit_with_1() {
    let place = Place::with(&[("m.json", "{\"a\""), ("m.json.tmp", "{}")]);
    let run = place.cooks(&["diagnose"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""), "{}", run.stdout);
    assert!(run.stdout.starts_with("1 error, 1 warning in /"), "{}", run.stdout);
    for part in ["  error: torn-file: m.json is no JSON", "  warning: leftover-temporary: m.json.tmp"] {
        assert!(run.stdout.contains(part), "{}", run.stdout);
    }
    assert_eq!(run.stdout.matches("    what to do: ").count(), 2, "{}", run.stdout);
    fs::remove_file(place.path("m.json")).expect("it is there");
    assert_eq!(place.cooks(&["diagnose"]).code, Some(0), "nothing that it was to replace");
}

/// The object that programs rely on, key by key.
#[test]
fn the_json_object_is_the_agreed_one() {
    let place = Place::with(&[("empty.json", "")]);
    let held = lock(&place, "a.lock");
    let mut report = place.cooks(&["diagnose", "--format", "json"]).json(1);
    let keys: Vec<&String> = report.as_object().expect("an object").keys().collect();
    let mut expected = ["format", "dir", "locks", "findings", "not_seen"].map(String::from);
    expected.sort();
    assert_eq!(keys, expected.iter().collect::<Vec<_>>());
    assert_eq!(report["format"], 1);
    let dir = place.path("").canonicalize().expect("it is there");
    assert_eq!(report["dir"].as_str().map(std::path::Path::new), Some(dir.as_path()));
    let holder = &mut report["locks"][0]["holders"][0];
    assert!(holder["command"].take().as_str().is_some_and(|command| command.contains("command")));
    assert!(holder["started"].take().as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 20));
    assert!(["running", "asleep"].contains(&holder["state"].take().as_str().expect("a word")));
    let holder = json!({ "pid": me(), "command": null, "mode": "exclusive", "state": null, "started": null });
    assert_eq!(
        report["locks"],
        json!([{ "path": "a.lock", "kind": "flock", "holders": [holder], "waiters": [] }])
    );
    let finding = &mut report["findings"][0];
    assert!(
        ["summary", "remedy"]
            .iter()
            .all(|key| finding[key].take().as_str().is_some_and(|text| text.len() > 20))
    );
    let expected = json!({ "kind": "torn-file", "severity": "error", "summary": null, "remedy": null, "paths": ["empty.json"], "pids": [] });
    assert_eq!(*finding, expected);

    let watched = place.cooks(&["diagnose", "--format", "json", "--watch", "0"]).json(1);
    let lock = &watched["contention"]["locks"][0];
    assert_eq!((&lock["path"], &lock["held"], &lock["waited"]), (&json!("a.lock"), &json!(1), &json!(0)));
    drop(held);
    assert_eq!(place.cooks(&["diagnose", "--format", "json"]).json(1)["locks"], json!([]));
}

#[test]
fn what_cannot_be_diagnosed_is_refused() {
    let place = Place::with(&[("file", "")]);
    for (arguments, message) in [
        (&["diagnose", "missing"][..], "cooks: missing: there is no such directory"),
        (&["diagnose", "file"], "cooks: file: is not a directory; give the one that the files lie in"),
        (&["diagnose", ".", "."], "unexpected argument '.'"),
        (&["diagnose", "--watch", "x"], "not a number of seconds: 5, or 0.5"),
        (&["diagnose", "--watch=-1"], "not a number of seconds: 5, or 0.5"),
        (&["diagnose", "--long-wait", "nan"], "not a number of seconds: 5, or 0.5"),
        (&["diagnose", "--format", "junit"], "invalid value 'junit' for '--format <FORMAT>'"),
    ] {
        place.cooks(arguments).refuses(2, message);
    }
    assert_eq!(place.names().len(), 1);
}

/// The command as an ordinary user runs it.
fn ordinary(place: &Place) -> impl Fn(&[&str]) -> Run {
    let everybody = Permissions::from_mode(0o777);
    fs::set_permissions(place.path(""), everybody).expect("a mode");
    let cooks = place.path("cooks");
    fs::copy(env!("CARGO_BIN_EXE_cooks"), &cooks).expect("a copy that everybody may run");
    move |arguments| {
        let mut command = place.program(&cooks, arguments);
        Run::of(as_ordinary(&mut command).output().expect("it can be run"))
    }
}

fn as_ordinary(command: &mut Command) -> &mut Command {
    if geteuid().is_root() { command.gid(NOBODY).uid(NOBODY) } else { command }
}

#[test]
fn a_directory_that_cannot_be_read_is_told_from_an_empty_one() {
    let place = Place::with(&[("closed/file", ""), ("open/closed/file", ""), ("open/secret.json", "{}")]);
    let cooks = ordinary(&place);
    for path in ["closed", "open/closed", "open/secret.json"] {
        fs::set_permissions(place.path(path), Permissions::from_mode(0o000)).expect("a mode");
    }
    cooks(&["diagnose", "closed"])
        .refuses(2, "closed: cannot be read (Permission denied (os error 13)); its owner or root");
    let report = cooks(&["diagnose", "open", "--format", "json"]).json(0);
    let unseen: Vec<&str> =
        report["not_seen"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    for path in ["the folder closed: ", "what is in secret.json: "] {
        assert!(unseen.iter().any(|what| what.starts_with(path)), "{unseen:?}");
    }
    for path in ["closed", "open/closed"] {
        fs::set_permissions(place.path(path), Permissions::from_mode(0o700)).expect("a mode");
    }
}

/// Ended with the test.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Of one's own processes all is seen. Of root's process it is told what it took, and that the rest cannot be seen.
#[test]
fn an_ordinary_user_sees_his_own_and_is_told_what_he_does_not_see() {
    let place = Place::with(&[]);
    let cooks = ordinary(&place);
    let mut command = place.program("python3".as_ref(), &["-c", HOLDER]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut own = Holder(as_ordinary(&mut command).spawn().expect("this test needs python3"));
    let mut line = String::new();
    let output = own.0.stdout.as_mut().expect("a pipe");
    BufReader::new(output).read_line(&mut line).expect("it has its lock");
    let _held = lock(&place, "root.lock");
    let report = cooks(&["diagnose", "--format", "json"]).json(0);
    let locks = report["locks"].as_array().expect("a list");
    let holders: Vec<(&str, i64)> = locks
        .iter()
        .map(|lock| {
            (lock["path"].as_str().expect("a path"), lock["holders"][0]["pid"].as_i64().expect("a number"))
        })
        .collect();
    assert_eq!(holders, [("own.lock", i64::from(own.0.id())), ("root.lock", me())]);
    let unseen = report["not_seen"].to_string();
    // Where the tests are run by an ordinary user this process is his own, and others are not.
    if geteuid().is_root() {
        assert!(
            unseen.contains(&format!("whether process {} still holds the lock of root.lock", me())),
            "{unseen}"
        );
    }
    let others = ["look as root", "outside of this container"];
    assert!(others.iter().any(|what| unseen.contains(what)), "{unseen}");
    assert!(!unseen.contains("own.lock"), "{unseen}");
    let human = cooks(&["diagnose"]);
    assert_eq!(human.code, Some(0), "{}", human.stderr);
    assert!(
        human.stdout.contains("\n  not seen: ") || human.stdout.contains("\nnot seen: "),
        "{}",
        human.stdout
    );
}
