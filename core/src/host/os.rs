//! The real world: system calls through rustix and std. Locks are flock(2); std's own came later than the compiler that
//! we promise to build on.

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{self, AtFlags, FileType, FlockOperation, Gid, OFlags, Stat, Uid, flock};
use rustix::io::Errno;

use super::system::{byte_locks, file_system};
use super::{Access, FileSystem, Found, Host, Mode, Stamp, Standing};
use crate::file::too_large;
use crate::lock::HeldLocks;

/// The mode of a new lock file. Whoever may open a lock file may hold it for ever, so nobody else may; a lock file
/// that was made with another mode keeps it.
const LOCK_MODE: u32 = 0o600;

/// The mode of a new data file, less the umask.
const DATA_MODE: u32 = 0o644;

/// After this many nanoseconds a change shows in a file's times: more than the longest tick of the clocks that file
/// systems take them from.
const SETTLED_AFTER: i128 = 100_000_000;

/// No time of a change.
const NEVER: i64 = i64::MIN;

/// The operating system's files, flock(2) and monotonic clock.
///
/// Meant for local file systems. On NFS and SMB, flock is emulated, local to one machine, or missing.
#[derive(Clone, Debug, Default)]
pub struct OsHost {
    dir: Option<Arc<Dir>>,
}

/// The directory that a host works in: kept open, so that all is done in the same one, also when it is renamed.
#[derive(Debug)]
struct Dir {
    path: PathBuf,
    file: File,
}

/// An open file of [`OsHost`].
#[derive(Debug)]
pub struct OsFile {
    file: File,
    /// When the file was changed last, as it was when its path was found to name it, and settled: renaming a file
    /// changes it. Only who has the file out of the pool uses it, so no order is needed.
    checked: AtomicI64,
}

impl OsFile {
    fn new(file: impl Into<File>) -> Self {
        Self { file: file.into(), checked: AtomicI64::new(NEVER) }
    }
}

thread_local! {
    // One list for each thread, not one for the process: a process-wide one would need a mutex, and a child forked
    // while another thread held it could never take it.
    static HELD: RefCell<HeldLocks> = RefCell::default();
}

impl OsHost {
    /// The host before it has entered a directory.
    #[must_use]
    pub const fn new() -> Self {
        Self { dir: None }
    }

    /// How to reach a path: below the open directory, or from the root.
    fn at<'a>(&'a self, path: &'a Path) -> (BorrowedFd<'a>, &'a Path) {
        match &self.dir {
            Some(dir) if path.parent() == Some(&dir.path) => {
                let name = path.file_name().unwrap_or(OsStr::new("."));
                (dir.file.as_fd(), Path::new(name))
            }
            _ => (fs::CWD, path),
        }
    }

    fn open(&self, path: &Path, flags: OFlags, mode: u32) -> rustix::io::Result<File> {
        let (dir, path) = self.at(path);
        let flags = flags | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(fs::openat(dir, path, flags, fs::Mode::from_raw_mode(mode as fs::RawMode))?.into())
    }

    fn stat(&self, path: &Path) -> rustix::io::Result<Option<Stat>> {
        let (dir, path) = self.at(path);
        match fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            result => result.map(Some),
        }
    }
}

impl Host for OsHost {
    type File = OsFile;

