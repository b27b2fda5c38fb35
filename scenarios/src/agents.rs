//! The agents of the native scenarios.

use std::fs::File;
use std::io::{self, Read, Write};

use cooks_core::{Store, Wait};
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Map, Value, json};

/// The file that all agents share.
const METADATA: &str = "agent_metadata.json";

/// Status of an agent that cannot go on, as of a Python program that raises.
const FAILED: i32 = 1;

/// The save as it was before the repair: under the agent's own lock, which nobody else takes, and no other.
pub fn unlocked(id: &str) -> i32 {
    finish(save_unlocked(id))
}

fn save_unlocked(id: &str) -> io::Result<()> {
    let lock = File::options().write(true).open(format!("{id}.lock"))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    let mut buffer = [0; 4096];
    let length = File::open(METADATA)?.read(&mut buffer)?;
    let mut metadata: Map<String, Value> = serde_json::from_slice(&buffer[..length])?;
    metadata.insert(id.to_owned(), json!({ "status": "active" }));
    let text = serde_json::to_vec_pretty(&metadata)?;
    File::create(METADATA)?.write_all(&text)
}

/// The same with the core: the part is changed under the exclusive lock, on the file as it is.
pub fn core(id: &str) -> i32 {
    finish(change_with_core(id))
}

fn change_with_core(id: &str) -> Result<(), cooks_core::Error> {
    let agent = Store::open(".")?.agent(id)?;
    agent.change(|part| *part = Some(json!({ "status": "active" })))
}

/// Two changes: whoever waits with the second leaves it with the other as a request.
pub fn core_twice(id: &str) -> i32 {
    finish(change_twice_with_core(id))
}

fn change_twice_with_core(id: &str) -> Result<(), cooks_core::Error> {
    let agent = Store::open(".")?.agent(id)?;
    for status in ["starting", "active"] {
        agent.change(|part| *part = Some(json!({ "status": status })))?;
    }
    Ok(())
}

/// A server that loads everything when it starts, and saves everything at a request, a unit of its own. The core puts the difference on
/// top of what is there by then. It does not wait: who finds a lock taken gives up, and has done nothing.
pub fn core_cached(id: &str) -> i32 {
    finish(load_and_save(id))
}

fn load_and_save(id: &str) -> Result<(), cooks_core::Error> {
    let store = Store::open(".")?.waiting(Wait::No);
    let base = store.load()?;
    cooks_harness::unit();
    let mut mine = base.to_metadata();
    mine[id]["updates"] = json!(1);
    store.agent(id)?.save(&base, &mine).map(drop)
}

/// An update by an agent that does not wait: who finds a lock taken gives up, and has done nothing.
pub fn core_at_once(id: &str) -> i32 {
    finish(change_at_once(id))
}

fn change_at_once(id: &str) -> Result<(), cooks_core::Error> {
    let agent = Store::open(".")?.waiting(Wait::No).agent(id)?;
    agent.change(|part| *part = Some(json!({ "updates": 1 })))
}

fn finish<E: std::fmt::Display>(result: Result<(), E>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            FAILED
        }
    }
}
