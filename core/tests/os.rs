//! What only the operating system can show: processes, forks, other programs' locks, modes.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write, pipe};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use cooks_core::{Error, METADATA_FILE, METADATA_LOCK, Metadata, Store, Wait};
use fork::Fork;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use tempfile::TempDir;

fn dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn count_up(metadata: &mut Metadata, key: &str) {
    let count = metadata.get(key).and_then(Value::as_u64).unwrap_or(0);
    metadata.insert(key.to_owned(), json!(count + 1));
}

/// Runs `work` in a forked child. The child exits with 0 when it is true.
fn in_child(work: impl FnOnce() -> bool) -> Pid {
    match fork::fork().expect("forks") {
        Fork::Parent(pid) => Pid::from_raw(pid),
        Fork::Child => {
            let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(false);
            std::process::exit(i32::from(!good));
        }
    }
}

fn assert_good(child: Pid) {
    assert_eq!(waitpid(child, None).expect("waits"), WaitStatus::Exited(child, 0));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("exists").mode() & 0o7777
}

#[test]
fn processes_lose_no_update_and_no_save() {
    const PROCESSES: usize = 4;
    const ROUNDS: usize = 20;
    let dir = dir();
    let work = |process: usize| -> Result<(), Error> {
        let (store, id) = (Store::open(&dir)?, format!("agent-{process}"));
        for _ in 0..ROUNDS {
            let agent = store.agent(&id)?;
            agent.update(|metadata| count_up(metadata, &id))?;
            let base = store.load()?;
            let mut mine = base.to_metadata();
            count_up(&mut mine, &id);
            agent.save(&base, &mine)?;
            // One part that all processes count up together, each under its lock.
            drop(agent);
            store.agent("all")?.update(|metadata| count_up(metadata, "all"))?;
        }
        Ok(())
    };
    let children: Vec<_> = (0..PROCESSES).map(|process| in_child(|| work(process).is_ok())).collect();
    children.into_iter().for_each(assert_good);
    let mut expected: Metadata =
        (0..PROCESSES).map(|process| (format!("agent-{process}"), json!(2 * ROUNDS))).collect();
    expected.insert("all".into(), json!(PROCESSES * ROUNDS));
    assert_eq!(Store::open(&dir).and_then(|store| store.load()).expect("loads"), expected);
}

#[test]
fn we_and_any_other_program_with_flock_exclude_each_other() {
    let dir = dir();
    let store = Store::open(&dir).expect("opens").waiting(Wait::No);
    let agent = store.agent("a").expect("a");
    let foreign = File::create(dir.path().join(METADATA_LOCK)).expect("opens");
    let busy = |result: Result<(), Error>| matches!(result, Err(Error::Busy { .. }));

    flock(&foreign, FlockOperation::LockExclusive).expect("locks");
    assert!(busy(store.load().map(drop)));
    assert!(busy(agent.update(|_| panic!("without the lock"))));
    assert!(busy(agent.save(&Metadata::new(), &Metadata::new()).map(drop)));
    assert!(busy(store.recover().map(drop)));

    flock(&foreign, FlockOperation::LockShared).expect("locks");
    store.load().expect("readers go together");
    assert!(busy(agent.update(|_| panic!("without the lock"))));

    flock(&foreign, FlockOperation::Unlock).expect("unlocks");
    let refused = agent.update(|_| flock(&foreign, FlockOperation::NonBlockingLockShared).is_err());
    assert!(refused.expect("updates"), "the other program got in while we held the lock");
    flock(&foreign, FlockOperation::NonBlockingLockExclusive).expect("our lock is free again");
}

#[test]
fn a_blocked_writer_goes_on_when_the_other_lets_go() {
    let dir = dir();
    let store = Store::open(&dir).expect("opens");
    for wait in [Wait::Forever, Wait::For(Duration::MAX)] {
        let held = File::create(dir.path().join(METADATA_LOCK)).expect("opens");
        flock(&held, FlockOperation::LockExclusive).expect("locks");
        let (started, mut start) = pipe().expect("a pipe");
        let store = store.clone().waiting(wait);
        let child = in_child(|| {
            let agent = store.agent("a").expect("a");
            start.write_all(b"!").expect("writes");
            agent.update(|metadata| count_up(metadata, "a")).is_ok()
        });
        { started }.read_exact(&mut [0]).expect("the child is about to wait");
        flock(&held, FlockOperation::Unlock).expect("unlocks");
        assert_good(child);
    }
    assert_eq!(store.load().expect("loads").get("a"), Some(&json!(2)));
}

