//! The pitfalls of the table's second part: readers, file systems, flushes, losses of power. See `pitfalls.rs`.

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::{dir, dir_in_memory, end, in_child, staying};
use cooks_core::host::{Call, Host, MemHost};
use cooks_core::{Error, METADATA_FILE, METADATA_LOCK, Metadata, Store, Wait};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde_json::json;
use tempfile::TempDir;

const EXCLUSIVE: FlockOperation = FlockOperation::NonBlockingLockExclusive;
const SHARED: FlockOperation = FlockOperation::NonBlockingLockShared;

fn file(path: impl AsRef<Path>) -> File {
    File::options().read(true).write(true).create(true).truncate(false).open(path).expect("opens")
}

fn set(metadata: &mut Metadata, value: u64) {
    metadata.insert("a".into(), json!(value));
}

#[test]
fn readers_that_overlap() {
    let dir = dir_in_memory();
    let [one, two, writer] = [(); 3].map(|()| file(dir.path().join("bare")));
    flock(&one, SHARED).expect("locks");
    for (comes, goes) in [(&two, &one), (&one, &two)].repeat(100) {
        flock(comes, SHARED).expect("locks");
        assert!(flock(&writer, EXCLUSIVE).is_err());
        flock(goes, FlockOperation::Unlock).expect("unlocks");
        assert!(flock(&writer, EXCLUSIVE).is_err(), "real: never free, though each reader leaves");
    }

    let store = Store::open(&dir).expect("opens");
    let agent = store.agent("a").expect("a");
    agent.update(|metadata| set(metadata, 0)).expect("updates");
    let read = || loop {
        let _guard = store.shared().expect("locks");
        fs::read(store.path()).expect("reads");
    };
    let readers: Vec<_> = (0..4).map(|_| in_child(read)).collect();
    for count in 1..=500 {
        agent.update(|metadata| set(metadata, count)).expect("gets its turn");
    }
    readers.into_iter().for_each(end);
    assert_eq!(store.load().expect("loads")["a"], 500);
}

#[test]
#[cfg(target_os = "linux")]
fn nfs_smb_unknown() {
    let message = Store::open("/proc").expect_err("not a place for locks").to_string();
    let expected = "/proc is on an unknown file system (type 0x9fa0), \
        where locks may not hold between machines, or not at all";
    assert_eq!(message, expected);
    assert!(matches!(Store::open("/sys"), Err(Error::FileSystem { .. })));
    // Who says that they know better gets on, and as far as the system lets them; never on without the lock.
    let store = Store::open_anywhere("/proc").expect("goes on");
    let result = store.agent("a").map(drop);
    assert!(matches!(result, Err(Error::Io { doing: "open the lock file", .. })), "{result:?}");
    let result = store.load().map(drop);
    assert!(matches!(result, Err(Error::Io { doing: "open the lock file", .. })), "{result:?}");
}

/// A store in memory whose file holds 1.
fn in_memory() -> (MemHost, Store<MemHost>) {
    let host = MemHost::new();
    let store = Store::on(host.clone(), "/d").expect("opens");
    store.agent("a").and_then(|agent| agent.update(|metadata| set(metadata, 1))).expect("updates");
    (host, store)
}

#[test]
fn fsync_fails() {
    let (host, store) = in_memory();
    let names = host.list(Path::new("/d")).expect("lists");
    let agent = store.agent("a").expect("a");
    // It fails once: whoever tried again would believe the second answer.
    host.fail_next(Call::Sync, Errno::IO);
    let result = agent.update(|metadata| set(metadata, 2));
    assert!(matches!(result, Err(Error::Io { doing: "flush", .. })), "{result:?}");
    assert_eq!(host.list(Path::new("/d")).expect("lists"), names, "the file that was not flushed is deleted");
    assert_eq!(store.load().expect("loads")["a"], 1);
    agent.update(|metadata| set(metadata, 3)).expect("another file, another flush");
    host.lose_power();
    assert_eq!(store.load().expect("loads")["a"], 3);
}

#[test]
fn the_directorys_fsync_fails_after_the_rename() {
    let (host, store) = in_memory();
    let agent = store.agent("a").expect("a");
    host.fail_next(Call::SyncDir, Errno::IO);
    let result = agent.update(|metadata| set(metadata, 2));
    assert!(matches!(result, Err(Error::Unknown { .. })), "{result:?}");
    assert_eq!(store.load().expect("loads")["a"], 2, "everybody sees it");
    host.lose_power();
    assert_eq!(store.load().expect("loads")["a"], 1, "real: and it is gone");
    host.fail_next(Call::SyncDir, Errno::IO);
    drop(agent.change(|part| *part = Some(json!(2))));
    agent.change(|part| *part = Some(json!(2))).expect("once more");
    host.lose_power();
    assert_eq!(store.load().expect("loads")["a"], 2, "the same change, made again, is durable");
}

