//! The real world: system calls through std, and `flock` through rustix (std's own came later than the compiler
//! that we promise to build on).

use std::cell::RefCell;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::{Access, Found, Host, Mode};
use crate::lock::HeldLocks;

/// The mode of a new lock file. Whoever may open a lock file may hold it for ever, so nobody else may; a lock file
/// that was made with another mode keeps it.
const LOCK_MODE: u32 = 0o600;

/// The mode of a new data file, less the umask.
const DATA_MODE: u32 = 0o644;

/// The operating system's files, flock(2) and monotonic clock.
///
/// Meant for local file systems. On NFS and SMB, flock is emulated, local to one machine, or missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsHost;

thread_local! {
    // One list for each thread, not one for the process: a process-wide one would need a mutex, and a child forked
    // while another thread held it could never take it.
    static HELD: RefCell<HeldLocks> = RefCell::default();
}

impl Host for OsHost {
    type File = File;

    fn canonical(&self, dir: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(dir)
    }

    fn open_lock(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(LOCK_MODE)
            .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NOCTTY))
            .open(path)
    }

    fn lock(&self, file: &File, mode: Mode) -> io::Result<()> {
        let operation = match mode {
            Mode::Shared => FlockOperation::LockShared,
            Mode::Exclusive => FlockOperation::LockExclusive,
        };
        Ok(flock(file, operation)?)
    }

    fn try_lock(&self, file: &File, mode: Mode) -> io::Result<bool> {
        let operation = match mode {
            Mode::Shared => FlockOperation::NonBlockingLockShared,
            Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match flock(file, operation) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn unlock(&self, file: &File) -> io::Result<()> {
        Ok(flock(file, FlockOperation::Unlock)?)
    }

    fn is_at(&self, file: &File, path: &Path) -> io::Result<bool> {
        let open = file.metadata()?;
        if !open.is_file() {
            return Err(not_regular());
        }
        match fs::symlink_metadata(path) {
            Ok(named) => Ok(open.dev() == named.dev() && open.ino() == named.ino() && open.nlink() > 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write_note(&self, file: &File, note: &[u8]) -> io::Result<()> {
        file.write_at(note, 0).map(drop)
    }

    fn read(&self, path: &Path) -> io::Result<Found> {
        // Without O_NONBLOCK the opening of a FIFO would wait for a writer.
        let options = flags(OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY);
        let file = match OpenOptions::new().read(true).custom_flags(options).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(error) if is_link_error(&error) => return fs::read_link(path).map(Found::Link),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(not_regular());
        }
        Ok(Found::File { bytes: read_all(file, metadata.len())?, access: access(&metadata) })
    }

    fn create_new(&self, path: &Path, like: Option<Access>) -> io::Result<File> {
        let mode = if like.is_some() { LOCK_MODE } else { DATA_MODE };
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(flags(OFlags::NOFOLLOW))
            .open(path)?;
        if let Some(like) = like {
            set_access(&file, like).inspect_err(|_| drop(fs::remove_file(path)))?;
        }
        Ok(file)
    }

    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECTORY)).open(dir)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // Our own names are all valid Unicode, so others cannot matter.
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }

    fn process(&self) -> u32 {
        std::process::id()
    }

    fn with_held<R>(&self, work: impl FnOnce(&mut HeldLocks) -> R) -> R {
        let mut work = Some(work);
        let mut run = |held: &mut HeldLocks| work.take().map(|work| work(held));
        // A handle that is dropped while its thread ends may come after the list: then there is nothing to keep.
        let done = HELD.try_with(|held| run(&mut held.borrow_mut())).ok().flatten();
        done.or_else(|| run(&mut HeldLocks::default())).expect("the work is done once")
    }

    fn now(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

/// What O_NOFOLLOW reports for a symbolic link: POSIX says ELOOP, FreeBSD EMLINK.
fn is_link_error(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::MLINK))
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

fn access(metadata: &Metadata) -> Access {
    Access { mode: metadata.mode() & 0o7777, uid: metadata.uid(), gid: metadata.gid() }
}

/// The owner first: changing it clears setuid and setgid, and the new group must not get the rights of the old one.
fn set_access(file: &File, like: Access) -> io::Result<()> {
    let now = access(&file.metadata()?);
    if (now.uid, now.gid) != (like.uid, like.gid) {
        fchown(file, Some(like.uid), Some(like.gid))?;
    }
    file.set_permissions(fs::Permissions::from_mode(like.mode))
}

/// Reads to the end: one call where the file is as long as it was said to be, since a regular file gives less than
/// what was asked for only at its end.
fn read_all(mut file: File, expected: u64) -> io::Result<Vec<u8>> {
    let room = usize::try_from(expected).unwrap_or(0).saturating_add(1);
    let mut bytes = vec![0; room];
    let mut length = 0;
    loop {
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if length + 1 == room {
            break;
        }
        if length == bytes.len() {
            bytes.resize(2 * length, 0);
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}
