//! What the in-memory host needs of threads, so that a model checker can put its own in their place.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

/// A family of synchronisation primitives: std's, loom's, shuttle's.
///
/// loom and shuttle are implemented where they are used, in this package's tests, so that the library does not
/// depend on them. No `--cfg loom` is needed: the protocol is generic, and one test binary runs it on all of them.
pub trait Threading: 'static {
    /// Data behind a mutex, with a condition variable.
    type Monitor<T: Send + 'static>: Monitor<T>;
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
