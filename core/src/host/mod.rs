//! The seam between the protocol and the world it runs in.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod mem;
mod os;
mod system;
mod threading;

pub use mem::{Call, MemFile, MemHost};
pub use os::{OsFile, OsHost};
pub use threading::{FileLock, Monitor, MonitorLock, StdThreading, Threading};

use crate::lock::HeldLocks;

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By any number of readers, and no writer.
    Shared,
    /// By one alone.
    Exclusive,
}

/// Who may do what with a file: kept when the file is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Which version of a file stands at a path. While the file that it was taken of is kept open, so that its number is
/// not given to another one, an equal stamp means the same file, and the same content if the stamp is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The device and the number of the file on it.
    pub file: (u64, u64),
    /// Its length in bytes.
    pub size: u64,
    /// When its content was written last, in nanoseconds of the system's clock.
    pub modified: i128,
    /// When anything about it was changed last, in nanoseconds of the system's clock.
    pub changed: i128,
    /// Whether a later change would be sure to show: clocks of file systems move in steps, so a file that was changed
    /// just now may be changed once more within the same step.
    pub settled: bool,
}

impl Stamp {
    /// Whether `now` is of the same file, with nothing changed since this was taken.
    #[must_use]
    pub fn still_holds(&self, now: &Self) -> bool {
        let what = |stamp: &Self| (stamp.file, stamp.size, stamp.modified, stamp.changed);
        self.settled && what(self) == what(now)
    }
}

/// What stands at a path.
pub enum Found<F> {
    /// Nothing.
    Missing,
    /// A symbolic link, with what it says.
    Link(PathBuf),
    /// A regular file, read to its end.
    File {
        /// Its content.
        bytes: Vec<u8>,
        /// Who may do what with it.
        access: Access,
        /// Which version it is, taken before it was read.
        stamp: Stamp,
        /// The file, open.
        file: F,
    },
}

/// What became of a lock file that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its path names it still. Its length tells whether somebody waits.
    Here {
        /// In bytes.
        length: u64,
    },
    /// It was removed, replaced or renamed: newcomers take another one.
    Gone,
}

/// What lies under a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// A file system of this machine, of a kind whose locks and renames are known to do what the protocol needs.
    Local,
    /// Something else, by its name or its number.
    Other(String),
}

/// What a process has come to on its way to a lock.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It has tried to take it.
    Tried,
    /// It waits, and whoever comes can see that.
    Queued,
    /// It has it.
    Has(Mode),
}

/// What the protocol needs of a file system, of its locks and of a clock.
///
/// A host is a cheap handle: a clone is the same world, seen by the same process. The contract, to which
/// [`OsHost`] and [`MemHost`] are held by one test body (`tests/conformance.rs`):
///
/// 1. Locks belong to the open file, not to the process or the thread: two openings of one lock file exclude each
///    other wherever they are. Closing the last copy of an opening (dropping [`Host::File`]) frees its lock.
/// 2. A call is not atomic unless it says so; [`rename`](Host::rename) and the lock calls are.
/// 3. Nothing follows a symbolic link in the last component of a path. Paths are absolute; those in the directory
///    that was [entered](Host::enter) mean that directory, whatever becomes of its name.
/// 4. Nothing that is opened here is passed on to a program that this process executes.
/// 5. What [`sync`](Host::sync) and [`sync_dir`](Host::sync_dir) have confirmed survives a loss of power; nothing
///    else needs to.
/// 6. A call that fails has not done its work; a `write` may have done part of it.
///
/// Left out on purpose: conversion of a lock from shared to exclusive (it is not atomic), removal of lock files
/// (two holders), and threads (the model checkers bring their own, see [`Threading`]).
pub trait Host: Clone {
    /// An open file. Dropping it closes it, and frees its locks where no forked process shares it.
    type File;

    /// Opens an existing directory: the host that works in it, and its absolute path, free of symbolic links.
    ///
    /// # Errors
    /// It does not exist, or is no directory.
    fn enter(&self, dir: &Path) -> io::Result<(Self, PathBuf)>;

    /// What the directory that was entered lies on.
    ///
    /// # Errors
    /// The system does not say.
    fn file_system(&self) -> io::Result<FileSystem>;

    /// Opens a lock file, and creates it when there is none. Its content stays.
    ///
    /// # Errors
    /// It cannot be opened, or is a symbolic link.
    fn open_lock(&self, path: &Path) -> io::Result<Self::File>;

    /// Takes the lock and waits for it as long as it takes, in one call that sleeps in the kernel.
    ///
    /// # Errors
    /// `Interrupted` when a signal arrived: the caller tries again.
    fn lock(&self, file: &Self::File, mode: Mode) -> io::Result<()>;

