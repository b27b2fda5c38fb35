//! What the benchmarks ask of the core, in one place.

use std::path::Path;

use cooks_core::host::Mode;
use cooks_core::{Agent, Metadata, Store};
use serde_json::Value;

use crate::locks::{self, Locked};

/// The name of the rows in which the core's own lock is taken.
pub const LOCK: &str = "ours (stand-in)";

/// The name of the rows in which updates that wait are committed together.
pub const GROUP_COMMIT: &str = "ours (stand-in)";

/// Opens the metadata lock.
///
/// Stand-in: the core has no public guard of that lock yet. Then this is `store.exclusive()` for the exclusive mode
/// and its like for the shared one, and [`LOCK`] is "ours".
pub fn lock(dir: &Path, mode: Mode) -> Locked {
    let _store = open(dir);
    locks::checked(dir, mode)
}

/// Opens the store.
pub fn open(dir: &Path) -> Store {
    Store::open(dir).expect("the store opens")
}

/// Changes the agent's own part, together with others who wait to change theirs. Durable when this returns.
///
/// Stand-in: the core does not do so yet. Then this is `agent.change(change)`, and [`GROUP_COMMIT`] is "ours".
pub fn change(agent: &Agent, change: impl FnOnce(&mut Option<Value>)) {
    update(agent, change);
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
