//! Taking and giving back locks: order, deadlines, and the check that the lock file is still the lock file.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Doing, Error};
use crate::host::{Found, Host, Mode};
use crate::rules::{Rule, Rules};

/// How long to wait for a lock that another holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// As long as it takes: one call that sleeps in the kernel.
    #[default]
    Forever,
    /// Until that much time has passed since the lock was found taken; it is tried again every few milliseconds.
    For(Duration),
    /// Not at all.
    No,
}

/// The first pause between two tries; each is twice as long as the one before, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(32);

/// The length of the line in a lock file. It is always the same, so that one write replaces the former one whole.
const NOTE_BYTES: usize = 144;

/// Which lock. The order of the keys is the order in which a thread takes locks: agent locks before metadata locks,
/// by directory, then by name. A thread that only ever takes a greater one cannot be part of a deadlock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LockKey {
    pub(crate) level: Level,
    pub(crate) dir: PathBuf,
    pub(crate) file: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Agent,
    Metadata,
}

impl LockKey {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(&self.file)
    }
}

/// The locks that one thread holds. A [`Host`] keeps one list for each thread and does not look into it.
#[derive(Debug, Default)]
pub struct HeldLocks(Vec<(u32, LockKey)>);

impl HeldLocks {
    /// Refuses a lock that this thread holds already or must not wait for now.
    fn check(&mut self, process: u32, wanted: &LockKey) -> Result<(), Error> {
        // After a fork the child finds here what its parent held: none of it is the child's.
        self.0.retain(|(holder, _)| *holder == process);
        if self.0.iter().any(|(_, key)| key == wanted) {
            return Err(Error::Reentry { lock: wanted.path() });
        }
        match self.0.iter().map(|(_, key)| key).max() {
            Some(held) if held > wanted => Err(Error::Order { wanted: wanted.path(), held: held.path() }),
            _ => Ok(()),
        }
    }
}

/// A lock that is held until this is dropped.
///
/// It stays in the thread that took it (the list of held locks is the thread's).
pub(crate) struct Guard<H: Host> {
    host: H,
    file: H::File,
    key: LockKey,
    process: u32,
    _stays_in_its_thread: PhantomData<*const ()>,
}

impl<H: Host> Guard<H> {
    /// Takes the lock, and makes sure that it is the lock which the others take.
    pub(crate) fn acquire(
        host: &H,
        rules: Rules,
        key: LockKey,
        mode: Mode,
        wait: Wait,
    ) -> Result<Self, Error> {
        let (process, path) = (host.process(), key.path());
        if rules.keep(Rule::LockOrder) {
            host.with_held(|held| held.check(process, &key))?;
        }
        let mut deadline = None;
        let file = loop {
            let file = host.open_lock(&path).doing("open the lock file", &path)?;
            take(host, &file, &path, mode, wait, &mut deadline)?;
            // Somebody may have removed or replaced the file while we waited, against the rules. Then the lock that
            // we hold is one that newcomers do not see.
            if !rules.keep(Rule::LockFileChecked)
                || host.is_at(&file, &path).doing("examine the lock file", &path)?
            {
                break file;
            }
        };
        host.with_held(|held| held.0.push((process, key.clone())));
        Ok(Self { host: host.clone(), file, key, process, _stays_in_its_thread: PhantomData })
    }

    /// Writes into the lock file who holds it, for people.
    pub(crate) fn note(&self, who: impl fmt::Display) {
        let line = format!("pid {} agent {who}", self.process);
        let note = format!("{line:<width$}\n", width = NOTE_BYTES - 1);
        // A full disk is no reason to do without the lock.
        drop(self.host.write_note(&self.file, note.as_bytes()));
    }

    /// Refuses to act for a forked child, whose copy of the guard is not a lock of its own.
    pub(crate) fn check_process(&self) -> Result<(), Error> {
        if self.host.process() == self.process {
            Ok(())
        } else {
            Err(Error::Forked { lock: self.key.path() })
        }
    }
}

impl<H: Host> Drop for Guard<H> {
    fn drop(&mut self) {
        // In a forked child this copy is only closed: freeing it would free the parent's lock.
        if self.host.process() != self.process {
            return;
        }
        // Closing alone would leave the lock with any child that was forked while it was held.
        drop(self.host.unlock(&self.file));
        self.host.with_held(|held| held.0.retain(|(_, key)| *key != self.key));
    }
}

fn take<H: Host>(
    host: &H,
    file: &H::File,
    path: &Path,
    mode: Mode,
    wait: Wait,
    deadline: &mut Option<Duration>,
) -> Result<(), Error> {
    let taken = match wait {
        Wait::Forever => until_taken(|| host.lock(file, mode).map(|()| true)),
        Wait::No => until_taken(|| host.try_lock(file, mode)),
        Wait::For(time) => poll(host, file, mode, time, deadline),
    };
    if taken.doing("lock", path)? {
        return Ok(());
    }
    let waited = if let Wait::For(time) = wait { time } else { Duration::ZERO };
    Err(Error::Busy { lock: path.to_owned(), waited, holder: read_note(host, path) })
}

/// Calls again when a signal arrived.
fn until_taken(mut attempt: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Tries until the deadline. The clock is read only once the lock was found taken.
fn poll<H: Host>(
    host: &H,
    file: &H::File,
    mode: Mode,
    time: Duration,
    deadline: &mut Option<Duration>,
) -> io::Result<bool> {
    if until_taken(|| host.try_lock(file, mode))? {
        return Ok(true);
    }
    let deadline = *deadline.get_or_insert_with(|| host.now().saturating_add(time));
    let mut pause = FIRST_PAUSE;
    loop {
        let left = deadline.saturating_sub(host.now());
        if left.is_zero() {
            return Ok(false);
        }
        host.pause(pause.min(left));
        if until_taken(|| host.try_lock(file, mode))? {
            return Ok(true);
        }
        pause = (2 * pause).min(LAST_PAUSE);
    }
}

/// What the lock file says about its last exclusive holder.
fn read_note<H: Host>(host: &H, path: &Path) -> Option<String> {
    let Ok(Found::File { bytes, .. }) = host.read(path) else { return None };
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next()?.trim_end();
    (!line.is_empty()).then(|| line.to_owned())
}
