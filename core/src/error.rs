//! What can go wrong, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Generation;
use crate::merge::Conflicts;

/// Why a call did not do what it was asked.
///
/// Every variant but [`Error::Unknown`] means that the metadata file is as it was before the call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The agent id cannot be used. Choose another one.
    #[error("the agent id {id:?} cannot be used: {why}")]
    BadId {
        /// The id that was asked for.
        id: String,
        /// The rule that it breaks.
        why: &'static str,
    },

    /// The lock was held by another for as long as the caller was willing to wait. Nothing was read or written.
    /// Wait longer, or see who holds it: `holder` is what the lock file says, for people; the kernel alone knows
    /// (`/proc/locks`). Never delete the lock file.
    #[error("{} is held by another ({}); gave up after {waited:?}", lock.display(), holder.as_deref().unwrap_or("its file names nobody"))]
    Busy {
        /// The lock file.
        lock: PathBuf,
        /// How long the caller was willing to wait.
        waited: Duration,
        /// What the last exclusive holder wrote about itself.
        holder: Option<String>,
    },

    /// This thread holds the lock already, and would wait for itself. Use the handle or the data at hand:
    /// for instance the closure's argument instead of a `load` inside an `update`.
    #[error("this thread already holds {}", lock.display())]
    Reentry {
        /// The lock file.
        lock: PathBuf,
    },

    /// Taking `wanted` while holding `held` could end in a deadlock. Locks are taken in this order: agent locks,
    /// by directory and then by id; then the metadata lock, by directory.
    #[error("{} must be taken before {}, which this thread holds", wanted.display(), held.display())]
    Order {
        /// The lock file that was asked for.
        wanted: PathBuf,
        /// The lock file that is held and comes later in the order.
        held: PathBuf,
    },

    /// The handle was made in another process and came here by a fork. Its lock belongs to that process:
    /// open the store again and take a handle of your own.
    #[error("the handle for {} belongs to the process that made it, not to its forked child", lock.display())]
    Forked {
        /// The lock file.
        lock: PathBuf,
    },

    /// The file is not what it should be: it is never replaced by a fresh one. Repair it by hand, at the place
    /// that is named, or put back a copy.
    #[error("{} is corrupt at line {line}, column {column} (byte {byte}): {detail}", path.display())]
    Corrupt {
        /// The metadata file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// Offset of the byte at which reading stopped, from 0.
        byte: usize,
        /// What was expected there.
        detail: String,
    },

    /// The change touches the part of another agent, whose lock the caller does not hold. Nothing was written.
    /// Change only the part under your own id.
    #[error("agent {agent} changed the part of {part:?} without holding its lock")]
    NotOwner {
        /// The agent whose handle was used.
        agent: String,
        /// The key that was changed.
        part: String,
    },

    /// Both sides changed the same value since `base` was loaded. Nothing was written. Load again and decide, or
    /// call [`Agent::save_with`](crate::Agent::save_with) with a policy that prefers a side.
    #[error("{0}")]
    Conflict(Conflicts),

    /// The file is not of the generation that the caller has seen. Nothing was written. Load again and decide.
    #[error("{} is of generation {found}, not {expected}", path.display())]
    Changed {
        /// The metadata file.
        path: PathBuf,
        /// The generation that was asked for.
        expected: Generation,
        /// The one that is there.
        found: Generation,
    },

    /// The metadata file is gone, and was there once: a loss of power took it, and no temporary file beside it is
    /// complete. Nothing was written, and nothing will be: put a copy of the file back, or remove what was kept if it is
    /// of no use, to begin with nothing.
    #[error("{} was lost; what is left of it is kept in {}", path.display(), list(kept))]
    Lost {
        /// The metadata file.
        path: PathBuf,
        /// Torn copies of what was being written.
        kept: Vec<PathBuf>,
    },

    /// The directory is not on a local file system that is known to keep what flock and rename promise. Nothing was
    /// done. Choose another place, or say that you know better: [`Store::open_anywhere`](crate::Store::open_anywhere).
    #[error("{} is on {name}, where locks may not hold between machines, or not at all", dir.display())]
    FileSystem {
        /// The directory.
        dir: PathBuf,
        /// Its file system.
        name: String,
    },

    /// The change is nested more deeply than what can be read back. Nothing was written.
    #[error("the part of {part:?} is nested more than {limit} levels deep")]
    TooDeep {
        /// The key that was changed.
        part: String,
        /// The limit.
        limit: usize,
    },

    /// The file was replaced, and everybody sees the new content, but the directory could not be flushed: after a
    /// loss of power the old content may be back. Neither committed nor not. Load, look, and change it once more.
    #[error("{} was replaced, but may not survive a loss of power: {source}", path.display())]
    Unknown {
        /// The metadata file.
        path: PathBuf,
        /// What the flush of the directory reported.
        source: io::Error,
    },

    /// The operating system refused. Where it refused the flush of a new file, that file has been deleted:
    /// a second flush of the same file would report success without having written anything.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Gives an error of the operating system its verb and its file.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { doing, path: path.to_owned(), source })
    }
}
