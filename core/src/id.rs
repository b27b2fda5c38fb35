//! Agent ids: which names may stand in a file name and in the metadata.

use std::fmt;
use std::sync::Arc;

use crate::Error;

/// The name of an agent, checked once, so that it can stand in a file name.
///
/// ```
/// use cooks_core::AgentId;
/// assert!(AgentId::new("claude_chat").is_ok());
/// assert!(AgentId::new("../escape").is_err());
/// assert!(AgentId::new(".metadata").is_err()); // its lock would be the metadata's
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(Arc<str>);

impl AgentId {
    /// The longest id, in bytes. A temporary file's name holds the id and three more parts and must stay below
    /// the 255 bytes that file systems allow.
    pub const MAX_BYTES: usize = 100;

    /// Checks `id`.
    ///
    /// # Errors
    /// [`Error::BadId`] when the id is empty, longer than [`Self::MAX_BYTES`], begins with a dot (this excludes
    /// `.metadata`, whose lock is the metadata's), or contains a separator (`/`, `\`) or a control character.
    pub fn new(id: &str) -> Result<Self, Error> {
        let why = if id.is_empty() {
            "it is empty"
        } else if id.len() > Self::MAX_BYTES {
            "it is longer than 100 bytes"
        } else if id.starts_with('.') {
            "it begins with a dot"
        } else if id.contains(['/', '\\']) {
            "it contains a separator"
        } else if id.contains(char::is_control) {
            "it contains a control character"
        } else {
            return Ok(Self(id.into()));
        };
        Err(Error::BadId { id: id.to_owned(), why })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of this agent's lock file.
    #[must_use]
    pub fn lock_file(&self) -> String {
        format!("{self}.lock")
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_directory_or_take_another_lock_are_refused() {
        let long = "x".repeat(AgentId::MAX_BYTES + 1);
        for id in ["", ".", "..", ".metadata", ".hidden", "a/b", "a\\b", "/a", "a\0b", "a\nb", &long] {
            assert!(matches!(AgentId::new(id), Err(Error::BadId { .. })), "{id:?} was accepted");
        }
    }

    #[test]
    fn ordinary_names_are_accepted_and_name_their_lock() {
        let long = "x".repeat(AgentId::MAX_BYTES);
        for id in ["a", "claude_chat", "agent-7", "a.b", "Köchin", "with space", &long] {
            assert_eq!(AgentId::new(id).expect(id).lock_file(), format!("{id}.lock"));
        }
    }
}
