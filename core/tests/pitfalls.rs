//! The pitfalls of locks and of replacing files: for each, that it is real where that is cheap to show, then that
//! this package does not have it. On the operating system, but for what it cannot be made to do. This file has the
//! first twelve rows of the table, in its order; `pitfalls_rest.rs` has the others.
//!
//! A lock taken by hand here is also given back by hand: another test may be forking at the moment, and its child has
//! the file open for a while.

mod common;

use std::fs::{self, File, Permissions};
use std::io::{Read, Write, pipe};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use common::{assert_good, dir, dir_in_memory, end, in_child, staying};
use cooks_core::host::{Call, Host, MemHost, Mode, OsHost};
use cooks_core::{Error, METADATA_FILE, METADATA_LOCK, Metadata, Store, Wait};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde_json::json;

const EXCLUSIVE: FlockOperation = FlockOperation::NonBlockingLockExclusive;
const SHARED: FlockOperation = FlockOperation::NonBlockingLockShared;

fn open(dir: impl AsRef<Path>) -> Store {
    Store::open(dir).expect("opens").waiting(Wait::No)
}

fn file(path: impl AsRef<Path>) -> File {
    File::options().read(true).write(true).create(true).truncate(false).open(path).expect("opens")
}

fn is_busy<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Busy { .. }))
}

fn set(metadata: &mut Metadata, value: u64) {
    metadata.insert("a".into(), json!(value));
}

/// Waits until somebody stands in a queue.
fn await_waiter(queue: &Path) {
    let (host, queue) = (OsHost::new(), OsHost::new().open_lock(queue).expect("opens"));
    while host.taken_bytes(&queue, 1..1 << 40).expect("asks").is_none() {
        thread::yield_now();
    }
}

fn posix_lock(file: &File) -> nix::Result<i32> {
    fcntl(file, FcntlArg::F_SETLK(&whole_file()))
}

fn ofd_lock(file: &File) -> nix::Result<i32> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file()))
}

fn whole_file() -> libc::flock {
    let (l_type, l_whence) = (libc::F_WRLCK as libc::c_short, libc::SEEK_SET as libc::c_short);
    libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 }
}

#[test]
fn the_lock_file_is_unlinked_while_another_waits() {
    let dir = dir();
    let (path, mark) = (dir.path().join("a.lock"), dir.path().join("mark"));
    // Real: who has the old file open and who opens the new one both hold it.
    let old = file(&path);
    fs::remove_file(&path).expect("removes");
    let newcomer = file(&path);
    assert!(flock(&old, EXCLUSIVE).is_ok() && flock(&newcomer, EXCLUSIVE).is_ok());
    flock(&old, FlockOperation::Unlock).expect("unlocks");

    let store = Store::open(&dir).expect("opens");
    let waiting = in_child(|| store.agent("a").is_ok_and(|_agent| mark.exists()));
    await_waiter(&dir.path().join("a.queue"));
    fs::remove_file(&path).expect("removes");
    let second = file(&path);
    flock(&second, EXCLUSIVE).expect("the new file is free");
    flock(&newcomer, FlockOperation::Unlock).expect("unlocks");
    // Whoever waited has the old file now, and must not think that it is the lock.
    fs::write(&mark, "").expect("writes");
    flock(&second, FlockOperation::Unlock).expect("unlocks");
    assert_good(waiting);
}

#[test]
fn a_forked_child_keeps_the_open_description() {
    let dir = dir();
    let bare = file(dir.path().join("bare"));
    flock(&bare, EXCLUSIVE).expect("locks");
    let store = open(&dir);
    let agent = store.agent("a").expect("a");
    let child = staying(|| ());
    drop(bare);
    let refused = flock(file(dir.path().join("bare")), EXCLUSIVE).is_err();
    assert!(refused, "real: the child still holds what its parent has closed");
    drop(agent);
    store.agent("a").expect("it is free while the child lives");
    end(child);
}

#[test]
fn a_guard_is_dropped_in_a_forked_child() {
    let dir = dir();
    let bare = file(dir.path().join("bare"));
    flock(&bare, EXCLUSIVE).expect("locks");
    assert_good(in_child(|| flock(&bare, FlockOperation::Unlock).is_ok()));
    let other = file(dir.path().join("bare"));
    assert!(flock(&other, EXCLUSIVE).is_ok(), "real: the child has freed its parent's lock");

    let store = open(&dir);
    let mut handle = Some(store.agent("a").expect("a"));
    assert_good(in_child(|| {
        drop(handle.take());
        is_busy(store.agent("a"))
    }));
    assert!(flock(file(dir.path().join("a.lock")), EXCLUSIVE).is_err(), "the parent's lock is gone");
}