    fn enter(&self, dir: &Path) -> io::Result<(Self, PathBuf)> {
        let path = std::fs::canonicalize(dir)?;
        let file =
            fs::open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, fs::Mode::empty())?.into();
        Ok((Self { dir: Some(Arc::new(Dir { path: path.clone(), file })) }, path))
    }

    fn file_system(&self) -> io::Result<FileSystem> {
        self.dir.as_ref().map_or(Ok(FileSystem::Local), |dir| file_system(&dir.file))
    }

    fn open_lock(&self, path: &Path) -> io::Result<OsFile> {
        Ok(OsFile::new(self.open(path, OFlags::RDWR | OFlags::CREATE, LOCK_MODE)?))
    }

    fn lock(&self, file: &OsFile, mode: Mode) -> io::Result<()> {
        let operation = match mode {
            Mode::Shared => FlockOperation::LockShared,
            Mode::Exclusive => FlockOperation::LockExclusive,
        };
        Ok(flock(&file.file, operation)?)
    }

    fn try_lock(&self, file: &OsFile, mode: Mode) -> io::Result<bool> {
        let operation = match mode {
            Mode::Shared => FlockOperation::NonBlockingLockShared,
            Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match flock(&file.file, operation) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn unlock(&self, file: &OsFile) -> io::Result<()> {
        Ok(flock(&file.file, FlockOperation::Unlock)?)
    }

    fn standing(&self, file: &OsFile, path: &Path) -> io::Result<Standing> {
        let open = fs::fstat(&file.file)?;
        if !is_regular(&open) {
            return Err(not_regular());
        }
        let here = Standing::Here { length: open.st_size as u64 };
        if open.st_nlink == 0 {
            return Ok(Standing::Gone);
        }
        let changed = i64::try_from(time(open.st_ctime.into(), open.st_ctime_nsec.into())).unwrap_or(NEVER);
        if changed != NEVER && file.checked.load(Ordering::Relaxed) == changed {
            return Ok(here);
        }
        match self.stat(path)? {
            Some(named) if (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino) => {
                file.checked.store(if stamp(&open).settled { changed } else { NEVER }, Ordering::Relaxed);
                Ok(here)
            }
            _ => Ok(Standing::Gone),
        }
    }

    fn has_byte_locks(&self) -> bool {
        byte_locks::AVAILABLE
    }

    fn take_bytes(&self, file: &OsFile, bytes: Range<u64>) -> io::Result<bool> {
        byte_locks::take(&file.file, bytes)
    }

    fn free_bytes(&self, file: &OsFile, bytes: Range<u64>) -> io::Result<()> {
        byte_locks::free(&file.file, bytes)
    }

    fn taken_bytes(&self, file: &OsFile, within: Range<u64>) -> io::Result<Option<Range<u64>>> {
        byte_locks::taken(&file.file, within)
    }

    fn await_bytes(&self, file: &OsFile, bytes: Range<u64>) -> io::Result<()> {
        byte_locks::wait(&file.file, bytes)
    }

    fn read_at(&self, file: &OsFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = loop {
            match file.file.read_at(&mut bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        bytes.truncate(read);
        Ok(bytes)
    }

    fn write_at(&self, file: &OsFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
        file.file.write_all_at(bytes, offset)
    }

    fn write_note(&self, file: &OsFile, note: &[u8]) -> io::Result<()> {
        file.file.write_at(note, 0).map(drop)
    }

    fn shorten(&self, file: &OsFile, length: u64) -> io::Result<()> {
        file.file.set_len(length)
    }

    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>> {
        Ok(self.stat(path)?.filter(is_regular).map(|named| stamp(&named)))
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Found<OsFile>> {
        // Without O_NONBLOCK the opening of a FIFO would wait for a writer.
        let mut file = match self.open(path, OFlags::RDONLY | OFlags::NONBLOCK, 0) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Found::Missing),
            // What O_NOFOLLOW reports for a symbolic link: POSIX says ELOOP, FreeBSD EMLINK.
            Err(Errno::LOOP | Errno::MLINK) => {
                let (dir, path) = self.at(path);
                let target = fs::readlinkat(dir, path, Vec::new())?;
                return Ok(Found::Link(PathBuf::from(OsString::from_vec(target.into_bytes()))));
            }
            Err(error) => return Err(error.into()),
        };
        let stat = fs::fstat(&file)?;
        if !is_regular(&stat) {
            return Err(not_regular());
        }
        let (stamp, access) = (stamp(&stat), access(&stat));
        if stamp.size > limit {
            return Err(too_large(stamp.size));
        }
        Ok(Found::File { bytes: read_all(&mut file, stamp.size)?, access, stamp, file: OsFile::new(file) })
    }

    fn create_new(&self, path: &Path, like: Option<Access>) -> io::Result<OsFile> {
        let mode = if like.is_some() { LOCK_MODE } else { DATA_MODE };
        let file = self.open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, mode)?;
        if let Some(like) = like {
            set_access(&file, like).inspect_err(|_| drop(self.remove(path)))?;
        }
        Ok(OsFile::new(file))
    }

    fn write(&self, file: &OsFile, bytes: &[u8]) -> io::Result<()> {
        (&file.file).write_all(bytes)
    }

    fn sync(&self, file: &OsFile) -> io::Result<()> {
        file.file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from_dir, from), (to_dir, to)) = (self.at(from), self.at(to));
        Ok(fs::renameat(from_dir, from, to_dir, to)?)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        match &self.dir {
            Some(entered) if entered.path == dir => entered.file.sync_all(),
            _ => File::open(dir)?.sync_all(),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (dir, path) = self.at(path);
        Ok(fs::unlinkat(dir, path, AtFlags::empty())?)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let listing = match &self.dir {
            Some(entered) if entered.path == dir => fs::Dir::read_from(&entered.file)?,
            _ => fs::Dir::read_from(File::open(dir)?)?,
        };
        let mut names = Vec::new();
        for entry in listing {
            // Our own names are all valid Unicode, so others cannot matter.
            names.extend(entry?.file_name().to_str().ok().map(str::to_owned));
        }
        names.retain(|name| name != "." && name != "..");
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

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

fn time(seconds: i128, nanoseconds: i128) -> i128 {
    seconds * 1_000_000_000 + nanoseconds
}

fn stamp(stat: &Stat) -> Stamp {
    let changed = time(stat.st_ctime.into(), stat.st_ctime_nsec.into());
    // A clock before 1970 settles nothing.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Stamp {
        file: (stat.st_dev, stat.st_ino),
        size: stat.st_size as u64,
        modified: time(stat.st_mtime.into(), stat.st_mtime_nsec.into()),
        changed,
        settled: now.as_nanos() as i128 - changed > SETTLED_AFTER,
    }
}

fn access(stat: &Stat) -> Access {
    Access { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid }
}

/// The owner first: changing it clears setuid and setgid, and the new group must not get the rights of the old one.
fn set_access(file: &File, like: Access) -> io::Result<()> {
    let now = access(&fs::fstat(file)?);
    if (now.uid, now.gid) != (like.uid, like.gid) {
        fs::fchown(file, Some(Uid::from_raw(like.uid)), Some(Gid::from_raw(like.gid)))?;
    }
    Ok(fs::fchmod(file, fs::Mode::from_raw_mode(like.mode as fs::RawMode))?)
}

/// Reads to the end: one call where the file is as long as it was said to be, since a regular file gives less than
/// what was asked for only at its end.
fn read_all(file: &mut File, expected: u64) -> io::Result<Vec<u8>> {
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
