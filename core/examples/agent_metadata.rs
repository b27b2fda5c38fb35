//! An agent that keeps its status in the metadata file which all agents share.
//!
//! ```text
//! cargo run -p cooks-core --example agent_metadata -- DIR AGENT STATUS
//! ```
//!
//! It loads the file, shows what every agent says about itself, and saves its own status. Start as many at once as you
//! like. This replaces the `load_metadata` and `save_metadata` that lost updates: those locked the agent, but not the
//! file, and wrote back all that they had once read.

use std::process::ExitCode;
use std::time::Duration;

use cooks_core::{Agent, Error, Metadata, Snapshot, Store, Wait};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, id, status] = &arguments[..] else {
        eprintln!("usage: agent_metadata DIR AGENT STATUS");
        return ExitCode::from(2);
    };
    match run(dir, id, status) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\n{}", advice(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(dir: &str, id: &str, status: &str) -> Result<(), Error> {
    // Without this it would wait for a lock as long as it takes. A person would rather be told who is in the way.
    let store = Store::open(dir)?.waiting(Wait::For(Duration::from_secs(30)));

    // From here until `agent` is dropped, no other process can be this agent.
    let agent = store.agent(id)?;

    // Reads under the shared lock: never half of what somebody is writing. A missing file is an empty object.
    let loaded = store.load()?;
    show(&loaded);

    // Whatever takes its time is done here, between loading and saving, while nobody waits for us.
    save(&agent, &loaded, status)?;
    println!("{id} is {status}");
    Ok(())
}

fn show(metadata: &Metadata) {
    for (agent, part) in metadata {
        println!("{agent}: {part}");
    }
}

/// Saves the difference between what was loaded and what we made of it. What other agents have saved since stays.
fn save(agent: &Agent, loaded: &Snapshot, status: &str) -> Result<Snapshot, Error> {
    let mut mine = loaded.to_metadata();
    set_status(&mut mine, agent.id().as_str(), status);
    match agent.save(loaded, &mine) {
        // Somebody wrote our part without our lock, a person with an editor for instance. Load again and decide: here,
        // that the status is ours to say, and the rest of the part theirs. `update` has the file as it is now.
        Err(Error::Conflict(conflicts)) => {
            eprintln!("{conflicts}");
            agent.update(|metadata| set_status(metadata, agent.id().as_str(), status))?;
            agent.store().load()
        }
        // Replaced, but perhaps not for good. Saving the same once more does no harm.
        Err(Error::Unknown { .. }) => agent.save(loaded, &mine),
        result => result,
    }
}

/// Only the part under our own id may be changed: anything else would be an `Error::NotOwner`.
fn set_status(metadata: &mut Metadata, id: &str, status: &str) {
    let part = metadata.entry(id).or_insert_with(|| json!({}));
    match part {
        Value::Object(fields) => drop(fields.insert("status".into(), json!(status))),
        _ => *part = json!({ "status": status }),
    }
}

/// What to do about it. Nothing was written, but for `Unknown`.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::Busy { .. } => "Try again later, or look what that process does. Never delete the lock file.",
        Error::BadId { .. } => "Choose another name for the agent.",
        Error::TooDeep { .. } => "Make the status simpler.",
        Error::Conflict(_) | Error::Changed { .. } => "Load again and decide.",
        Error::Corrupt { .. } => "Repair the file at that place, or put back a copy.",
        Error::Lost { .. } => "Put back a copy, or remove what was kept if it is of no use.",
        Error::FileSystem { .. } => "Choose a directory on a disk of this machine.",
        Error::Unknown { .. } => "Load, look whether it is there, and save once more.",
        Error::Io { .. } => "See what the system says.",
        Error::Reentry { .. } | Error::Order { .. } | Error::Forked { .. } | Error::NotOwner { .. } => {
            "This is a mistake in the program."
        }
        _ => "See the documentation of this error.",
    }
}
