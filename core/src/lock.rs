//! Taking and giving back locks: order, queue, deadlines, and the check that the lock file is still the lock file.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::error::{Doing, Error};
#[cfg(test)]
use crate::host::Observed;
use crate::host::{Found, Host, Mode, Standing};
use crate::queue::{Answer, Queue, Ticket};
use crate::rules::{Rule, Rules};

/// How long to wait for a lock that another holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// As long as it takes, asleep in the kernel.
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
const NOTE_BYTES: u64 = 144;

/// What stands behind that line while somebody waits. The length of the file is the sign: to see it costs nothing,
/// because whoever takes the lock examines the file anyway. It is no more than a hint: if it is missing, who comes may
/// be faster than who waits; if nobody waits, who comes finds the queue empty.
const WAITING: &[u8] = b"others wait\n";

/// How many open files a lock keeps for the next time.
const KEPT_OPEN: usize = 4;

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
    fn path(&self) -> PathBuf {
        self.dir.join(&self.file)
    }
}

/// The locks that one thread holds. A [`Host`] keeps one list for each thread and does not look into it.
#[derive(Debug, Default)]
pub struct HeldLocks(Vec<(u32, Arc<LockKey>)>);

impl HeldLocks {
    /// Refuses a lock that this thread holds already or must not wait for now.
    fn check(&mut self, process: u32, wanted: &LockKey) -> Result<(), Error> {
        // After a fork the child finds here what its parent held: none of it is the child's.
        self.0.retain(|(holder, _)| *holder == process);
        if self.0.iter().any(|(_, key)| **key == *wanted) {
            return Err(Error::Reentry { lock: wanted.path() });
        }
        match self.0.iter().map(|(_, key)| key).max() {
            Some(held) if **held > *wanted => Err(Error::Order { wanted: wanted.path(), held: held.path() }),
            _ => Ok(()),
        }
    }
}

/// One lock of a directory. It holds nothing; open files are kept for the next time that it is taken.
pub(crate) struct Lock<H: Host> {
    host: H,
    rules: Rules,
    key: Arc<LockKey>,
    path: Arc<Path>,
    queue: Option<Arc<Path>>,
    kept: Arc<Mutex<Vec<Opened<H>>>>,
}

/// A lock file that is open, and its queue if that was needed once.
struct Opened<H: Host> {
    file: H::File,
    queue: Option<Queue<H>>,
    process: u32,
}

/// Makes the request, if there is to be one, once it is clear that somebody is in the way.
type Ask<'a> = &'a mut dyn FnMut() -> Result<Option<Vec<u8>>, Error>;

/// What came of waiting with a request.
pub(crate) enum Waited<H: Host> {
    /// The lock is ours.
    Held(Guard<H>),
    /// Whoever had it has done what we asked for.
    Answered(Answer),
}

impl<H: Host> Lock<H> {
    pub(crate) fn new(host: &H, rules: Rules, key: LockKey, with_queue: bool) -> Self {
        let name = key.file.strip_suffix(".lock").unwrap_or(&key.file);
        let queue = with_queue.then(|| key.dir.join(format!("{name}.queue")).into());
        let (host, path) = (host.clone(), key.path().into());
        Self { host, rules, key: Arc::new(key), path, queue, kept: Arc::default() }
    }

    /// Whether this is the lock of that file.
    pub(crate) fn is_of(&self, file: &str) -> bool {
        self.key.file == file
    }

    /// Takes the lock, and makes sure that it is the lock which the others take.
    pub(crate) fn acquire(&self, mode: Mode, wait: Wait) -> Result<Guard<H>, Error> {
        match self.acquire_or_ask(mode, wait, &mut || Ok(None))? {
            Waited::Held(guard) => Ok(guard),
            Waited::Answered(_) => unreachable!("nothing was asked for"),
        }
    }

