//! The store and the handle of an agent: the protocol's steps in their order.

use std::path::{Path, PathBuf};

use crate::error::{Doing, Error};
use crate::file::{self, Current};
use crate::host::{Host, Mode, OsHost};
use crate::lock::{Guard, Level, LockKey, Wait};
use crate::merge::{Policy, merge};
use crate::rules::{Rule, Rules};
use crate::{AgentId, Metadata};

/// The metadata file's name.
pub const METADATA_FILE: &str = "agent_metadata.json";

/// The name of the lock file that guards it.
pub const METADATA_LOCK: &str = ".metadata.lock";

/// A directory with a metadata file that agents share.
///
/// A store holds no lock and no open file. It may be cloned, sent to other threads, and used after a fork.
#[derive(Clone, Debug)]
pub struct Store<H: Host = OsHost> {
    host: H,
    dir: PathBuf,
    wait: Wait,
    rules: Rules,
}

/// An agent's handle: it holds the agent's lock until it is dropped, and alone may change the agent's part.
///
/// It stays in the thread that made it. In a forked child it is of no use ([`Error::Forked`]), and dropping it there
/// leaves the parent's lock alone.
///
/// ```compile_fail
/// let agent = cooks_core::Store::open(".").unwrap().agent("a").unwrap();
/// std::thread::spawn(move || drop(agent)); // error: it cannot be sent between threads
/// ```
pub struct Agent<H: Host = OsHost> {
    store: Store<H>,
    id: AgentId,
    lock: Guard<H>,
}

impl Store {
    /// Opens the store in an existing directory. Creates nothing: the files appear when they are first needed.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory is missing or cannot be reached.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::on(OsHost, dir)
    }
}

impl<H: Host> Store<H> {
    /// Opens the store of another world than the operating system's.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory is missing or cannot be reached.
    pub fn on(host: H, dir: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = host.canonical(dir.as_ref()).doing("open", dir.as_ref())?;
        Ok(Self { host, dir, wait: Wait::default(), rules: Rules::default() })
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
        self
    }

    /// The metadata file's path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.join(METADATA_FILE)
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
        let key = LockKey { level: Level::Agent, dir: self.dir.clone(), file: id.lock_file() };
        let lock = Guard::acquire(&self.host, self.rules, key, Mode::Exclusive, self.wait)?;
        lock.note(&id);
        Ok(Agent { store: self.clone(), id, lock })
    }

    /// Reads the metadata under the shared lock: what one writer left whole. A missing file is an empty object.
    ///
    /// What it shows may not be durable yet where its writer was killed before the last flush.
    ///
    /// # Errors
    /// [`Error::Corrupt`]; [`Error::Busy`], [`Error::Reentry`], [`Error::Order`] as for [`Self::agent`];
    /// [`Error::Io`].
    pub fn load(&self) -> Result<Metadata, Error> {
        let _lock =
            if self.rules.keep(Rule::ReaderLocks) { Some(self.metadata_lock(Mode::Shared)?) } else { None };
        Ok(file::read(&self.host, &self.path())?.metadata)
    }

    /// Removes the temporary files that killed writers left behind, and returns their paths. They do no harm but
    /// take room: a start-up is a good time. Not done at each save, because listing the directory would make every
    /// save depend on every name that anybody makes in it.
    ///
    /// # Errors
    /// As for [`Self::load`]: beside a corrupt file nothing is removed, since a leftover may be what repairs it.
    pub fn sweep(&self) -> Result<Vec<PathBuf>, Error> {
        let _lock = self.metadata_lock(Mode::Exclusive)?;
        file::sweep(&self.host, &self.path())
    }

    pub(crate) fn metadata_lock(&self, mode: Mode) -> Result<Guard<H>, Error> {
        let key = LockKey { level: Level::Metadata, dir: self.dir.clone(), file: METADATA_LOCK.to_owned() };
        Guard::acquire(&self.host, self.rules, key, mode, self.wait)
    }
}

impl<H: Host> Agent<H> {
    /// The agent's id.
    #[must_use]
    pub fn id(&self) -> &AgentId {
        &self.id
    }

    /// The store that this handle belongs to.
    #[must_use]
    pub fn store(&self) -> &Store<H> {
        &self.store
    }

    /// Changes the metadata under the exclusive lock. The closure sees the whole file as it is now, and may change
    /// the part under this agent's id. When this returns `Ok`, the change is durable.
    ///
    /// # Errors
    /// [`Error::NotOwner`], [`Error::TooDeep`], [`Error::Corrupt`], [`Error::Busy`], [`Error::Io`]: nothing changed.
    /// [`Error::Unknown`]: changed, but perhaps not durable. If the closure panics, nothing is changed.
    pub fn update<R>(&self, change: impl FnOnce(&mut Metadata) -> R) -> Result<R, Error> {
        let done: Result<R, std::convert::Infallible> = self.try_update(|metadata| Ok(change(metadata)))?;
        match done {
            Ok(result) => Ok(result),
        }
    }

    /// As [`Self::update`], with a closure that may decide to leave everything as it is: its `Err` is handed back in
    /// the `Ok` of this call, and nothing is written.
    ///
    /// # Errors
    /// As for [`Self::update`].
    pub fn try_update<R, E>(
        &self,
        change: impl FnOnce(&mut Metadata) -> Result<R, E>,
    ) -> Result<Result<R, E>, Error> {
        let _lock = self.writer_lock()?;
        let current = self.current()?;
        let mut metadata = current.metadata.clone();
        let result = match change(&mut metadata) {
            Ok(result) => result,
            Err(error) => return Ok(Err(error)),
        };
        file::check_change(&self.id, &current.metadata, &metadata)?;
        self.replace(&current, &metadata)?;
        Ok(Ok(result))
    }

    /// Saves what I made (`mine`) of what I loaded (`base`): takes the exclusive lock, reads the file again, and
    /// writes my changes on top of what others have written since. Returns what was written, which is the base for
    /// the next save. When this returns `Ok`, it is durable.
    ///
    /// # Errors
    /// [`Error::Conflict`] when both sides changed the same value; otherwise as for [`Self::update`].
    pub fn save(&self, base: &Metadata, mine: &Metadata) -> Result<Metadata, Error> {
        self.save_with(base, mine, Policy::Fail)
    }

    /// As [`Self::save`], with another answer to conflicts than an error.
    ///
    /// # Errors
    /// As for [`Self::save`].
    pub fn save_with(&self, base: &Metadata, mine: &Metadata, policy: Policy) -> Result<Metadata, Error> {
        file::check_change(&self.id, base, mine)?;
        let _lock = self.writer_lock()?;
        let current = self.current()?;
        let disk = if self.store.rules.keep(Rule::SaveReloads) { &current.metadata } else { base };
        let merged = merge(base, mine, disk, policy).map_err(Error::Conflict)?.value;
        self.replace(&current, &merged)?;
        Ok(merged)
    }

    fn writer_lock(&self) -> Result<Option<Guard<H>>, Error> {
        self.lock.check_process()?;
        if !self.store.rules.keep(Rule::WriterLocks) {
            return Ok(None);
        }
        let lock = self.store.metadata_lock(Mode::Exclusive)?;
        lock.note(&self.id);
        Ok(Some(lock))
    }

    fn current(&self) -> Result<Current, Error> {
        file::read(&self.store.host, &self.store.path())
    }

    fn replace(&self, current: &Current, metadata: &Metadata) -> Result<(), Error> {
        file::replace(&self.store.host, self.store.rules, &self.id, current, metadata)
    }
}
