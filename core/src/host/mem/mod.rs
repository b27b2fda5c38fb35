//! A file system in memory, whose every call is a step that a model checker can interleave with others.

mod file;
mod name;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::io::Errno;

use self::file::{Content, Inode};
use self::name::{Entry, Name};
#[cfg(test)]
use super::Observed;
use super::threading::{FileLock, StdThreading, Threading, lock};
use super::{Access, FileSystem, Found, Host, Mode, Stamp, Standing};
use crate::file::too_large;
use crate::lock::HeldLocks;

pub use self::file::MemFile;

/// A call of [`Host`] that [`MemHost::fail_next`] can make fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`Host::lock`], before anything is locked.
    Lock,
    /// [`Host::write`], after half of the bytes.
    Write,
    /// [`Host::sync`].
    Sync,
    /// [`Host::rename`], before anything is renamed.
    Rename,
    /// [`Host::sync_dir`].
    SyncDir,
}

/// Who may do what with a new lock file.
const LOCK_ACCESS: Access = Access { mode: 0o600, uid: 0, gid: 0 };

/// Files, locks and a clock in memory, generic over what threads are made of.
///
/// Clones share the files. Each call takes at least one monitor or file lock, so that under loom and shuttle each is a
/// scheduling point, and each name, content and lock is an object of its own, so that calls on different ones are
/// independent and a checker need not try both orders. A write appears in two pieces: whoever reads without a lock can
/// see half.
///
/// The clock moves only by [`Host::pause`]. Every directory exists. A process can be [killed](Self::kill_after) at each call,
/// and the power [lost](Self::lose_power).
pub struct MemHost<T: Threading = StdThreading> {
    disk: Arc<Disk<T>>,
    process: Arc<AtomicU32>,
}

/// The locks that one thread of one process holds.
type ThreadHeld<T> = (u32, <T as Threading>::ThreadId, HeldLocks);

/// What is in a std mutex here is not part of the model: nothing that a process could see depends on the order in
/// which threads come to it, and none is held across a step.
struct Disk<T: Threading> {
    names: Mutex<BTreeMap<PathBuf, Arc<Name<T>>>>,
    held: Mutex<Vec<ThreadHeld<T>>>,
    faults: Mutex<Vec<(Call, Errno)>>,
    clock: Mutex<Duration>,
    /// Which process is killed, and after how many more calls.
    kill: Mutex<Option<(u32, u32)>>,
    #[cfg(test)]
    observed: Mutex<Vec<(u32, Observed)>>,
}

impl MemHost<StdThreading> {
    /// An empty file system for ordinary threads.
    #[must_use]
    pub fn new() -> Self {
        Self::with_threading()
    }
}

impl Default for MemHost<StdThreading> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Threading> MemHost<T> {
    /// An empty file system for the threads of `T`.
    #[must_use]
    pub fn with_threading() -> Self {
        let disk = Disk {
            names: Mutex::default(),
            held: Mutex::default(),
            faults: Mutex::default(),
            clock: Mutex::default(),
            kill: Mutex::default(),
            #[cfg(test)]
            observed: Mutex::default(),
        };
        Self { disk: Arc::new(disk), process: Arc::new(AtomicU32::new(1)) }
    }

    /// The same file system, seen by another process.
    #[must_use]
    pub fn as_process(&self, process: u32) -> Self {
        Self { disk: Arc::clone(&self.disk), process: Arc::new(AtomicU32::new(process)) }
    }

    /// Lets this host and its clones, and all that was made with them, find themselves in another process, as after
    /// a fork.
    pub fn become_process(&self, process: u32) {
        self.process.store(process, Ordering::Relaxed);
    }

    /// Makes the next call of that kind fail. Several wait in line.
    pub fn fail_next(&self, call: Call, error: Errno) {
        lock(&self.disk.faults).push((call, error));
    }

    /// Kills a process after that many of its calls: each later one fails, and does nothing but what the system itself
    /// does for the dead, which is to close their files.
    pub fn kill_after(&self, process: u32, calls: u32) {
        *lock(&self.disk.kill) = Some((process, calls));
    }

