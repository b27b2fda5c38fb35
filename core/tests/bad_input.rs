//! What a program or a person may put in the way: each is refused with a message that says what and where, and
//! nothing is lost.

mod common;

use std::fs::{self, File, Permissions};
use std::io::{Read, Write, pipe};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{assert_good, dir, in_child};
use cooks_core::merge::{Policy, Strategies};
use cooks_core::{Agent, Error, METADATA_FILE, METADATA_LOCK, Metadata, Store};
use nix::unistd::{Gid, Uid, geteuid, setgid, setuid};
use serde_json::json;
use tempfile::TempDir;

fn message<T>(result: Result<T, Error>) -> String {
    result.map(drop).expect_err("it was accepted").to_string()
}

/// As the store names it.
fn path(dir: &TempDir) -> PathBuf {
    dir.path().canonicalize().expect("exists")
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).expect("lists").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().expect("text")).collect();
    names.sort();
    names
}

/// Each way to read and to write.
fn everything(agent: &Agent) -> [(&'static str, Result<(), Error>); 7] {
    let (store, none) = (agent.store(), Metadata::new());
    let mine = Metadata::from_iter([("a".to_owned(), json!(1))]);
    let generation = "00000000000000000000000000000000".parse().expect("a generation");
    [
        ("load", store.load().map(drop)),
        ("change", agent.change(|part| *part = Some(json!(1)))),
        ("update", agent.update(|metadata| drop(metadata.insert("a".into(), json!(1))))),
        ("try_update", agent.try_update(|_| Ok::<(), ()>(())).map(drop)),
        ("save", agent.save(&none, &mine).map(drop)),
        ("save_with", agent.save_with(&none, &mine, Policy::PreferMine, &Strategies::default()).map(drop)),
        ("compare_and_save", agent.compare_and_save(generation, &mine).map(drop)),
    ]
}

#[test]
fn agent_ids() {
    let dir = dir();
    let store = Store::open(&dir).expect("opens");
    let before = names(dir.path());
    let long = "x".repeat(300);
    for (id, why) in [
        ("", "it is empty"),
        ("a/b", "it contains a separator"),
        ("/etc/passwd", "it contains a separator"),
        ("a\\b", "it contains a separator"),
        ("../a", "it begins with a dot"),
        (".", "it begins with a dot"),
        ("..", "it begins with a dot"),
        (".metadata", "it begins with a dot"),
        ("a\0b", "it contains a control character"),
        ("a\nb", "it contains a control character"),
        (&long, "it is longer than 100 bytes"),
    ] {
        let expected = format!("the agent id {id:?} cannot be used: {why}");
        assert_eq!(message(store.agent(id)), expected);
    }
    assert_eq!(names(dir.path()), before, "no file was made");
}

#[test]
fn a_metadata_file_that_is_none() {
    let cases: [(&str, &[u8], &str); 9] = [
        ("empty", b"", "line 1, column 1 (byte 0): the file is empty"),
        ("blank", b"\n \n", "line 3, column 1 (byte 3): the file is empty but for white space"),
        (
            "truncated",
            b"{\n  \"a\": {\"x\": ",
            "line 2, column 14 (byte 15): the text ends too early (EOF while parsing a value)",
        ),
        (
            "truncated text",
            b"{\"a\": \"x",
            "line 1, column 9 (byte 8): the text ends too early (EOF while parsing a string)",
        ),
        ("an array", b"[{\"a\": 1}]", "line 1, column 1 (byte 0): expected an object, found an array"),
        ("null", b"null", "line 1, column 1 (byte 0): expected an object, found null"),
        (
            "a key twice",
            b"{\"b\": 1,\n \"b\": 2}",
            "line 2, column 2 (byte 10): the key \"b\" stands twice in the same object",
        ),
        ("two objects", b"{}\n{}", "line 2, column 1 (byte 3): the object has ended, but the text goes on"),
        (
            "not text",
            b"{\"a\": \"\xff\"}",
            "line 1, column 8 (byte 7): the text is not UTF-8: this byte cannot stand here",
        ),
    ];
    for (what, bytes, expected) in cases {
        let dir = dir();
        fs::write(dir.path().join(METADATA_FILE), bytes).expect("writes");
        let path = path(&dir).join(METADATA_FILE);
        check_refused(&dir, what, &format!("{} is corrupt at {expected}", path.display()));
        assert_eq!(fs::read(&path).expect("reads"), bytes, "{what}");
    }
}

#[test]
fn a_metadata_file_of_100_mb() {
    let dir = dir();
    let path = path(&dir).join(METADATA_FILE);
    File::create(&path).and_then(|file| file.set_len(100 << 20)).expect("makes a large file without content");
    let expected = "104857600 bytes are more than the 67108864 that metadata may have";
    check_refused(&dir, "100 MB", &format!("cannot read {}: {expected}", path.display()));
    assert_eq!(fs::metadata(&path).expect("exists").len(), 100 << 20);
}

#[test]
fn a_symbolic_link_loop() {
    let dir = dir();
    let path = path(&dir).join(METADATA_FILE);
    symlink("middle", &path).expect("links");
    symlink(METADATA_FILE, dir.path().join("middle")).expect("links");
    check_refused(&dir, "a loop", &format!("cannot read {}: too many symbolic links", path.display()));
    assert_eq!(fs::read_link(&path).expect("still a link"), Path::new("middle"));

    let looping = dir.path().join("loop");
    symlink("loop", &looping).expect("links");
    let expected = "Too many levels of symbolic links (os error 40)";
    assert_eq!(message(Store::open(&looping)), format!("cannot open {}: {expected}", looping.display()));
    symlink("b.lock", dir.path().join("b.lock")).expect("links");
    let lock = dir.path().canonicalize().expect("exists").join("b.lock");
    let result = Store::open(&dir).and_then(|store| store.agent("b").map(drop));
    assert_eq!(message(result), format!("cannot open the lock file {}: {expected}", lock.display()));
}

/// Every call says the same, and leaves the same file there, and no other.
fn check_refused(dir: &TempDir, what: &str, expected: &str) {
    let store = Store::open(dir).expect("opens: whoever meets it reports it");
    let agent = store.agent("a").expect("a");
    let file =
        || fs::symlink_metadata(store.path()).map(|found| (found.ino(), found.len(), found.mtime_nsec()));
    // The first call makes the lock file.
    drop(store.load());
    let (before, there) = (file().expect("exists"), names(dir.path()));
    for (call, result) in everything(&agent) {
        assert_eq!(message(result), expected, "{what}: {call}");
    }
    assert_eq!(file().expect("exists"), before, "{what}");
    assert_eq!(names(dir.path()), there, "{what}");
    // What a dead writer has left may be what repairs it.
    let leftover = dir.path().join(format!(".{METADATA_FILE}.{:032x}.1.0.tmp", 1));
    fs::write(&leftover, "{}").expect("writes");
    assert_eq!(message(store.recover()), expected, "{what}: recover");
    assert!(leftover.exists(), "{what}");
}

#[test]
fn a_key_twice_within_a_part() {
    let dir = dir();
    let path = path(&dir).join(METADATA_FILE);
    let text = "{\n  \"a\": 1,\n  \"b\": {\"x\": [{\"y\": 1, \"y\": 2}]}\n}\n";
    fs::write(&path, text).expect("writes");
    let store = Store::open(&dir).expect("opens");
    let place = "line 3, column 24 (byte 35): the key \"y\" stands twice in the same object";
    let expected = format!("{} is corrupt at {place}", path.display());
    assert_eq!(message(store.load()), expected);
    assert_eq!(message(store.agent("b").and_then(|b| b.change(|_| ()))), expected);
    assert_eq!(fs::read_to_string(&path).expect("reads"), text);
    // It stands in nobody else's way, and stays as it is for its agent to repair.
    store.agent("a").and_then(|a| a.change(|part| *part = Some(json!(2)))).expect("changes its own part");
    assert_eq!(fs::read_to_string(&path).expect("reads"), text.replace("\"a\": 1", "\"a\": 2"));
}

#[test]
fn a_directory_that_is_missing_or_none() {
    let dir = dir();
    let missing = dir.path().join("none");
    let expected = format!("cannot open {}: No such file or directory (os error 2)", missing.display());
    assert_eq!(message(Store::open(&missing)), expected);
    assert!(!missing.exists());
    fs::write(&missing, "a file").expect("writes");
    let expected = format!("cannot open {}: Not a directory (os error 20)", missing.display());
    assert_eq!(message(Store::open(&missing)), expected);
    assert_eq!(fs::read_to_string(&missing).expect("reads"), "a file");
}

#[test]
fn a_directory_that_is_removed_while_we_work() {
    let dir = dir();
    let store = Store::open(&dir).expect("opens");
    let agent = store.agent("a").expect("a");
    agent.update(|_| ()).expect("updates");
    fs::remove_dir_all(&dir).expect("removes");
    for (call, result) in everything(&agent) {
        let message = message(result);
        assert!(message.ends_with("No such file or directory (os error 2)"), "{call}: {message}");
    }
    assert!(!dir.path().exists(), "it does not come back");
}

/// Nobody's rights, where we have more: nothing is read-only for root.
const NOBODY: u32 = 65534;

fn as_nobody() {
    if geteuid().is_root() {
        setgid(Gid::from_raw(NOBODY)).expect("gives up its group");
        setuid(Uid::from_raw(NOBODY)).expect("gives up its rights");
    }
}

fn make_read_only(dir: &Path) {
    for name in names(dir) {
        // Others than root own them already.
        let _ = chown(dir.join(name), Some(NOBODY), Some(NOBODY));
    }
    fs::set_permissions(dir, Permissions::from_mode(0o555)).expect("sets the mode");
}

/// What a process without rights is told, call by call.
fn told(work: impl FnOnce() -> Vec<String>) -> Vec<String> {
    let (mut hear, mut tell) = pipe().expect("a pipe");
    let child = in_child(|| {
        as_nobody();
        tell.write_all(work().join("\n").as_bytes()).is_ok()
    });
    assert_good(child);
    drop(tell);
    let mut text = String::new();
    hear.read_to_string(&mut text).expect("reads");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_directory_that_is_read_only() {
    let dir = dir();
    let agent = Store::open(&dir).and_then(|store| store.agent("a")).expect("a");
    agent.update(|metadata| drop(metadata.insert("a".into(), json!(1)))).expect("updates");
    drop(agent);
    make_read_only(dir.path());
    let before = fs::read(dir.path().join(METADATA_FILE)).expect("reads");
    let told = told(|| {
        let store = Store::open(&dir).expect("opens");
        let agent = store.agent("a").expect("its lock file is there");
        let loaded = store.load().expect("loads")["a"].to_string();
        let change = agent.update(|metadata| drop(metadata.insert("a".into(), json!("new"))));
        vec![loaded, message(change), message(store.agent("b"))]
    });
    let path = path(&dir);
    let is_temporary =
        |text: &str| text.starts_with(&format!("cannot create {}/.{METADATA_FILE}.", path.display()));
    assert_eq!(told[0], "1");
    assert!(
        is_temporary(&told[1]) && told[1].ends_with(".tmp: Permission denied (os error 13)"),
        "{}",
        told[1]
    );
    let lock = path.join("b.lock");
    assert_eq!(
        told[2],
        format!("cannot open the lock file {}: Permission denied (os error 13)", lock.display())
    );
    assert_eq!(fs::read(dir.path().join(METADATA_FILE)).expect("reads"), before);
    assert_eq!(names(dir.path()), [METADATA_LOCK, "a.lock", METADATA_FILE]);
}

#[test]
fn a_directory_that_is_read_only_and_has_no_locks() {
    let dir = dir();
    fs::write(dir.path().join(METADATA_FILE), "{ \"a\": 1 }").expect("writes");
    make_read_only(dir.path());
    let told = told(|| {
        let store = Store::open(&dir).expect("opens");
        vec![message(store.load()), message(store.agent("a"))]
    });
    for (name, said) in [METADATA_LOCK, "a.lock"].into_iter().zip(&told) {
        let lock = path(&dir).join(name);
        // Never read without the lock, though it could be.
        assert_eq!(
            *said,
            format!("cannot open the lock file {}: Permission denied (os error 13)", lock.display())
        );
    }
    assert_eq!(fs::read(dir.path().join(METADATA_FILE)).expect("reads"), b"{ \"a\": 1 }");
}

/// Runs this program's test `no_room_is_left` again, by a command of the shell.
fn again(script: &str, dir: &Path) -> (bool, String) {
    let program = std::env::current_exe().expect("runs");
    let arguments = ["no_room_is_left", "--exact", "--nocapture"];
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(program).args(arguments).env("NO_ROOM_IN", dir);
    let output = command.output().expect("there is a shell");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A limit on the size of files needs no rights and is everywhere; the shell ignores the signal that would end us.
#[test]
fn a_directory_that_takes_no_more() {
    let dir = dir();
    let (good, said) = again(r#"trap "" XFSZ; ulimit -f 8; exec "$0" "$@""#, dir.path());
    assert!(good && said.contains("SAID: File too large (os error 27)"), "{said}");
}

/// A small file system of our own, where the kernel lets ordinary users mount one; else the test above must do.
#[test]
#[cfg(target_os = "linux")]
fn a_directory_that_is_full() {
    let dir = dir();
    let inside = r#"mount -t tmpfs -o size=64k none "$NO_ROOM_IN" || exit; echo MOUNTED; exec "$0" "$@""#;
    let script = format!(r#"exec unshare -Urm sh -c '{inside}' "$0" "$@""#);
    let (good, said) = again(&script, dir.path());
    if said.contains("MOUNTED") {
        assert!(good && said.contains("SAID: No space left on device (os error 28)"), "{said}");
    } else {
        println!("no mounting here");
    }
}

#[test]
fn no_room_is_left() {
    let Some(dir) = std::env::var_os("NO_ROOM_IN").map(PathBuf::from) else { return };
    let store = Store::open(&dir).expect("opens");
    let agent = store.agent("a").expect("a");
    let put = |text: &str| agent.update(|metadata| drop(metadata.insert("a".into(), json!(text))));
    put("small").expect("there is room for that");
    let (before, there) = (fs::read(store.path()).expect("reads"), names(&dir));
    let Err(Error::Io { doing: "write", path, source }) = put(&"large".repeat(20_000)) else {
        panic!("it fits")
    };
    assert_eq!(path.extension(), Some("tmp".as_ref()));
    println!("SAID: {source}");
    assert_eq!(fs::read(store.path()).expect("reads"), before);
    assert_eq!(names(&dir), there, "what was written of it is gone");
    put("small again").expect("goes on");
}
