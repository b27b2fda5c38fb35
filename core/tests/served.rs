//! A change that another process does along with its own, and fails in the middle of it: killed at each of its calls in
//! turn, or refused a flush. In memory.

use std::path::Path;
use std::thread;

use cooks_core::host::{Call, Host, MemHost};
use cooks_core::{Error, METADATA_FILE, Store};
use rustix::io::Errno;
use serde_json::{Value, json};

const DIR: &str = "/d";

/// More than the calls that a writer makes from its closure to its end.
const CALLS: u32 = 60;

fn add_one(part: &mut Option<Value>) {
    *part = Some(json!(part.as_ref().and_then(Value::as_u64).unwrap_or(0) + 1));
}

/// Waits until somebody has left a request in the queue: beyond this byte they say that they have.
fn await_request(host: &MemHost) {
    let queue = host.open_lock(&Path::new(DIR).join(".metadata.queue")).expect("opens");
    while host.taken_bytes(&queue, 1 << 40..1 << 41).expect("asks").is_none() {
        thread::yield_now();
    }
}

/// Two changes by process 2, the second while process 1 has the lock, to which `befalls` happens once it knows that
/// process 2 waits. What the part of process 2 is in the end, and what process 1 was told.
fn after(befalls: impl FnOnce(&MemHost)) -> (Value, Result<(), Error>) {
    let host = MemHost::new();
    host.put(&Path::new(DIR).join(METADATA_FILE), br#"{ "a": 0, "b": 0 }"#);
    let store = Store::on(host.clone(), DIR).expect("opens");
    let told = thread::scope(|scope| {
        let (go, ready) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        let other = host.as_process(2);
        let waiting = scope.spawn(move || {
            let store = Store::on(other, DIR).expect("opens");
            let agent = store.agent("b").expect("b");
            agent.change(add_one).expect("the first, so that it knows its part");
            ready.0.send(()).expect("listens");
            go.1.recv().expect("is told");
            agent.change(add_one).expect("the second, which waits");
        });
        ready.1.recv().expect("is told");
        let agent = store.agent("a").expect("a");
        let told = agent.update(|metadata| {
            go.0.send(()).expect("listens");
            await_request(&host);
            befalls(&host);
            drop(metadata.insert("a".into(), json!(1)));
        });
        drop(agent);
        waiting.join().expect("it gets on, whatever befalls the other");
        told
    });
    let store = Store::on(host.as_process(3), DIR).expect("opens");
    (store.load().expect("loads")["b"].clone(), told)
}

#[test]
fn a_change_is_done_once_wherever_the_one_who_does_it_is_killed() {
    let (mut deaths, mut wrong) = (0, Vec::new());
    for calls in 0..CALLS {
        let (count, told) = after(|host| host.kill_after(1, calls));
        deaths += u32::from(told.is_err());
        if count != 2 {
            wrong.push((calls, count));
        }
    }
    assert!((10..CALLS).contains(&deaths), "killed in time {deaths} times");
    assert!(wrong.is_empty(), "killed after so many calls, done so often (2 is right): {wrong:?}");
}

#[test]
fn a_change_is_done_once_though_the_one_who_does_it_cannot_flush() {
    for call in [Call::Write, Call::Sync, Call::Rename, Call::SyncDir] {
        let (count, told) = after(|host| host.fail_next(call, Errno::IO));
        assert!(told.is_err(), "{call:?}");
        assert_eq!(count, 2, "{call:?}");
    }
}