#[test]
fn a_handle_dropped_in_a_forked_child_leaves_the_parents_lock_alone() {
    let dir = dir();
    let store = Store::open(&dir).expect("opens");
    let agent = store.agent("a").expect("a");
    let mut handle = Some(agent);
    assert_good(in_child(|| {
        let agent = handle.take().expect("the child's copy");
        let refused = matches!(agent.update(|_| ()), Err(Error::Forked { .. }));
        drop(agent);
        let busy = matches!(store.clone().waiting(Wait::No).agent("a").map(drop), Err(Error::Busy { .. }));
        let own = store.agent("b").and_then(|agent| agent.update(|metadata| count_up(metadata, "b")));
        refused && busy && own.is_ok()
    }));
    let probe = File::open(dir.path().join("a.lock")).expect("opens");
    assert!(
        flock(&probe, FlockOperation::NonBlockingLockShared).is_err(),
        "the child freed its parent's lock"
    );
    handle.expect("the parent's").update(|metadata| count_up(metadata, "a")).expect("the parent goes on");
}

#[test]
fn a_lock_does_not_outlive_its_guard_in_a_forked_child() {
    let dir = dir();
    let store = Store::open(&dir).expect("opens").waiting(Wait::No);
    let agent = store.agent("a").expect("a");
    let (mut wait, go) = pipe().expect("a pipe");
    // The child keeps its copy of the open lock file until the pipe is closed.
    let writer = go.try_clone().expect("a second end");
    let child = in_child(move || {
        drop((writer, go));
        wait.read_to_end(&mut Vec::new()).is_ok()
    });
    drop(agent);
    store.agent("a").expect("the lock is free while the child lives");
    nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).expect("kills");
    waitpid(child, None).expect("waits");
}

#[test]
fn a_file_keeps_its_mode_and_new_ones_get_safe_ones() {
    let dir = dir();
    let store = Store::open(&dir).expect("opens");
    let agent = store.agent("a").expect("a");
    agent.update(|metadata| count_up(metadata, "a")).expect("updates");
    assert_eq!(mode(&store.path()) & !0o644, 0, "a new file is written by its owner only");
    for lock in ["a.lock", METADATA_LOCK] {
        assert_eq!(mode(&dir.path().join(lock)), 0o600, "{lock}");
    }
    for kept in [0o640, 0o600, 0o664, 0o444] {
        fs::set_permissions(store.path(), Permissions::from_mode(kept)).expect("sets the mode");
        agent.update(|metadata| count_up(metadata, "a")).expect("updates");
        assert_eq!(mode(&store.path()), kept);
    }
}

#[test]
fn a_link_to_another_directory_is_followed_and_the_new_file_made_there() {
    let (dir, other) = (dir(), dir());
    let real = other.path().join("data.json");
    fs::write(&real, "{}").expect("writes");
    symlink(&real, dir.path().join(METADATA_FILE)).expect("links");
    let store = Store::open(&dir).expect("opens");
    store.agent("a").expect("a").update(|metadata| count_up(metadata, "a")).expect("updates");
    assert_eq!(fs::read_to_string(&real).expect("reads"), "{\n  \"a\": 1\n}\n");
    assert!(store.path().is_symlink());
    assert_eq!(fs::read_dir(other.path()).expect("lists").count(), 1, "nothing else is left there");
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let dir = dir();
    let store = Store::open(&dir).expect("opens");
    nix::unistd::mkfifo(&store.path(), nix::sys::stat::Mode::S_IRWXU).expect("makes a FIFO");
    let result = store.load();
    assert!(matches!(result, Err(Error::Io { doing: "read", .. })), "{result:?}");
    fs::remove_file(store.path()).expect("removes");
    fs::create_dir(store.path()).expect("makes a directory");
    let result = store.agent("a").expect("a").update(|_| ());
    assert!(matches!(result, Err(Error::Io { doing: "read", .. })), "{result:?}");
    assert!(matches!(Store::open(dir.path().join("none")), Err(Error::Io { doing: "open", .. })));
}

#[test]
fn a_large_file_is_read_to_its_end() {
    let dir = dir();
    let store = Store::open(&dir).expect("opens");
    let text = "x".repeat(3_000_000);
    let agent = store.agent("a").expect("a");
    agent.update(|metadata| metadata.insert("a".into(), json!(text))).expect("updates");
    assert_eq!(store.load().expect("loads").get("a"), Some(&json!(text)));
}

#[test]
fn errors_say_what_where_and_how() {
    let dir = dir();
    let store = Store::open(&dir).expect("opens");
    fs::write(store.path(), "{\n  \"a\": 1,\n}\n").expect("writes");
    let message = store.load().expect_err("corrupt").to_string();
    let expected = "/agent_metadata.json is corrupt at line 3, column 1 (byte 12): trailing comma";
    assert!(message.ends_with(expected), "{message}");
}
