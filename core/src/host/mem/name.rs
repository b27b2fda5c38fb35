//! The names of the in-memory host: what stands at a path.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::file::{Inode, Shared};
use crate::host::threading::{Threading, lock};

/// A name, whether anything stands there or not.
///
/// A name may be a lasting one: made before the first process starts, and nobody changes it, which is not believed but
/// checked. Then looking at it is no step. Every look gives the same whenever it comes, so it commutes with all that
/// any process can do, and each order of steps in which it came elsewhere has the same results as one that is tried.
pub(super) struct Name<T: Threading> {
    entry: Shared<T, Option<Entry<T>>>,
    lasting: bool,
    /// What a loss of power would leave.
    flushed: Mutex<Option<Entry<T>>>,
}

pub(super) enum Entry<T: Threading> {
    File(Arc<Inode<T>>),
    Link(PathBuf),
}

impl<T: Threading> Clone for Entry<T> {
    fn clone(&self) -> Self {
        match self {
            Self::File(inode) => Self::File(Arc::clone(inode)),
            Self::Link(target) => Self::Link(target.clone()),
        }
    }
}

impl<T: Threading> Default for Name<T> {
    fn default() -> Self {
        Self { entry: Shared::new(None), lasting: false, flushed: Mutex::default() }
    }
}

impl<T: Threading> Name<T> {
    #[cfg(test)]
    pub(super) fn lasting(inode: Arc<Inode<T>>) -> Self {
        let entry = Some(Entry::File(inode));
        Self { entry: Shared::new(entry.clone()), lasting: true, flushed: Mutex::new(entry) }
    }

    /// Looks at what stands there, and puts something there only if nothing does.
    pub(super) fn look<R>(&self, work: impl FnOnce(&mut Option<Entry<T>>) -> R) -> R {
        if self.lasting { self.without_a_step(work) } else { self.entry.with(work) }
    }

    /// Changes what stands there.
    pub(super) fn change<R>(&self, work: impl FnOnce(&mut Option<Entry<T>>) -> R) -> R {
        assert!(!self.lasting, "somebody changes a name that was to stay as it is");
        self.entry.with(work)
    }

    /// Makes what stands there survive a loss of power. Who looks sees no difference, so it is no step.
    pub(super) fn flush(&self) {
        let entry = self.without_a_step(|entry| entry.clone());
        *lock(&self.flushed) = entry;
    }

    /// Goes back to what was flushed.
    pub(super) fn lose_power(&self) {
        let flushed = lock(&self.flushed).clone();
        self.without_a_step(|entry| *entry = flushed);
    }

    /// As [`look`](Self::look), for whoever comes when no other process can do anything.
    pub(super) fn without_a_step<R>(&self, work: impl FnOnce(&mut Option<Entry<T>>) -> R) -> R {
        self.entry.without_a_step(work)
    }
}

impl<T: Threading> Entry<T> {
    pub(super) fn look(&self) -> Result<Arc<Inode<T>>, PathBuf> {
        match self {
            Self::File(inode) => Ok(Arc::clone(inode)),
            Self::Link(target) => Err(target.clone()),
        }
    }
}
