//! What the benchmarks ask of the core, in one place.

use std::path::Path;

use cooks_core::host::Mode;
use cooks_core::{Agent, Metadata, Store};
use serde_json::Value;

use crate::locks::Locked;

/// The name of the rows in which the core's own lock is taken.
pub const LOCK: &str = "ours";

/// The name of the rows in which updates that wait are committed together.
pub const GROUP_COMMIT: &str = "ours";

/// Opens the metadata lock.
pub fn lock(dir: &Path, mode: Mode) -> Locked {
    let store = open(dir);
    Box::new(move |work| {
        let _lock = match mode {
            Mode::Shared => store.shared(),
            Mode::Exclusive => store.exclusive(),
        }
        .expect("the lock");
        work();
    })
}

/// Opens the store.
pub fn open(dir: &Path) -> Store {
    Store::open(dir).expect("the store opens")
}

/// Changes the agent's own part, together with others who wait to change theirs. Durable when this returns.
pub fn change(agent: &Agent, mut change: impl FnMut(&mut Option<Value>)) {
    agent.change(|part| change(part)).expect("a change");
}

/// Changes the agent's own part alone: no other change goes into the same file.
pub fn update(agent: &Agent, change: impl FnOnce(&mut Option<Value>)) {
    let id = agent.id().as_str();
    let in_whole = |metadata: &mut Metadata| {
        let mut part = metadata.remove(id);
        change(&mut part);
        part.and_then(|part| metadata.insert(id.to_owned(), part));
    };
    agent.update(in_whole).expect("an update");
}