    /// As [`acquire`](Self::acquire); if it has to wait, it leaves a request meanwhile for whoever has the lock.
    pub(crate) fn acquire_or_ask(
        &self,
        mode: Mode,
        wait: Wait,
        request: Ask<'_>,
    ) -> Result<Waited<H>, Error> {
        let process = self.host.process();
        if self.rules.keep(Rule::LockOrder) {
            self.host.with_held(|held| held.check(process, &self.key))?;
        }
        let mut deadline = None;
        loop {
            let mut opened = self.opened(process)?;
            let waited = match self.try_take(&opened, mode)? {
                Tried::Gone => continue,
                Tried::Taken => Taking::Done,
                Tried::Busy if wait == Wait::No => match self.check(&opened.file)? {
                    // Who holds a lock file that was removed is not in our way.
                    Taking::Gone => continue,
                    _ => return Err(self.busy(Duration::ZERO)),
                },
                Tried::Queued if wait == Wait::No && self.queue(&mut opened)?.is_used(&self.path)? => {
                    return Err(self.busy(Duration::ZERO));
                }
                Tried::Busy | Tried::Queued => {
                    self.take_in_turn(&mut opened, mode, wait, &mut deadline, request)?
                }
            };
            match waited {
                // Somebody removed or replaced the file, against the rules: once more, with the new one.
                Taking::Gone => continue,
                Taking::Answered(answer) => {
                    self.keep(opened);
                    return Ok(Waited::Answered(answer));
                }
                Taking::Done => {}
            }
            #[cfg(test)]
            self.host.observe(Observed::Has(mode));
            self.host.with_held(|held| held.0.push((process, Arc::clone(&self.key))));
            let lock = self.clone();
            return Ok(Waited::Held(Guard {
                lock,
                opened: Some(opened),
                process,
                _stays_in_its_thread: PhantomData,
            }));
        }
    }

    /// The way of most calls: three system calls from here to the unlocking, if nobody is in the way.
    fn try_take(&self, opened: &Opened<H>, mode: Mode) -> Result<Tried, Error> {
        let taken = until_done(|| self.host.try_lock(&opened.file, mode)).doing("lock", &self.path)?;
        if !self.rules.keep(Rule::LockFileChecked) {
            return Ok(if taken { Tried::Taken } else { Tried::Busy });
        }
        if !taken {
            return Ok(Tried::Busy);
        }
        Ok(match self.host.standing(&opened.file, &self.path).doing("examine the lock file", &self.path)? {
            Standing::Gone => Tried::Gone,
            Standing::Here { length } if self.somebody_waits(length, mode) => {
                self.host.unlock(&opened.file).doing("unlock", &self.path)?;
                Tried::Queued
            }
            Standing::Here { .. } => Tried::Taken,
        })
    }

    fn somebody_waits(&self, length: u64, mode: Mode) -> bool {
        let looks = self.rules.keep(Rule::NobodyPasses)
            && (mode == Mode::Exclusive || self.rules.keep(Rule::ReadersQueue));
        looks && self.queue.is_some() && length > NOTE_BYTES
    }

    /// Waits behind those who came before.
    fn take_in_turn(
        &self,
        opened: &mut Opened<H>,
        mode: Mode,
        wait: Wait,
        deadline: &mut Option<Duration>,
        request: Ask<'_>,
    ) -> Result<Taking, Error> {
        let readers_pass = mode == Mode::Shared && !self.rules.keep(Rule::ReadersQueue);
        let Some(queue_path) = self.queue.as_ref().filter(|_| !readers_pass) else {
            self.take(&opened.file, mode, wait, deadline)?;
            return self.check(&opened.file);
        };
        self.queue(opened)?;
        let Opened { file, queue: Some(queue), .. } = opened else { unreachable!("it was opened") };
        let mut ticket = queue.join(queue_path)?;
        self.say_that_somebody_waits(file)?;
        #[cfg(test)]
        self.host.observe(Observed::Queued);
        if let Some(request) = request()? {
            ticket.post(&request, queue_path)?;
        }
        let taking = self.take_with_ticket(file, mode, wait, deadline, &ticket, queue_path)?;
        drop(ticket);
        self.unsay_that_somebody_waits(file, queue, queue_path)?;
        Ok(taking)
    }

