//! Locks, merge and atomic replace for a JSON file that many processes share.
//!
//! Several agents, each a process of its own, keep what they know about themselves in one file,
//! `agent_metadata.json`: an object with one key for each agent. This package lets them do so without losing each
//! other's updates, without reading half a file, and without ever waiting for each other in a circle.
//!
//! ```
//! use cooks_core::Store;
//! use serde_json::json;
//!
//! # let dir = tempfile::tempdir()?;
//! let store = Store::open(&dir)?;
//! let agent = store.agent("chef")?; // waits until no other process is this agent
//! agent.change(|part| *part = Some(json!({ "dishes": 1 })))?;
//! assert_eq!(store.load()?["chef"]["dishes"], 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is locked
//!
//! | file | lock | held |
//! |---|---|---|
//! | `{agent_id}.lock` | exclusive | by an [`Agent`] handle, from [`Store::agent`] until it is dropped |
//! | `.metadata.lock` | shared | by [`Store::load`], while it reads; by [`Store::shared`] |
//! | `.metadata.lock` | exclusive | by each way to write, from before the reading until after the flush; by [`Store::exclusive`] |
//!
//! The locks are flock(2) on the lock files, so the kernel frees them when their holder dies, however it dies: there
//! are no stale locks, and a lock file that lies around means nothing. Never delete one (if somebody does, the locks
//! still hold). The line of text in it names who wrote last, for people; nothing is decided by it. Any program that
//! takes the same flock takes part.
//!
//! Nothing is ever read or written without the lock. A lock that cannot be had in time ([`Store::waiting`]) is an
//! [`Error::Busy`], and the call has done nothing. Locks work between the threads of a process as between processes.
//!
//! **First come, first served**: who finds a lock taken takes a place in its queue (`.metadata.queue`,
//! `{agent_id}.queue`; only on Linux), and nobody passes, readers neither. So each waits for those who were there before,
//! and for no other. A place ends with the process that has it. Other programs that take the flock are not in the queue;
//! they get the lock by turns with whoever is first in it. A process that is *stopped* (SIGSTOP) while it holds a lock or is
//! next in the queue keeps the others waiting until it goes on: there are no leases that could run out under it.
//!
//! A thread takes agent locks in the order of their ids, and the metadata lock last. Anything else is an
//! [`Error::Order`] or an [`Error::Reentry`] at once, instead of a deadlock some day:
//!
//! ```
//! # use cooks_core::{Error, Store};
//! # let dir = tempfile::tempdir()?;
//! # let store = Store::open(&dir)?;
//! let agent = store.agent("chef")?;
//! let inner = agent.update(|_metadata| store.load())?; // the lock is held already: use `_metadata`
//! assert!(matches!(inner, Err(Error::Reentry { .. })));
//! assert!(matches!(store.agent("baker"), Err(Error::Order { .. }))); // baker comes before chef
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which way to write
//!
//! | call | sees | for |
//! |---|---|---|
//! | [`Agent::change`] | the agent's own part | most changes; many writers share one flush |
//! | [`Agent::update`] | the whole file as it is | a change that depends on other agents' parts |
//! | [`Agent::save`] | nothing: the caller loaded before | a program that keeps a copy and works on it |
//! | [`Agent::compare_and_save`] | nothing | the same, if *nothing at all* may have changed since |
//!
//! `save` puts the *difference* between what was loaded and what became of it on top of what is there now ([`merge`]).
//! What you did not touch stays as others wrote it; a stale copy never undoes anything, and what others deleted does not
//! come back.
//!
//! ```
//! # use cooks_core::{Error, Store};
//! # use serde_json::json;
//! # let dir = tempfile::tempdir()?;
//! # let store = Store::open(&dir)?;
//! let base = store.load()?;
//! let mut mine = base.to_metadata();
//! mine.insert("chef".into(), json!("cooking"));
//!
//! store.agent("baker")?.change(|part| *part = Some(json!("baking")))?; // meanwhile
//!
//! let saved = store.agent("chef")?.save(&base, &mine)?; // the base for the next save
//! assert_eq!(saved["baker"], "baking");
//! assert_eq!(saved["chef"], "cooking");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each may change only the part under the agent's own id: an agent's part has one writer, the holder of its lock. The parts
//! of others go from file to file byte for byte as they stand.
//!
//! # What is durable when a call returns
//!
//! When a call that writes returns `Ok`, the change survives a kill and a loss of power: the new content was written
//! to a temporary file in the same directory and flushed, the file was renamed over the old one, and the directory
//! was flushed. A reader, also one without a lock, sees the old file or the new one. Where several waited, one of them has
//! done so for all, and each is told only then.
//!
//! A writer that is killed leaves the old file or the new one, and perhaps its temporary file, which the next
//! [`Store::open`] removes, or puts in the place of a file that a loss of power took away ([`Store::recover`]).
//! The file keeps its mode and its owner; where it is a symbolic link, the file that the link leads to is replaced.
//!
//! # What each error means
//!
//! | error | has happened | what to do |
//! |---|---|---|
//! | [`Busy`](Error::Busy) | another holds the lock; nothing was done | try later, or look who holds it |
//! | [`Reentry`](Error::Reentry), [`Order`](Error::Order), [`Forked`](Error::Forked), [`NotOwner`](Error::NotOwner), [`BadId`](Error::BadId), [`TooDeep`](Error::TooDeep) | nothing; the call would break a rule | correct the program |
//! | [`Conflict`](Error::Conflict) | another changed the same value; nothing was written | load again and decide, or choose a [`Policy`](merge::Policy) or a [`Strategy`](merge::Strategy) |
//! | [`Changed`](Error::Changed) | the file is not the one that was loaded; nothing was written | load again and decide |
//! | [`Corrupt`](Error::Corrupt) | the file is no JSON object; it was not touched | repair it at the place that is named |
//! | [`Lost`](Error::Lost) | a loss of power took the file and left only torn copies | put a copy of the file back |
//! | [`FileSystem`](Error::FileSystem) | NFS, SMB or unknown; nothing was done | another place, or [`Store::open_anywhere`] |
//! | [`Io`](Error::Io) | the system refused; the file is as before | see what the system says |
//! | [`Unknown`](Error::Unknown) | the file was replaced, but may not survive a loss of power | load, look, and change it again; not blindly where a counter is merged by sums |
//!
//! # Limits
//!
//! - The queue and shared flushes are there on Linux only; elsewhere locks are the bare flock, which promises no order.
//! - A process that forks while another of its threads waits for a lock or holds it, and is then killed while the child lives on
//!   without an exec, leaves the lock with the child until that ends.
//! - Whole numbers beyond 64 bits are read as floating point, as serde_json does. In a part that is not written they stay.
//! - Extended attributes and ACLs of the file are not carried over to its replacement.
//! - The file has at most 64 MiB, and 100 levels.
#![forbid(unsafe_code)]

mod agent;
mod error;
mod file;
pub mod host;
mod id;
mod json;
mod lock;
pub mod merge;
#[cfg(test)]
mod model;
mod queue;
mod rules;
mod snapshot;
mod store;

pub use agent::Agent;
pub use error::Error;
pub use file::Recovered;
pub use id::AgentId;
pub use lock::{Guard, HeldLocks, Wait};
pub use snapshot::{Generation, Snapshot};
pub use store::{METADATA_FILE, METADATA_LOCK, Store};

/// The content of the metadata file: an object whose keys are agent ids.
pub type Metadata = serde_json::Map<String, serde_json::Value>;