/// Puts a temporary file beside where the metadata file should be, as old as that; `text` is what is left of it.
fn leave(dir: &TempDir, written: &str, text: &str, number: u32, minutes: u64) -> PathBuf {
    let sample = common::dir();
    fs::write(sample.path().join(METADATA_FILE), written).expect("writes");
    let checksum = Store::open(&sample).and_then(|store| store.load()).expect("loads").generation();
    let path = dir.path().join(format!(".{METADATA_FILE}.{checksum}.4242.{number}.tmp"));
    fs::write(&path, text).expect("writes");
    let modified = SystemTime::now() - Duration::from_secs(60 * minutes);
    file(&path).set_modified(modified).expect("sets the time");
    path
}

const OLD: &str = r#"{ "a": 1 }"#;
const NEW: &str = r#"{ "a": 2 }"#;

fn names(dir: &TempDir) -> Vec<String> {
    let names = fs::read_dir(dir).expect("lists").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn power_loss_under_the_weakest_rename() {
    // What is left, and what becomes of it.
    type Left<'a> = &'a [(&'a str, &'a str, u64)];
    let cases: [(&str, Left, Option<u64>); 6] = [
        ("one that is complete", &[(NEW, NEW, 0)], Some(2)),
        ("several: the newest", &[(OLD, OLD, 2), (NEW, NEW, 1)], Some(2)),
        ("several, in the other order", &[(NEW, NEW, 2), (OLD, OLD, 1)], Some(1)),
        ("the newest is torn", &[(OLD, OLD, 2), (NEW, "{ \"a\"", 1)], Some(1)),
        ("the first of all, torn", &[("{}\n", "", 0)], None),
        ("the first of all, complete", &[("{}\n", "{}\n", 0)], None),
    ];
    for (what, left, expected) in cases {
        let dir = dir();
        for (number, (written, text, minutes)) in left.iter().enumerate() {
            leave(&dir, written, text, number as u32, *minutes);
        }
        let store = Store::open(&dir).expect(what);
        let found = store.load().expect(what).get("a").and_then(serde_json::Value::as_u64);
        assert_eq!(found, expected, "{what}");
        let kept = names(&dir).into_iter().filter(|name| name != METADATA_LOCK).collect::<Vec<_>>();
        let there: &[&str] = if expected.is_some() { &[METADATA_FILE] } else { &[] };
        assert_eq!(kept, there, "{what}");
    }
}

#[test]
fn power_loss_that_leaves_nothing_intact() {
    let dir = dir();
    let torn = leave(&dir, NEW, "{ \"a\"", 0, 0);
    let copy = torn.with_extension("torn");
    let path = dir.path().canonicalize().expect("exists");
    let (file, kept) = (path.join(METADATA_FILE), path.join(copy.file_name().expect("a name")));
    let expected = format!("{} was lost; what is left of it is kept in {}", file.display(), kept.display());
    for _ in 0..2 {
        assert_eq!(Store::open(&dir).expect_err("lost").to_string(), expected);
        assert_eq!(fs::read_to_string(&copy).expect("a copy is kept"), "{ \"a\"");
        assert!(!torn.exists() && !file.exists());
    }
    // By the advice of the error: it is of no use, and we begin with nothing.
    fs::remove_file(&copy).expect("removes");
    assert!(Store::open(&dir).and_then(|store| store.load()).expect("loads").is_empty());
}

#[test]
fn power_loss_after_the_answer() {
    let (host, store) = in_memory();
    for value in 2..10 {
        store.agent("a").and_then(|agent| agent.update(|metadata| set(metadata, value))).expect("updates");
        host.lose_power();
        let store = Store::on(host.as_process(2), "/d").expect("opens");
        assert_eq!(store.load().expect("loads")["a"], value, "what was acknowledged is there");
    }
}

#[test]
fn a_process_id_in_a_lock_file() {
    let dir = dir();
    let path = dir.path().to_owned();
    let zombie = staying(move || {
        let agent = Store::open(&path).and_then(|store| store.agent("a")).expect("a");
        std::mem::forget(agent);
    });
    kill(zombie, Signal::SIGKILL).expect("kills");
    waitid(Id::Pid(zombie), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("it is dead");
    let lock = dir.path().join("a.lock");
    assert!(fs::read_to_string(&lock).expect("reads").starts_with(&format!("pid {zombie} agent a")));
    kill(zombie, None).expect("real: a dead process that nobody has waited for looks alive");
    let store = Store::open(&dir).expect("opens").waiting(Wait::No);
    let agent = store.agent("a").expect("nothing is decided by the process id");
    end(zombie);
    // Nor by any other text.
    for text in ["", "pid 1 agent somebody\n", "nonsense"] {
        fs::write(&lock, text).expect("writes");
        let busy = in_child(|| matches!(store.agent("a").map(drop), Err(Error::Busy { .. })));
        common::assert_good(busy);
    }
    drop(agent);
    store.agent("a").expect("free again");
}
