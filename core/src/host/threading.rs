//! What the in-memory host needs of threads, so that a model checker can put its own in their place.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use crate::host::Mode;

/// A family of synchronisation primitives: std's, loom's, shuttle's.
///
/// loom and shuttle are implemented where they are used, in this package's tests, so that the library does not
/// depend on them. No `--cfg loom` is needed: the protocol is generic, and one test binary runs it on all of them.
pub trait Threading: 'static {
    /// Data behind a mutex, with a condition variable.
    type Monitor<T: Send + 'static>: Monitor<T>;
    /// The lock of a file. [`MonitorLock`] will do; a checker with a lock of its own that knows who is waiting for
    /// whom explores far fewer executions with that one.
    type FileLock: FileLock;
    /// Tells threads apart.
    type ThreadId: PartialEq + Send;

    /// The thread that asks.
    fn current() -> Self::ThreadId;

    /// Whether monitors may be used now. A model checker that takes a failed execution apart must answer no: its
    /// primitives are gone by then, and destructors would fail once more.
    fn usable() -> bool {
        true
    }
}

/// Data behind a mutex, with a condition variable.
pub trait Monitor<T>: Send + Sync {
    /// Puts `value` behind a mutex.
    fn new(value: T) -> Self;

    /// Does `work` under the mutex. To a model checker this is one step.
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;

    /// Waits until `work` gives a result, and looks again after each [`notify`](Self::notify).
    fn wait<R>(&self, work: impl FnMut(&mut T) -> Option<R>) -> R;

    /// Wakes those that wait.
    fn notify(&self);
}

/// A lock as flock(2) has it: any number of openings hold it shared, or one exclusively.
pub trait FileLock: Send + Sync + 'static {
    /// Holds the lock until it is dropped.
    type Held;

    /// A lock that is free.
    fn new() -> Self;

    /// Takes the lock, and waits for it. To a model checker this is one step, and waiting is none.
    fn take(&self, mode: Mode) -> Self::Held;

    /// Takes the lock if it is free for that mode.
    fn try_take(&self, mode: Mode) -> Option<Self::Held>;

    /// Called before a lock is freed that others may have tried to take: a step, if freeing it is none.
    fn about_to_free(&self, _held: &Self::Held) {}
}

/// A file lock made of a monitor: each try is a step.
pub struct MonitorLock<T: Threading> {
    holders: Arc<T::Monitor<Holders>>,
}

/// Holds a [`MonitorLock`].
pub struct MonitorHeld<T: Threading> {
    holders: Arc<T::Monitor<Holders>>,
    mode: Mode,
}

/// How many hold a [`MonitorLock`].
#[derive(Debug, Default)]
pub struct Holders {
    exclusive: bool,
    shared: usize,
}

impl Holders {
    /// Takes the lock if the other holders allow it.
    fn take(&mut self, mode: Mode) -> bool {
        let free = !self.exclusive && (mode == Mode::Shared || self.shared == 0);
        if free {
            match mode {
                Mode::Shared => self.shared += 1,
                Mode::Exclusive => self.exclusive = true,
            }
        }
        free
    }
}

impl<T: Threading> FileLock for MonitorLock<T> {
    type Held = MonitorHeld<T>;

    fn new() -> Self {
        Self { holders: Arc::new(T::Monitor::new(Holders::default())) }
    }

    fn take(&self, mode: Mode) -> MonitorHeld<T> {
        self.holders.wait(|holders| holders.take(mode).then_some(()));
        MonitorHeld { holders: Arc::clone(&self.holders), mode }
    }

    fn try_take(&self, mode: Mode) -> Option<MonitorHeld<T>> {
        let taken = self.holders.with(|holders| holders.take(mode));
        taken.then(|| MonitorHeld { holders: Arc::clone(&self.holders), mode })
    }
}

impl<T: Threading> Drop for MonitorHeld<T> {
    fn drop(&mut self) {
        self.holders.with(|holders| match self.mode {
            Mode::Shared => holders.shared -= 1,
            Mode::Exclusive => holders.exclusive = false,
        });
        self.holders.notify();
    }
}

/// The real threads.
#[derive(Clone, Copy, Debug)]
pub enum StdThreading {}

/// std's mutex and condition variable.
#[derive(Debug)]
pub struct StdMonitor<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl Threading for StdThreading {
    type Monitor<T: Send + 'static> = StdMonitor<T>;
    type FileLock = MonitorLock<Self>;
    type ThreadId = ThreadId;

    fn current() -> ThreadId {
        std::thread::current().id()
    }
}

impl<T: Send> Monitor<T> for StdMonitor<T> {
    fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut lock(&self.value))
    }

    fn wait<R>(&self, mut work: impl FnMut(&mut T) -> Option<R>) -> R {
        let mut guard = lock(&self.value);
        loop {
            if let Some(result) = work(&mut guard) {
                return result;
            }
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn notify(&self) {
        self.changed.notify_all();
    }
}

/// Each change under a mutex here is complete or not begun, so a panic elsewhere does not matter.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
