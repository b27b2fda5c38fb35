//! What one thread can show: rules whose loss needs no race to be seen.

use std::path::Path;

use super::*;
use crate::host::{OsHost, StdThreading};
use crate::lock::Wait;
use crate::queue::Queue;
use crate::rules::Rules;

type Mem = MemHost<StdThreading>;

fn store(disk: &Mem, process: u32, rules: &'static [Rule]) -> Store<Mem> {
    let host = disk.as_process(process);
    Store::open_clean(&host, Path::new(DIR)).expect("opens").breaking(rules).waiting(Wait::No)
}

/// One waits, and before it somebody did who left a request and died. Whether that is done by who has the lock.
fn does_the_request_of_the_dead(rules: &'static [Rule]) -> bool {
    let disk = Mem::new();
    let lock = Path::new(DIR).join(METADATA_LOCK);
    let path = Path::new(DIR).join(".metadata.queue");
    disk.put(&Path::new(DIR).join(METADATA_FILE), b"{}\n");
    let writer = store(&disk, 1, rules).agent("writer").expect("free");
    let open = |process| Queue::open(&disk.as_process(process), Rules::default(), &path).expect("opens");
    let (waiting, dead) = (open(2), open(3));
    let _waits = waiting.join(&path).expect("joins");
    let mut ticket = dead.join(&path).expect("joins");
    ticket.post(br#"["dead", [], [1], 3, 0]"#, &path).expect("asks");
    drop(ticket);
    drop(dead);
    // As one does who waits; a store that may not wait would be refused.
    let done = writer.update(|metadata| {
        let file = disk.open_lock(&lock).expect("opens");
        disk.write_at(&file, 0, &[b' '; 160]).expect("says that somebody waits");
        metadata.insert("writer".into(), json!(1));
    });
    done.expect("updates");
    final_state(&disk).contains_key("dead")
}

#[test]
fn only_the_living_are_served() {
    assert!(!does_the_request_of_the_dead(&[]));
    assert!(does_the_request_of_the_dead(&[Rule::RequestsOfTheLiving]), "the planted bug was not found");
}

/// Whether a forked child that drops its copy of a handle frees its parent's lock.
fn a_child_frees_its_parents_lock(rules: &'static [Rule]) -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || Store::open_clean(&OsHost::new(), dir.path()).expect("opens").waiting(Wait::No);
    let mut agent = Some(open().breaking(rules).agent("a").expect("free"));
    match fork::fork().expect("forks") {
        fork::Fork::Child => {
            drop(agent.take());
            std::process::exit(0);
        }
        fork::Fork::Parent(child) => wait_for(child),
    }
    // This thread holds it, and would be told so.
    std::thread::scope(|scope| scope.spawn(|| open().agent("a").is_ok()).join().expect("no panic"))
}

fn wait_for(child: i32) {
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child), None).expect("waits");
}

#[test]
fn a_child_that_drops_its_copy_frees_nothing() {
    assert!(!a_child_frees_its_parents_lock(&[]));
    assert!(a_child_frees_its_parents_lock(&[Rule::ChildrenOnlyClose]), "the planted bug was not found");
}

/// Whether a lock that its holder gave back is free while a child that was forked meanwhile lives.
fn is_free_beside_a_child(rules: &'static [Rule]) -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || Store::open_clean(&OsHost::new(), dir.path()).expect("opens").waiting(Wait::No);
    let agent = open().breaking(rules).agent("a").expect("free");
    let (wait, go) = std::io::pipe().expect("a pipe");
    match fork::fork().expect("forks") {
        fork::Fork::Child => {
            drop(go);
            drop(std::io::Read::read(&mut { wait }, &mut [0]));
            std::process::exit(0);
        }
        fork::Fork::Parent(child) => {
            drop(agent);
            let is_free = open().agent("a").is_ok();
            drop(go);
            wait_for(child);
            is_free
        }
    }
}

#[test]
fn a_lock_is_given_back_by_hand() {
    assert!(is_free_beside_a_child(&[]));
    assert!(!is_free_beside_a_child(&[Rule::UnlockedByHand]), "the planted bug was not found");
}