#[test]
fn posix_fcntl_locks() {
    let dir = dir();
    let path = dir.path().join("bare");
    let (one, two) = (file(&path), file(&path));
    assert!(
        posix_lock(&one).is_ok() && posix_lock(&two).is_ok(),
        "real: two handles, one process, both hold"
    );
    drop(two);
    let lost = in_child(|| posix_lock(&file(&path)).is_ok());
    assert_good(lost); // real: closing one has freed the other

    let store = open(&dir);
    let _agent = store.agent("a").expect("a");
    drop(file(dir.path().join("a.lock")));
    let elsewhere = thread::scope(|scope| scope.spawn(|| is_busy(open(&dir).agent("a"))).join());
    assert!(elsewhere.expect("ends"), "two handles in one process");
    assert_good(in_child(|| is_busy(open(&dir).agent("a"))));
}

#[test]
fn flock_and_ofd_locks_on_one_file() {
    let dir = dir();
    let path = dir.path().join("bare");
    let (one, two) = (file(&path), file(&path));
    assert!(flock(&one, EXCLUSIVE).is_ok() && ofd_lock(&two).is_ok(), "real: both are granted");

    let store = open(&dir);
    let guard = store.exclusive().expect("locks");
    let waiting = in_child(|| Store::open(&dir).is_ok_and(|store| store.exclusive().is_ok()));
    await_waiter(&dir.path().join(".metadata.queue"));
    // The lock file has flock's only, and the queue has only the others.
    ofd_lock(&file(dir.path().join(METADATA_LOCK))).expect("nobody has such a lock there");
    flock(file(dir.path().join(".metadata.queue")), EXCLUSIVE).expect("nobody has such a lock there");
    drop(guard);
    assert_good(waiting);
}

#[test]
fn sh_to_ex_conversion() {
    let dir = dir();
    let path = dir.path().join("bare");
    let (one, two) = (file(&path), file(&path));
    assert!(flock(&one, SHARED).is_ok() && flock(&two, SHARED).is_ok());
    assert!(flock(&one, EXCLUSIVE).is_err(), "another reads");
    assert!(flock(&two, EXCLUSIVE).is_ok(), "real: the attempt has cost the first its shared lock");

    let store = open(&dir);
    let guard = store.shared().expect("locks");
    assert!(matches!(store.exclusive(), Err(Error::Reentry { .. })), "there is no conversion");
    assert!(flock(file(dir.path().join(METADATA_LOCK)), EXCLUSIVE).is_err(), "the shared lock is gone");
    drop(guard);
    store.exclusive().expect("given back, and taken anew");
}

#[test]
fn blocking_acquire_and_eintr() {
    // In memory: to catch a signal is unsafe, and one that nobody catches does not interrupt.
    let host = MemHost::new();
    let store = Store::on(host.clone(), "/d").expect("opens");
    let bare = host.open_lock(Path::new("/d/bare")).expect("opens");
    host.fail_next(Call::Lock, Errno::INTR);
    let error = host.lock(&bare, Mode::Exclusive).expect_err("real: the call comes back without the lock");
    assert_eq!(error.raw_os_error(), Some(Errno::INTR.raw_os_error()));
    for wait in [Wait::Forever, Wait::For(Duration::from_secs(1)), Wait::No] {
        (0..3).for_each(|_| host.fail_next(Call::Lock, Errno::INTR));
        let store = store.clone().waiting(wait);
        store.agent("a").and_then(|agent| agent.update(|metadata| set(metadata, 1))).expect("tries again");
    }
}

#[test]
fn lock_on_the_data_file_that_is_then_replaced() {
    let dir = dir();
    let path = dir.path().join("bare");
    let holder = file(&path);
    flock(&holder, EXCLUSIVE).expect("locks");
    fs::write(dir.path().join("new"), "")
        .and_then(|()| fs::rename(dir.path().join("new"), &path))
        .expect("replaces");
    assert!(flock(file(&path), EXCLUSIVE).is_ok(), "real: a second holder");

    let store = open(&dir);
    let agent = store.agent("a").expect("a");
    let inodes = || {
        [METADATA_LOCK, METADATA_FILE].map(|name| fs::metadata(dir.path().join(name)).expect("exists").ino())
    };
    agent.update(|metadata| set(metadata, 1)).expect("updates");
    // Kept open, so that the number is not given away again.
    let (before, _old) = (inodes(), file(store.path()));
    agent.update(|metadata| set(metadata, 2)).expect("updates");
    let after = inodes();
    assert_eq!(before[0], after[0], "the lock file is the same");
    assert_ne!(before[1], after[1], "the data file is another");
}