    fn take_with_ticket(
        &self,
        file: &H::File,
        mode: Mode,
        wait: Wait,
        deadline: &mut Option<Duration>,
        ticket: &Ticket<'_, H>,
        queue_path: &Path,
    ) -> Result<Taking, Error> {
        match wait {
            Wait::Forever => ticket.await_turn(queue_path)?,
            Wait::For(time) => self.poll(time, deadline, || ticket.is_next(queue_path))?,
            // Somebody came in between.
            Wait::No if !ticket.is_next(queue_path)? => return Err(self.busy(Duration::ZERO)),
            Wait::No => {}
        }
        if let Some(answer) = ticket.answer(queue_path)? {
            return Ok(Taking::Answered(answer));
        }
        self.take(file, mode, wait, deadline)?;
        let taking = self.check(file)?;
        // Who had the lock may have answered while we waited for it.
        Ok(match ticket.answer(queue_path)? {
            Some(answer) => {
                self.host.unlock(file).doing("unlock", &self.path)?;
                Taking::Answered(answer)
            }
            None => taking,
        })
    }

    fn take(
        &self,
        file: &H::File,
        mode: Mode,
        wait: Wait,
        deadline: &mut Option<Duration>,
    ) -> Result<(), Error> {
        let attempt = || until_done(|| self.host.try_lock(file, mode)).doing("lock", &self.path);
        match wait {
            Wait::Forever => until_done(|| self.host.lock(file, mode)).doing("lock", &self.path),
            Wait::For(time) => self.poll(time, deadline, attempt),
            Wait::No => attempt()?.then_some(()).ok_or_else(|| self.busy(Duration::ZERO)),
        }
    }

    fn check(&self, file: &H::File) -> Result<Taking, Error> {
        if !self.rules.keep(Rule::LockFileChecked) {
            return Ok(Taking::Done);
        }
        Ok(match self.host.standing(file, &self.path).doing("examine the lock file", &self.path)? {
            Standing::Gone => Taking::Gone,
            Standing::Here { .. } => Taking::Done,
        })
    }

    /// Tries until the deadline. The clock is read only once the first try has failed.
    fn poll(
        &self,
        time: Duration,
        deadline: &mut Option<Duration>,
        mut attempt: impl FnMut() -> Result<bool, Error>,
    ) -> Result<(), Error> {
        if attempt()? {
            return Ok(());
        }
        let deadline = *deadline.get_or_insert_with(|| self.host.now().saturating_add(time));
        let mut pause = FIRST_PAUSE;
        loop {
            let left = deadline.saturating_sub(self.host.now());
            if left.is_zero() {
                return Err(self.busy(time));
            }
            self.host.pause(pause.min(left));
            if attempt()? {
                return Ok(());
            }
            pause = (2 * pause).min(LAST_PAUSE);
        }
    }

    fn busy(&self, waited: Duration) -> Error {
        Error::Busy { lock: self.path.to_path_buf(), waited, holder: read_note(&self.host, &self.path) }
    }

    fn say_that_somebody_waits(&self, file: &H::File) -> Result<(), Error> {
        let Standing::Here { length } =
            self.host.standing(file, &self.path).doing("examine the lock file", &self.path)?
        else {
            return Ok(());
        };
        if length > NOTE_BYTES {
            return Ok(());
        }
        let from = if length == NOTE_BYTES { NOTE_BYTES } else { 0 };
        let text = [note("").as_bytes(), WAITING].concat();
        self.host.write_at(file, from, &text[from as usize..]).doing("write", &self.path)
    }

    /// Takes the sign away if nobody is left. Somebody may come in between and have seen the sign still there: then it is
    /// put back.
    fn unsay_that_somebody_waits(&self, file: &H::File, queue: &Queue<H>, path: &Path) -> Result<(), Error> {
        if queue.is_used(path)? {
            return Ok(());
        }
        self.host.shorten(file, NOTE_BYTES).doing("shorten", &self.path)?;
        if queue.is_used(path)? { self.say_that_somebody_waits(file) } else { Ok(()) }
    }

    fn queue<'a>(&self, opened: &'a mut Opened<H>) -> Result<&'a Queue<H>, Error> {
        if opened.queue.is_none() {
            let path = self.queue.as_ref().expect("only who has a queue asks");
            opened.queue = Some(Queue::open(&self.host, self.rules, path)?);
        }
        Ok(opened.queue.as_ref().expect("it was opened"))
    }

    /// An open lock file that nobody uses at the moment.
    fn opened(&self, process: u32) -> Result<Opened<H>, Error> {
        // If another thread is at it, or was when this process was forked, a file of our own will do.
        if let Ok(mut kept) = self.kept.try_lock() {
            // Those of a parent share their locks with it: in a forked child they are only closed.
            kept.retain(|opened| opened.process == process);
            if let Some(opened) = kept.pop() {
                return Ok(opened);
            }
        }
        let file = self.host.open_lock(&self.path).doing("open the lock file", &self.path)?;
        Ok(Opened { file, queue: None, process })
    }

    fn keep(&self, opened: Opened<H>) {
        if let Ok(mut kept) = self.kept.try_lock()
            && kept.len() < KEPT_OPEN
        {
            kept.push(opened);
        }
    }
}

