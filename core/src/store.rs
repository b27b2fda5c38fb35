//! The store: opening, reading, recovering.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::{Doing, Error};
use crate::file::{self, Recovered};
use crate::host::{FileSystem, Host, Mode, OsHost};
use crate::lock::{Guard, Level, Lock, LockKey, Wait};
use crate::rules::{Rule, Rules};
use crate::snapshot::{Cache, Generation, Snapshot};
use crate::{Agent, AgentId, Metadata};

/// The metadata file's name.
pub const METADATA_FILE: &str = "agent_metadata.json";

/// The name of the lock file that guards it.
pub const METADATA_LOCK: &str = ".metadata.lock";

/// How many agents' lock files a store keeps open.
const KNOWN_AGENTS: usize = 16;

/// A directory with a metadata file that agents share.
///
/// A store holds no lock. It may be cloned, sent to other threads, and used after a fork; clones share what they know
/// about the file. It stays with its directory, also when that is renamed.
pub struct Store<H: Host = OsHost> {
    pub(crate) host: H,
    dir: PathBuf,
    path: PathBuf,
    pub(crate) wait: Wait,
    pub(crate) rules: Rules,
    pub(crate) metadata_lock: Lock<H>,
    /// Whether locks have queues here.
    queues: bool,
    /// The locks of the agents that were asked for last, with their open files.
    agent_locks: Arc<Mutex<Vec<Lock<H>>>>,
    cache: Cache<H::File>,
    /// Whether somebody has looked for what dead writers have left, since this store was opened.
    recovered: Arc<AtomicBool>,
}

impl Store {
    /// Opens the store in an existing directory, and puts right what writers have left that were killed or lost their
    /// power in the middle of a replacement, as [`recover`](Self::recover) does. That is left for later, without waiting,
    /// where somebody holds the metadata lock at the moment, or where this process may not write.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory is missing or cannot be reached; [`Error::FileSystem`] when it is on NFS, SMB or
    /// a file system that is not known; [`Error::Lost`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::on(OsHost::new(), dir)
    }

    /// As [`open`](Self::open), on any file system, at your risk: on NFS a lock may hold on one machine only, on others
    /// not at all. Here locks are plain flock(2), without a queue, and requests are not shared.
    ///
    /// # Errors
    /// As for [`open`](Self::open), less [`Error::FileSystem`].
    pub fn open_anywhere(dir: impl AsRef<Path>) -> Result<Self, Error> {
        let (host, dir) = enter(&OsHost::new(), dir.as_ref())?;
        let is_local = host.file_system().doing("examine", &dir)? == FileSystem::Local;
        Self::in_dir(host, dir, is_local).at_the_beginning()
    }
}

