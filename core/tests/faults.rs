//! What is left when a call of the system fails, in memory, where each can be made to fail.

use std::path::Path;

use cooks_core::host::{Call, Found, Host, MemHost};
use cooks_core::{Error, METADATA_FILE, METADATA_LOCK, Store};
use rustix::io::Errno;
use serde_json::json;

const DIR: &str = "/d";

/// A store whose file holds `{ "a": 1 }`.
fn store() -> (MemHost, Store<MemHost>) {
    let host = MemHost::new();
    host.put(&Path::new(DIR).join(METADATA_FILE), br#"{ "a": 1 }"#);
    (host.clone(), Store::on(host, DIR).expect("opens"))
}

fn update(store: &Store<MemHost>) -> Result<(), Error> {
    store.agent("a")?.update(|metadata| drop(metadata.insert("a".into(), json!(2))))
}

fn names(host: &MemHost) -> Vec<String> {
    host.list(Path::new(DIR)).expect("lists")
}

#[test]
fn a_failure_before_the_replacement_leaves_the_old_file_and_no_other() {
    for (call, error, doing) in [
        (Call::Write, Errno::NOSPC, "write"),
        (Call::Sync, Errno::IO, "flush"),
        (Call::Rename, Errno::ACCESS, "replace"),
    ] {
        let (host, store) = store();
        host.fail_next(call, error);
        match update(&store) {
            Err(Error::Io { doing: said, source, .. }) => {
                assert_eq!((said, source.raw_os_error()), (doing, Some(error.raw_os_error())));
            }
            other => panic!("{call:?}: {other:?}"),
        }
        assert_eq!(store.load().expect("loads").get("a"), Some(&json!(1)), "{call:?}");
        assert_eq!(names(&host), [METADATA_LOCK, "a.lock", METADATA_FILE], "{call:?}");
        update(&store).expect("the locks are free, and the next one succeeds");
    }
}

#[test]
fn a_failed_flush_of_the_directory_is_neither_success_nor_failure() {
    let (host, store) = store();
    host.fail_next(Call::SyncDir, Errno::IO);
    let result = update(&store);
    assert!(matches!(result, Err(Error::Unknown { .. })), "{result:?}");
    assert_eq!(store.load().expect("loads").get("a"), Some(&json!(2)), "everybody sees the new file");
    update(&store).expect("updates");
}

#[test]
fn a_signal_does_not_end_the_wait_for_a_lock() {
    let (host, store) = store();
    for _ in 0..3 {
        host.fail_next(Call::Lock, Errno::INTR);
    }
    update(&store).expect("tries again");
}

#[test]
fn an_error_of_the_lock_is_never_passed_over() {
    let (host, store) = store();
    let agent = store.agent("a").expect("a");
    host.fail_next(Call::Lock, Errno::NOLCK);
    let result = agent.update(|_| panic!("without the lock"));
    assert!(matches!(result, Err(Error::Io { doing: "lock", .. })), "{result:?}");
    host.fail_next(Call::Lock, Errno::NOLCK);
    let result = store.load();
    assert!(matches!(result, Err(Error::Io { doing: "lock", .. })), "{result:?}");
}

#[test]
fn a_handle_is_of_no_use_to_another_process_and_leaves_its_lock_alone() {
    let (host, store) = store();
    let agent = store.agent("a").expect("a");
    host.become_process(2);
    let result = agent.update(|_| panic!("without the lock"));
    assert!(matches!(result, Err(Error::Forked { .. })), "{result:?}");
    store.load().expect("what the parent holds does not stand in the child's way");
    host.become_process(1);
    assert!(
        matches!(store.agent("a").map(drop), Err(Error::Reentry { .. })),
        "the parent holds it as before"
    );
}

#[test]
fn a_file_keeps_its_access() {
    let (host, store) = store();
    update(&store).expect("updates");
    let Found::File { access, .. } = host.read(&store.path(), u64::MAX).expect("reads") else {
        panic!("no file")
    };
    assert_eq!(access.mode, 0o644);
}