/// What a first try found.
enum Tried {
    Taken,
    /// Somebody holds it.
    Busy,
    /// It is free, but somebody waits.
    Queued,
    /// The lock file is no longer the one that others take.
    Gone,
}

enum Taking {
    Done,
    Answered(Answer),
    Gone,
}

impl<H: Host> Clone for Lock<H> {
    fn clone(&self) -> Self {
        Self {
            host: self.host.clone(),
            rules: self.rules,
            key: Arc::clone(&self.key),
            path: Arc::clone(&self.path),
            queue: self.queue.clone(),
            kept: Arc::clone(&self.kept),
        }
    }
}

/// A lock that is held until this is dropped.
///
/// It stays in the thread that took it (the list of held locks is the thread's). In a forked child it holds nothing, and
/// dropping it there leaves the parent's lock alone.
pub struct Guard<H: Host> {
    lock: Lock<H>,
    opened: Option<Opened<H>>,
    process: u32,
    _stays_in_its_thread: PhantomData<*const ()>,
}

impl<H: Host> Guard<H> {
    /// Writes into the lock file who holds it, for people.
    pub(crate) fn note(&self, who: impl fmt::Display) {
        let line = note(&format!("pid {} agent {who}", self.process));
        // A full disk is no reason to do without the lock.
        drop(self.lock.host.write_note(&self.opened().file, line.as_bytes()));
    }

    /// Refuses to act for a forked child, whose copy of the guard is not a lock of its own.
    pub(crate) fn check_process(&self) -> Result<(), Error> {
        if self.lock.host.process() == self.process {
            Ok(())
        } else {
            Err(Error::Forked { lock: self.lock.path.to_path_buf() })
        }
    }

    /// The queue of those who wait, and its path; `None` if none is known to.
    pub(crate) fn waiting(&mut self) -> Result<Option<(&Queue<H>, &Path)>, Error> {
        let lock = &self.lock;
        let Some(path) = &lock.queue else { return Ok(None) };
        let opened = self.opened.as_mut().expect("it is kept until the guard is dropped");
        let standing =
            lock.host.standing(&opened.file, &lock.path).doing("examine the lock file", &lock.path)?;
        match standing {
            Standing::Here { length } if length > NOTE_BYTES => Ok(Some((lock.queue(opened)?, path))),
            _ => Ok(None),
        }
    }

    fn opened(&self) -> &Opened<H> {
        self.opened.as_ref().expect("it is kept until the guard is dropped")
    }
}

impl<H: Host> Drop for Guard<H> {
    fn drop(&mut self) {
        let Some(opened) = self.opened.take() else { return };
        // In a forked child this copy is only closed: freeing it would free the parent's lock.
        if self.lock.rules.keep(Rule::ChildrenOnlyClose) && self.lock.host.process() != self.process {
            return;
        }
        // Closing alone would leave the lock with any child that was forked while it was held.
        let freed =
            !self.lock.rules.keep(Rule::UnlockedByHand) || self.lock.host.unlock(&opened.file).is_ok();
        self.lock.host.with_held(|held| held.0.retain(|(_, key)| !Arc::ptr_eq(key, &self.lock.key)));
        if freed {
            self.lock.keep(opened);
        }
    }
}

/// Calls again when a signal arrived.
pub(crate) fn until_done<R>(mut attempt: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A line for a lock file.
fn note(text: &str) -> String {
    format!("{text:<width$}\n", width = NOTE_BYTES as usize - 1)
}

/// What the lock file says about its last exclusive holder.
fn read_note<H: Host>(host: &H, path: &Path) -> Option<String> {
    let Ok(Found::File { bytes, .. }) = host.read(path, 4096) else { return None };
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next()?.trim_end();
    (!line.is_empty()).then(|| line.to_owned())
}
