//! A change that another process does along with its own, and is killed: at each of its calls in turn, in memory.

use std::path::Path;
use std::thread;

use cooks_core::host::{Host, MemHost};
use cooks_core::{METADATA_FILE, Metadata, Store};
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

/// What the file holds after process 1 was killed so many calls after it knew that process 2 waits.
fn after_a_kill(calls: u32) -> Metadata {
    let host = MemHost::new();
    host.put(&Path::new(DIR).join(METADATA_FILE), br#"{ "a": 0, "b": 0 }"#);
    let store = Store::on(host.clone(), DIR).expect("opens");
    thread::scope(|scope| {
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
        let killed = agent.update(|metadata| {
            go.0.send(()).expect("listens");
            await_request(&host);
            host.kill_after(1, calls);
            metadata.insert("a".into(), json!(1));
        });
        assert!(killed.is_err() || calls > 10, "it ended in {calls} calls");
        drop(agent);
        waiting.join().expect("it gets on, whoever is killed");
    });
    let store = Store::on(host.as_process(3), DIR).expect("opens");
    store.load().expect("loads").to_metadata()
}

#[test]
fn a_change_is_done_once_wherever_the_one_who_does_it_is_killed() {
    let wrong: Vec<_> = (0..CALLS).filter(|calls| after_a_kill(*calls)["b"] != 2).collect();
    assert!(wrong.is_empty(), "not exactly once when killed after {wrong:?} calls");
}
