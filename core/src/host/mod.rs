//! The seam between the protocol and the world it runs in.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod mem;
mod os;
mod threading;

pub use mem::{Call, MemFile, MemHost};
pub use os::OsHost;
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

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
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
    },
}

/// What the protocol needs of a file system, of its locks and of a clock.
///
/// A host is a cheap handle: a clone is the same world, seen by the same process. The contract, to which
/// [`OsHost`] and [`MemHost`] are held by one test body (`tests/conformance.rs`):
///
/// 1. Locks belong to the open file, not to the process or the thread: two openings of one lock file exclude each
///    other wherever they are. Closing the last copy of an opening (dropping [`Host::File`]) frees its lock.
/// 2. A call is not atomic unless it says so; [`rename`](Host::rename) and the lock calls are.
/// 3. Nothing follows a symbolic link in the last component of a path.
/// 4. Nothing that is opened here is passed on to a program that this process executes.
/// 5. What [`sync`](Host::sync) and [`sync_dir`](Host::sync_dir) have confirmed survives a loss of power; nothing
///    else needs to.
/// 6. A call that fails has not done its work; a `write` may have done part of it.
///
/// Left out on purpose: conversion of a lock from shared to exclusive (it is not atomic), removal of lock files
/// (two holders), and threads (the model checkers bring their own, see [`Threading`]).
pub trait Host: Clone {
    /// An open file. Dropping it closes it, and frees its lock where no forked process shares it.
    type File;

    /// The absolute path of an existing directory, free of symbolic links.
    ///
    /// # Errors
    /// It does not exist, or is no directory.
    fn canonical(&self, dir: &Path) -> io::Result<PathBuf>;

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
    /// The file or the path cannot be examined. A missing path is not an error: the answer is no.
    fn is_at(&self, file: &Self::File, path: &Path) -> io::Result<bool>;

    /// Writes a line about the holder at the beginning of a lock file, in one call.
    ///
    /// # Errors
    /// The system's. The protocol ignores them: the line is for people.
    fn write_note(&self, file: &Self::File, note: &[u8]) -> io::Result<()>;

    /// Reads a whole file.
    ///
    /// # Errors
    /// It is neither missing, nor a symbolic link, nor a regular file; or it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Found>;

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

    /// Writes `bytes` over a file in place, for the planted bugs in the model tests.
    #[cfg(test)]
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{}: {} bytes", path.display(), bytes.len())))
    }
}