    /// Takes away all that was not flushed. No process may be at work.
    pub fn lose_power(&self) {
        let names: Vec<_> = lock(&self.disk.names).values().cloned().collect();
        for name in names {
            name.lose_power();
            if let Some(Ok(inode)) = name.without_a_step(|entry| entry.as_ref().map(Entry::look)) {
                inode.content.without_a_step(|content| content.bytes.clone_from(&content.flushed));
            }
        }
    }

    /// Puts a file there, as somebody outside the protocol would, and flushes it.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let inode = Inode::<T>::new(Access { mode: 0o644, uid: 0, gid: 0 });
        inode.write(|content| *content = bytes.to_vec());
        inode.content.without_a_step(|content| content.flushed.clone_from(&content.bytes));
        let name = self.name(path);
        name.change(|entry| *entry = Some(Entry::File(inode)));
        name.flush();
    }

    /// What the processes have come to, in order.
    #[cfg(test)]
    pub(crate) fn observed(&self) -> Vec<(u32, Observed)> {
        lock(&self.disk.observed).clone()
    }

    /// Puts a symbolic link there.
    pub fn put_link(&self, path: &Path, target: &Path) {
        self.name(path).change(|entry| *entry = Some(Entry::Link(target.to_owned())));
    }

    /// What is in a file, for whoever comes after all processes have ended.
    #[cfg(test)]
    pub(crate) fn peek(&self, path: &Path) -> Option<Vec<u8>> {
        let known = self.name(path).without_a_step(|entry| entry.as_ref().map(Entry::look));
        Some(known?.ok()?.content.without_a_step(|content| content.bytes.clone()))
    }

    /// Puts an empty lock file there that stays: whoever removes or replaces it panics. See [`Name`].
    #[cfg(test)]
    pub(crate) fn put_lasting_lock(&self, path: &Path) {
        let inode = Inode::<T>::new(LOCK_ACCESS);
        lock(&self.disk.names).insert(path.to_owned(), Arc::new(Name::lasting(inode)));
    }

    fn name(&self, path: &Path) -> Arc<Name<T>> {
        Arc::clone(lock(&self.disk.names).entry(path.to_owned()).or_default())
    }

    /// Fails if the process was killed. Every call but those that close begins with this.
    fn live(&self) -> io::Result<()> {
        match &mut *lock(&self.disk.kill) {
            Some((process, 0)) if *process == self.process() => Err(Errno::SRCH.into()),
            Some((process, left)) if *process == self.process() => {
                *left -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Fails if that was asked for.
    fn meet_fault(&self, call: Call) -> io::Result<()> {
        let mut faults = lock(&self.disk.faults);
        match faults.iter().position(|(planned, _)| *planned == call) {
            Some(at) => Err(faults.remove(at).1.into()),
            None => Ok(()),
        }
    }
}

impl<T: Threading> Clone for MemHost<T> {
    fn clone(&self) -> Self {
        Self { disk: Arc::clone(&self.disk), process: Arc::clone(&self.process) }
    }
}

impl<T: Threading> Host for MemHost<T> {
    type File = MemFile<T>;

    fn enter(&self, dir: &Path) -> io::Result<(Self, PathBuf)> {
        Ok((self.clone(), dir.to_owned()))
    }

    fn file_system(&self) -> io::Result<FileSystem> {
        Ok(FileSystem::Local)
    }

    fn open_lock(&self, path: &Path) -> io::Result<MemFile<T>> {
        self.live()?;
        let inode = self.name(path).look(|entry| match entry {
            Some(Entry::Link(_)) => Err(io::Error::from(Errno::LOOP)),
            Some(Entry::File(inode)) => Ok(Arc::clone(inode)),
            None => {
                let inode = Inode::<T>::new(LOCK_ACCESS);
                *entry = Some(Entry::File(Arc::clone(&inode)));
                Ok(inode)
            }
        })?;
        Ok(MemFile::new(inode))
    }

    fn lock(&self, file: &MemFile<T>, mode: Mode) -> io::Result<()> {
        self.live()?;
        self.meet_fault(Call::Lock)?;
        // What this opening has is given back first: flock is not atomic there.
        file.free();
        file.hold(file.inode.lock.take(mode));
        Ok(())
    }

    fn try_lock(&self, file: &MemFile<T>, mode: Mode) -> io::Result<bool> {
        self.live()?;
        self.meet_fault(Call::Lock)?;
        file.free();
        let held = file.inode.lock.try_take(mode);
        #[cfg(test)]
        self.observe(Observed::Tried);
        Ok(held.map(|held| file.hold(held)).is_some())
    }

    fn unlock(&self, file: &MemFile<T>) -> io::Result<()> {
        file.free();
        Ok(())
    }

    fn standing(&self, file: &MemFile<T>, path: &Path) -> io::Result<Standing> {
        self.live()?;
        let is_it = |entry: &mut Option<Entry<T>>| matches!(entry, Some(Entry::File(inode)) if Arc::ptr_eq(inode, &file.inode));
        if !self.name(path).look(is_it) {
            return Ok(Standing::Gone);
        }
        Ok(Standing::Here { length: file.inode.content.with(|content| content.bytes.len() as u64) })
    }

    fn has_byte_locks(&self) -> bool {
        true
    }

    fn take_bytes(&self, file: &MemFile<T>, bytes: Range<u64>) -> io::Result<bool> {
        self.live()?;
        Ok(bytes.into_iter().all(|byte| file.take_byte(byte)))
    }

    fn free_bytes(&self, file: &MemFile<T>, bytes: Range<u64>) -> io::Result<()> {
        file.free_bytes(bytes);
        Ok(())
    }

    fn taken_bytes(&self, file: &MemFile<T>, within: Range<u64>) -> io::Result<Option<Range<u64>>> {
        self.live()?;
        Ok(file.taken_byte(within).map(|byte| byte..byte + 1))
    }

    fn await_bytes(&self, file: &MemFile<T>, bytes: Range<u64>) -> io::Result<()> {
        self.live()?;
        bytes.into_iter().for_each(|byte| file.await_byte(byte));
        Ok(())
    }

    fn read_at(&self, file: &MemFile<T>, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.live()?;
        let from = offset as usize;
        Ok(file.inode.content.with(|content| {
            let end = (from + length).min(content.bytes.len());
            content.bytes.get(from..end).unwrap_or_default().to_vec()
        }))
    }

    fn write_at(&self, file: &MemFile<T>, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.live()?;
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        file.inode.write(|content| {
            content.resize(content.len().max(to), 0);
            content[from..to].copy_from_slice(bytes);
        });
        Ok(())
    }

    /// No step: it changes the length of the file only where there was no line yet, and nobody decides by that.
    fn write_note(&self, file: &MemFile<T>, note: &[u8]) -> io::Result<()> {
        self.live()?;
        file.inode.content.without_a_step(|content| {
            let kept = content.bytes.split_off(note.len().min(content.bytes.len()));
            content.bytes = [note, &kept].concat();
        });
        Ok(())
    }

    fn shorten(&self, file: &MemFile<T>, length: u64) -> io::Result<()> {
        self.live()?;
        file.inode.write(|content| content.truncate(length as usize));
        Ok(())
    }

    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>> {
        self.live()?;
        match self.name(path).look(|entry| entry.as_ref().map(Entry::look)) {
            Some(Ok(inode)) => Ok(Some(inode.content.with(|content| stamp(&inode, content)))),
            _ => Ok(None),
        }
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Found<MemFile<T>>> {
        self.live()?;
        let inode = match self.name(path).look(|entry| entry.as_ref().map(Entry::look)) {
            None => return Ok(Found::Missing),
            Some(Err(target)) => return Ok(Found::Link(target)),
            Some(Ok(inode)) => inode,
        };
        let (bytes, access, stamp) =
            inode.content.with(|content| (content.bytes.clone(), content.access, stamp(&inode, content)));
        if stamp.size > limit {
            return Err(too_large(stamp.size));
        }
        Ok(Found::File { bytes, access, stamp, file: MemFile::new(inode) })
    }

    fn create_new(&self, path: &Path, like: Option<Access>) -> io::Result<MemFile<T>> {
        self.live()?;
        let inode = Inode::<T>::new(like.unwrap_or(Access { mode: 0o644, uid: 0, gid: 0 }));
        self.name(path).change(|entry| match entry {
            Some(_) => Err(io::Error::from(Errno::EXIST)),
            None => {
                *entry = Some(Entry::File(Arc::clone(&inode)));
                Ok(())
            }
        })?;
        Ok(MemFile::new(inode))
    }

    fn write(&self, file: &MemFile<T>, bytes: &[u8]) -> io::Result<()> {
        self.live()?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.inode.append(first);
        self.meet_fault(Call::Write)?;
        self.live()?;
        file.inode.append(second);
        Ok(())
    }

    fn sync(&self, file: &MemFile<T>) -> io::Result<()> {
        self.live()?;
        self.meet_fault(Call::Sync)?;
        file.inode.content.with(|content| content.flushed.clone_from(&content.bytes));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.live()?;
        self.meet_fault(Call::Rename)?;
        // Two steps, but whoever looks at `to` sees the old entry or the new one, never none.
        let entry = self.name(from).change(Option::take).ok_or(Errno::NOENT)?;
        self.name(to).change(|place| *place = Some(entry));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.live()?;
        self.meet_fault(Call::SyncDir)?;
        self.name(dir).look(|_| ());
        let names: Vec<_> =
            lock(&self.disk.names).iter().map(|(path, name)| (path.clone(), Arc::clone(name))).collect();
        names.iter().filter(|(path, _)| path.parent() == Some(dir)).for_each(|(_, name)| name.flush());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.live()?;
        self.name(path).change(Option::take).map(drop).ok_or_else(|| Errno::NOENT.into())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.live()?;
        let names: Vec<_> =
            lock(&self.disk.names).iter().map(|(path, name)| (path.clone(), Arc::clone(name))).collect();
        let inside = names
            .into_iter()
            .filter(|(path, name)| path.parent() == Some(dir) && name.look(|entry| entry.is_some()));
        Ok(inside.filter_map(|(path, _)| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn process(&self) -> u32 {
        self.process.load(Ordering::Relaxed)
    }

    fn with_held<R>(&self, work: impl FnOnce(&mut HeldLocks) -> R) -> R {
        if !T::usable() {
            return work(&mut HeldLocks::default());
        }
        let thread = T::current();
        let mut all = lock(&self.disk.held);
        let known = all.iter().position(|(process, of, _)| *process == self.process() && *of == thread);
        let at = known.unwrap_or_else(|| {
            all.push((self.process(), thread, HeldLocks::default()));
            all.len() - 1
        });
        work(&mut all[at].2)
    }

    fn now(&self) -> Duration {
        *lock(&self.disk.clock)
    }

    fn pause(&self, time: Duration) {
        *lock(&self.disk.clock) += time;
    }

    #[cfg(test)]
    fn observe(&self, what: Observed) {
        lock(&self.disk.observed).push((self.process(), what));
    }

    #[cfg(test)]
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.live()?;
        let known = self.name(path).look(|entry| entry.as_ref().map(Entry::look));
        let file = match known {
            Some(Ok(inode)) => MemFile::new(inode),
            Some(Err(_)) => return Err(Errno::LOOP.into()),
            None => self.create_new(path, None)?,
        };
        file.inode.write(Vec::clear);
        self.write(&file, bytes)
    }
}

/// The version of a file here: every change shows at once.
fn stamp<T: Threading>(inode: &Inode<T>, content: &Content) -> Stamp {
    let (size, version) = (content.bytes.len() as u64, content.version.into());
    Stamp { file: (0, inode.number), size, modified: version, changed: version, settled: true }
}
