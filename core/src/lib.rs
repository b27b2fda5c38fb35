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
//! agent.update(|metadata| metadata.insert("chef".into(), json!({ "dishes": 1 })))?;
//! assert_eq!(store.load()?["chef"]["dishes"], 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is locked
//!
//! | file | lock | held |
//! |---|---|---|
//! | `{agent_id}.lock` | exclusive | by an [`Agent`] handle, from [`Store::agent`] until it is dropped |
//! | `.metadata.lock` | shared | by [`Store::load`], while it reads |
//! | `.metadata.lock` | exclusive | by [`Agent::update`], [`Agent::save`] and [`Store::sweep`], from before the reading until after the flush |
//!
//! The locks are flock(2) on the lock files, so the kernel frees them when their holder dies, however it dies: there
//! are no stale locks, and a lock file that lies around means nothing. Never delete one. The line of text in it
//! names who took it last, for people; nothing is decided by it. Any program that takes the same flock takes part.
//!
//! Nothing is ever read or written without the lock. A lock that cannot be had in time ([`Store::waiting`]) is an
//! [`Error::Busy`], and the call has done nothing. Locks work between the threads of a process as between processes.
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
//! # Update or save
//!
//! [`Agent::update`] changes the file as it is now, under the lock. Prefer it. [`Agent::save`] is for a program that
//! loaded the file a while ago and has changed its copy: it puts the *difference* between what was loaded and what
//! became of it on top of what is there now ([`merge`]). What you did not touch stays as others wrote it; a stale
//! copy never undoes anything, and what others deleted does not come back.
//!
//! ```
//! # use cooks_core::{Error, Store};
//! # use serde_json::json;
//! # let dir = tempfile::tempdir()?;
//! # let store = Store::open(&dir)?;
//! let base = store.load()?;
//! let mut mine = base.clone();
//! mine.insert("chef".into(), json!("cooking"));
//!
//! store.agent("baker")?.update(|metadata| metadata.insert("baker".into(), json!("baking")))?; // meanwhile
//!
//! let saved = store.agent("chef")?.save(&base, &mine)?; // the base for the next save
//! assert_eq!(saved["baker"], "baking");
//! assert_eq!(saved["chef"], "cooking");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Either may change only the part under the agent's own id: an agent's part has one writer, the holder of its lock.
//!
//! # What is durable when a call returns
//!
//! When `update` or `save` returns `Ok`, the change survives a kill and a loss of power: the new content was written
//! to a temporary file in the same directory and flushed, the file was renamed over the old one, and the directory
//! was flushed. A reader, also one without a lock, sees the old file or the new one. A writer that is killed leaves
//! the old or the new one, and perhaps its temporary file, which [`Store::sweep`] removes. The file keeps its mode and its
//! owner; where it is a symbolic link, the file that the link leads to is replaced.
//!
//! # What each error means
//!
//! | error | has happened | what to do |
//! |---|---|---|
//! | [`Busy`](Error::Busy) | another holds the lock; nothing was done | try later, or look who holds it |
//! | [`Reentry`](Error::Reentry), [`Order`](Error::Order), [`Forked`](Error::Forked), [`NotOwner`](Error::NotOwner), [`BadId`](Error::BadId), [`TooDeep`](Error::TooDeep) | nothing; the call would break a rule | correct the program |
//! | [`Conflict`](Error::Conflict) | another changed the same value; nothing was written | load again and decide, or choose a [`Policy`](merge::Policy) |
//! | [`Corrupt`](Error::Corrupt) | the file is no JSON object; it was not touched | repair it at the place that is named |
//! | [`Io`](Error::Io) | the system refused; the file is as before | see what the system says |
//! | [`Unknown`](Error::Unknown) | the file was replaced, but may not survive a loss of power | load, look, and change it again |
//!
//! # Limits
//!
//! - Local file systems. On NFS and SMB, flock may hold within one machine only.
//! - Readers that overlap without a pause can keep a writer waiting; flock has no queue.
//! - Whole numbers beyond 64 bits in the file are read as floating point, as serde_json does.
//! - Extended attributes and ACLs of the file are not carried over to its replacement.
#![forbid(unsafe_code)]

mod error;
mod file;
pub mod host;
mod id;
#[cfg_attr(not(test), expect(dead_code, reason = "the store does not read its file through it yet"))]
mod json;
mod lock;
pub mod merge;
#[cfg(test)]
mod model;
mod rules;
mod store;

pub use error::Error;
pub use id::AgentId;
pub use lock::{HeldLocks, Wait};
pub use store::{Agent, METADATA_FILE, METADATA_LOCK, Store};

/// The content of the metadata file: an object whose keys are agent ids.
pub type Metadata = serde_json::Map<String, serde_json::Value>;
