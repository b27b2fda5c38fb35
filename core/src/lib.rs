//! Locks, merge and atomic replace for a JSON file that many processes share.
#![forbid(unsafe_code)]

mod error;
mod file;
pub mod host;
mod id;
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
