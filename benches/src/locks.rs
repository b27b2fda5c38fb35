//! The same lock taken in several ways: bare, by the crates that offer it, and by ours.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use cooks_core::METADATA_LOCK;
use cooks_core::host::{Host, Mode, OsHost};
use rustix::fs::{FlockOperation, flock, fstat};
use rustix::io::Errno;

/// Does the work under the lock, on a file that was opened before.
pub type Locked = Box<dyn FnMut(&mut dyn FnMut())>;

/// Opens the lock of a directory, to be taken in that mode.
pub type Open = fn(&Path, Mode) -> Locked;

/// How long who only tries sleeps between two tries.
const PAUSE: Duration = Duration::from_millis(1);

/// flock(2), and nothing else: what the others are measured by.
pub fn bare(dir: &Path, mode: Mode) -> Locked {
    let (file, operation) = (lock_file(dir), operation(mode));
    Box::new(move |work| {
        flock(&file, operation).expect("the lock");
        work();
        flock(&file, FlockOperation::Unlock).expect("unlocked");
    })
}

/// The same, and a look whether the file is linked still: the least that tells a lock file that was removed.
pub fn checked(dir: &Path, mode: Mode) -> Locked {
    let (file, operation) = (lock_file(dir), operation(mode));
    Box::new(move |work| {
        flock(&file, operation).expect("the lock");
        assert!(fstat(&file).expect("examined").st_nlink > 0, "the lock file is gone");
        work();
        flock(&file, FlockOperation::Unlock).expect("unlocked");
    })
}

/// Tries, and sleeps for a millisecond after each failure.
pub fn tried(dir: &Path, mode: Mode) -> Locked {
    let file = lock_file(dir);
    let operation = match mode {
        Mode::Shared => FlockOperation::NonBlockingLockShared,
        Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    Box::new(move |work| {
        while let Err(error) = flock(&file, operation) {
            assert_eq!(error, Errno::WOULDBLOCK, "the lock");
            OsHost::new().pause(PAUSE);
        }
        work();
        flock(&file, FlockOperation::Unlock).expect("unlocked");
    })
}

/// `File::lock` of the standard library.
#[cfg(feature = "peers")]
#[expect(
    clippy::incompatible_msrv,
    reason = "newer than what we promise to build on; this feature asks for more"
)]
pub fn std(dir: &Path, mode: Mode) -> Locked {
    let file = lock_file(dir);
    let lock = match mode {
        Mode::Shared => File::lock_shared,
        Mode::Exclusive => File::lock,
    };
    Box::new(move |work| {
        lock(&file).expect("the lock");
        work();
        file.unlock().expect("unlocked");
    })
}

/// The crate fd-lock.
#[cfg(feature = "peers")]
pub fn fd_lock(dir: &Path, mode: Mode) -> Locked {
    let mut lock = fd_lock::RwLock::new(lock_file(dir));
    Box::new(move |work| match mode {
        Mode::Shared => {
            let _guard = lock.read().expect("the lock");
            work();
        }
        Mode::Exclusive => {
            let _guard = lock.write().expect("the lock");
            work();
        }
    })
}

/// The crate fs4.
#[cfg(feature = "peers")]
pub fn fs4(dir: &Path, mode: Mode) -> Locked {
    let file = lock_file(dir);
    let lock = match mode {
        Mode::Shared => <File as fs4::FileExt>::lock_shared,
        Mode::Exclusive => <File as fs4::FileExt>::lock,
    };
    Box::new(move |work| {
        lock(&file).expect("the lock");
        work();
        fs4::FileExt::unlock(&file).expect("unlocked");
    })
}

fn operation(mode: Mode) -> FlockOperation {
    match mode {
        Mode::Shared => FlockOperation::LockShared,
        Mode::Exclusive => FlockOperation::LockExclusive,
    }
}

fn lock_file(dir: &Path) -> File {
    open(dir, METADATA_LOCK)
}

/// Opens a lock file, and makes it where there is none.
///
/// # Panics
/// Where the directory does not let it.
#[must_use]
pub fn open(dir: &Path, name: &str) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(dir.join(name)).expect("the lock file opens")
}