impl<H: Host> Store<H> {
    /// Opens the store of another world than the operating system's.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn on(host: H, dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::checked(&host, dir.as_ref())?.at_the_beginning()
    }

    fn checked(host: &H, dir: &Path) -> Result<Self, Error> {
        let (host, dir) = enter(host, dir)?;
        match host.file_system().doing("examine", &dir)? {
            FileSystem::Local => Ok(Self::in_dir(host, dir, true)),
            FileSystem::Other(name) => Err(Error::FileSystem { dir, name }),
        }
    }

    fn in_dir(host: H, dir: PathBuf, is_local: bool) -> Self {
        let queues = is_local && host.has_byte_locks();
        let key = LockKey { level: Level::Metadata, dir: dir.clone(), file: METADATA_LOCK.to_owned() };
        let metadata_lock = Lock::new(&host, Rules::default(), key, queues);
        let (path, cache) = (dir.join(METADATA_FILE), Cache::new());
        let (wait, rules) = (Wait::default(), Rules::default());
        let (agent_locks, recovered) = (Arc::default(), Arc::default());
        Self { host, dir, path, wait, rules, metadata_lock, queues, agent_locks, cache, recovered }
    }

    /// Looks without the lock, so that who opens a store is in nobody's way; takes it if there is something to do.
    fn at_the_beginning(self) -> Result<Self, Error> {
        // What else stands in the way here is reported by the call that meets it.
        match file::has_leftovers(&self.host, &self.path) {
            Ok(true) => {}
            Ok(false) => {
                self.recovered.store(true, Ordering::Relaxed);
                return Ok(self);
            }
            Err(_) => return Ok(self),
        }
        match self.metadata_lock.acquire(Mode::Exclusive, Wait::No) {
            Ok(_lock) => {
                if let Err(error @ Error::Lost { .. }) = self.recover_under_lock() {
                    return Err(error);
                }
            }
            // Somebody works here, or we may not: then it is done by whoever writes first.
            Err(Error::Busy { .. } | Error::Io { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(self)
    }

    /// Opens the store without looking for what dead writers have left: fewer steps for the model checkers.
    #[cfg(test)]
    pub(crate) fn open_clean(host: &H, dir: &Path) -> Result<Self, Error> {
        let store = Self::checked(host, dir)?;
        store.recovered.store(true, Ordering::Relaxed);
        Ok(store)
    }

    /// How long each later call waits for a lock; for ever, unless this is called.
    #[must_use]
    pub fn waiting(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// The same store with rules taken away.
    #[cfg(test)]
    pub(crate) fn breaking(mut self, rules: &'static [Rule]) -> Self {
        self.rules = Rules::without(rules);
        let key = LockKey { level: Level::Metadata, dir: self.dir.clone(), file: METADATA_LOCK.to_owned() };
        self.metadata_lock = Lock::new(&self.host, self.rules, key, self.queues);
        self
    }

    /// The metadata file's path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Takes the agent's lock. Two handles for one agent exclude each other, in one process as between processes.
    ///
    /// A thread that needs several takes them in the order of their ids.
    ///
    /// # Errors
    /// [`Error::BadId`]; [`Error::Busy`] after the wait; [`Error::Reentry`] and [`Error::Order`] where waiting could
    /// never end; [`Error::Io`].
    pub fn agent(&self, id: &str) -> Result<Agent<H>, Error> {
        let id = AgentId::new(id)?;
        let lock = self.agent_lock(&id).acquire(Mode::Exclusive, self.wait)?;
        lock.note(&id);
        Ok(Agent::new(self.clone(), id, lock))
    }

    fn agent_lock(&self, id: &AgentId) -> Lock<H> {
        let file = id.lock_file();
        // Where another thread is at it, or was when this process was forked, a new one does as well.
        let mut known = self.agent_locks.try_lock().ok();
        if let Some(lock) = known.iter().flat_map(|known| known.iter()).find(|lock| lock.is_of(&file)) {
            return lock.clone();
        }
        let key = LockKey { level: Level::Agent, dir: self.dir.clone(), file };
        let lock = Lock::new(&self.host, self.rules, key, self.queues);
        if let Some(known) = &mut known {
            known.truncate(KNOWN_AGENTS - 1);
            known.insert(0, lock.clone());
        }
        lock
    }

    /// Reads the metadata under the shared lock: what one writer left whole. A missing file is an empty object. A file
    /// that nobody has changed since the last time is not read again.
    ///
    /// What it shows may not be durable yet where its writer was killed before the last flush.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Lost`]; [`Error::Busy`], [`Error::Reentry`], [`Error::Order`] as for
    /// [`Self::agent`]; [`Error::Io`].
    pub fn load(&self) -> Result<Snapshot, Error> {
        let read = || -> Result<Option<Snapshot>, Error> {
            let _lock = if self.rules.keep(Rule::ReaderLocks) { Some(self.shared()?) } else { None };
            self.cache.read(&self.host, &self.path)
        };
        let mut found = read()?;
        if found.is_none() && !self.is_recovered() {
            // Missing, or lost?
            self.recover()?;
            found = read()?;
        }
        Ok(found.unwrap_or_else(|| Snapshot::new(Metadata::new(), Generation::of(b""))))
    }

    /// Takes the metadata lock for something else than this package's calls: a copy of the file, say, or a change by
    /// another program. Whoever holds it cannot use these calls in the same thread ([`Error::Reentry`]).
    ///
    /// # Errors
    /// As for [`Self::agent`], less [`Error::BadId`].
    pub fn exclusive(&self) -> Result<Guard<H>, Error> {
        self.metadata_lock.acquire(Mode::Exclusive, self.wait)
    }

    /// As [`exclusive`](Self::exclusive), beside others who only read.
    ///
    /// # Errors
    /// As for [`Self::exclusive`].
    pub fn shared(&self) -> Result<Guard<H>, Error> {
        self.metadata_lock.acquire(Mode::Shared, self.wait)
    }

    /// Puts right what dead writers have left: removes their temporary files; where the metadata file itself is missing,
    /// which a loss of power can do in the middle of a rename on some file systems, puts the newest temporary file in its
    /// place that is complete by its checksum. [`open`](Store::open) has done so already if nobody was in the way.
    ///
    /// # Errors
    /// [`Error::Lost`] where none is complete (they are kept); otherwise as for [`Self::load`]: beside a corrupt file
    /// nothing is removed, since a leftover may be what repairs it.
    pub fn recover(&self) -> Result<Recovered, Error> {
        let _lock = self.exclusive()?;
        self.recover_under_lock()
    }

    pub(crate) fn recover_under_lock(&self) -> Result<Recovered, Error> {
        let recovered = file::recover(&self.host, &self.path)?;
        self.recovered.store(true, Ordering::Relaxed);
        Ok(recovered)
    }

    pub(crate) fn is_recovered(&self) -> bool {
        self.recovered.load(Ordering::Relaxed)
    }
}

fn enter<H: Host>(host: &H, dir: &Path) -> Result<(H, PathBuf), Error> {
    host.enter(dir).doing("open", dir)
}

impl<H: Host> Clone for Store<H> {
    fn clone(&self) -> Self {
        Self {
            host: self.host.clone(),
            dir: self.dir.clone(),
            path: self.path.clone(),
            wait: self.wait,
            rules: self.rules,
            metadata_lock: self.metadata_lock.clone(),
            queues: self.queues,
            agent_locks: Arc::clone(&self.agent_locks),
            cache: self.cache.clone(),
            recovered: Arc::clone(&self.recovered),
        }
    }
}

impl<H: Host> std::fmt::Debug for Store<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).field("wait", &self.wait).finish_non_exhaustive()
    }
}