#[test]
fn in_place_write() {
    let dir = dir_in_memory();
    let (path, text) = (dir.path().join("bare"), json!({ "a": "x".repeat(100_000) }).to_string());
    fs::write(&path, &text).expect("writes");
    let writer = in_child(|| {
        loop {
            fs::write(&path, &text).expect("writes");
        }
    });
    let parses = |path: &Path| serde_json::from_slice::<Metadata>(&fs::read(path).expect("reads")).is_ok();
    // Real: sooner or later somebody reads half a file.
    while parses(&path) {}
    end(writer);

    let store = Store::open(&dir).expect("opens");
    let agent = store.agent("b").expect("b");
    agent.update(|_| ()).expect("updates");
    drop(agent);
    let writer = in_child(|| {
        let agent = store.agent("a").expect("a");
        (0..500)
            .all(|round| agent.update(|metadata| metadata.insert("a".into(), json!([text, round]))).is_ok())
    });
    while waitpid(writer, Some(WaitPidFlag::WNOHANG)).expect("asks") == WaitStatus::StillAlive {
        assert!(parses(&store.path()), "half a file");
    }
    assert_eq!(store.load().expect("loads")["a"][1], 499);
}

#[test]
fn rename_over_a_symbolic_link_and_mode_and_owner() {
    let dir = dir();
    let [real, link, new] = ["real", METADATA_FILE, "new"].map(|name| dir.path().join(name));
    let prepare = || {
        drop(fs::remove_file(&link));
        fs::write(&real, "{}").expect("writes");
        fs::set_permissions(&real, Permissions::from_mode(0o640)).expect("sets the mode");
        // Only root can give files away; for others the owner is their own.
        drop(chown(&real, Some(65534), Some(65534)));
        symlink("real", &link).expect("links");
        let found = fs::metadata(&real).expect("exists");
        (found.mode() & 0o7777, found.uid(), found.gid())
    };
    let before = prepare();
    fs::write(&new, "{}").and_then(|()| fs::rename(&new, &link)).expect("replaces");
    assert!(!link.is_symlink(), "real: the link is gone");

    assert_eq!(prepare(), before);
    open(&dir).agent("a").and_then(|agent| agent.update(|metadata| set(metadata, 1))).expect("updates");
    assert_eq!(fs::read_link(&link).expect("still a link"), Path::new("real"));
    let after = fs::metadata(&real).expect("exists");
    assert_eq!((after.mode() & 0o7777, after.uid(), after.gid()), before);
    assert_eq!(fs::read_to_string(&real).expect("reads"), "{\n  \"a\": 1\n}\n");
}

fn temporary_files(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).expect("lists").map(|entry| entry.expect("an entry").path());
    names.filter(|path| path.extension().is_some_and(|end| end == "tmp")).collect()
}

#[test]
fn sigkill_of_the_holder() {
    let dir = dir();
    // Killed again and again, until it leaves what it was writing.
    while temporary_files(dir.path()).is_empty() {
        let writer = in_child(|| {
            let agent = Store::open(&dir).and_then(|store| store.agent("a")).expect("a");
            loop {
                agent.update(|metadata| set(metadata, 1)).expect("updates");
            }
        });
        while temporary_files(dir.path()).is_empty() {}
        end(writer);
    }
    let store = open(&dir);
    assert_eq!(temporary_files(dir.path()), Vec::<PathBuf>::new());
    let agent = store.agent("a").expect("the agent's lock is free");
    agent.update(|metadata| set(metadata, 2)).expect("the metadata lock is free");
}

#[test]
fn sigstop_of_the_holder() {
    let dir = dir();
    let (go, mut said) = pipe().expect("a pipe");
    let (mut go, store) = (Some(go), Store::open(&dir).expect("opens"));
    let mut hear = None;
    let child = {
        let (listen, mut tell) = pipe().expect("a pipe");
        hear.replace(listen);
        in_child(|| {
            let agent = store.agent("a").expect("a");
            let done = agent.update(|metadata| {
                tell.write_all(b"!").expect("somebody listens");
                go.take().expect("once").read_exact(&mut [0]).expect("goes on");
                set(metadata, 1);
            });
            done.is_ok()
        })
    };
    hear.expect("the other end").read_exact(&mut [0]).expect("it holds both locks");
    kill(child, Signal::SIGSTOP).expect("stops");
    waitpid(child, Some(WaitPidFlag::WUNTRACED)).expect("it has stopped");
    // However long that takes, nobody else gets the lock, and they learn who has it.
    for wait in [Wait::No, Wait::For(Duration::from_millis(20))] {
        match store.clone().waiting(wait).exclusive() {
            Err(Error::Busy { holder: Some(holder), .. }) => {
                assert_eq!(holder, format!("pid {child} agent a"));
            }
            _ => panic!("the lock of a stopped process was had"),
        }
    }
    said.write_all(b"!").expect("writes");
    kill(child, Signal::SIGCONT).expect("goes on");
    assert_good(child);
    assert_eq!(store.load().expect("loads")["a"], 1);
}