    /// Takes the lock if nobody is in the way, and says whether it did.
    ///
    /// # Errors
    /// The system has no such locks, or not enough memory for one.
    fn try_lock(&self, file: &Self::File, mode: Mode) -> io::Result<bool>;

    /// Frees the lock, also where a forked process still has the file open.
    ///
    /// # Errors
    /// None that leaves a way on: closing the file frees the lock as well.
    fn unlock(&self, file: &Self::File) -> io::Result<()>;

    /// Whether `path` still names the file that is open, a regular one.
    ///
    /// # Errors
    /// The file or the path cannot be examined. A missing path is not an error: the file is gone.
    fn standing(&self, file: &Self::File, path: &Path) -> io::Result<Standing>;

    /// Whether locks on single bytes of a file are to be had. Without them locks have no queue.
    fn has_byte_locks(&self) -> bool;

    /// Takes some bytes of a file for this opening, if no other opening has any of them, and says whether it did.
    /// Like the lock of the whole, with which they have nothing to do, they are free again when the file is closed.
    ///
    /// # Errors
    /// The system has no such locks, or not enough memory for one.
    fn take_bytes(&self, file: &Self::File, bytes: Range<u64>) -> io::Result<bool>;

    /// Gives bytes back. Those that this opening does not have do not matter.
    ///
    /// # Errors
    /// Not enough memory to give back a part of what was taken.
    fn free_bytes(&self, file: &Self::File, bytes: Range<u64>) -> io::Result<()>;

    /// Some bytes in this range that another opening has: any one of those taken together.
    ///
    /// # Errors
    /// The system's.
    fn taken_bytes(&self, file: &Self::File, within: Range<u64>) -> io::Result<Option<Range<u64>>>;

    /// Waits until no other opening has any of these bytes, in the kernel.
    ///
    /// # Errors
    /// `Interrupted` when a signal arrived: the caller tries again.
    fn await_bytes(&self, file: &Self::File, bytes: Range<u64>) -> io::Result<()>;

    /// Reads at most `length` bytes at `offset`: fewer only at the end of the file.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, file: &Self::File, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Part of it may have been written.
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Writes a line about the holder at the beginning of a lock file, in one call. Nothing is decided by it.
    ///
    /// # Errors
    /// The system's. The protocol ignores them: the line is for people.
    fn write_note(&self, file: &Self::File, note: &[u8]) -> io::Result<()>;

    /// Cuts a file off.
    ///
    /// # Errors
    /// The system's.
    fn shorten(&self, file: &Self::File, length: u64) -> io::Result<()>;

    /// The version of the regular file at `path`, without opening it; `None` if there is none.
    ///
    /// # Errors
    /// The path cannot be examined.
    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>>;

    /// Reads a whole file of at most `limit` bytes.
    ///
    /// # Errors
    /// It is neither missing, nor a symbolic link, nor a regular file; it is larger; or it cannot be read.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Found<Self::File>>;

    /// Creates a file that must not exist yet. With `like`, it is unreadable for others until it has that access.
    ///
    /// # Errors
    /// `AlreadyExists`; or the owner in `like` cannot be set (the file has been removed again).
    fn create_new(&self, path: &Path, like: Option<Access>) -> io::Result<Self::File>;

    /// Writes all of `bytes` to a new file.
    ///
    /// # Errors
    /// Part of it may have been written.
    fn write(&self, file: &Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Flushes a file to the device. After an error the file must not be flushed again: the system may have
    /// dropped the pages that it could not write, and would report success.
    ///
    /// # Errors
    /// The content may be lost.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Renames, replacing what is at `to`, in one indivisible step.
    ///
    /// # Errors
    /// Nothing has been renamed.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Flushes the names in a directory to the device.
    ///
    /// # Errors
    /// Names made or changed lately may be lost with the power.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Removes a name.
    ///
    /// # Errors
    /// It is missing, or may not be removed.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// The id of the calling process: a forked child has another one than its parent.
    fn process(&self) -> u32;

    /// Gives `work` the list of locks that the calling thread holds. Each thread has a list of its own, empty at
    /// first; only [`crate`] looks into it.
    fn with_held<R>(&self, work: impl FnOnce(&mut HeldLocks) -> R) -> R;

    /// Time since some fixed moment; it never goes back. Read only when a lock with a deadline is not free.
    fn now(&self) -> Duration;

    /// Lets that much time pass.
    fn pause(&self, time: Duration);

    /// Learns that the calling process has come to a point that the model tests want to know of.
    #[cfg(test)]
    fn observe(&self, _what: Observed) {}

    /// Writes `bytes` over a file in place, for the planted bugs in the model tests.
    #[cfg(test)]
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{}: {} bytes", path.display(), bytes.len())))
    }
}
