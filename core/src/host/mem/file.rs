//! The files of the in-memory host: content, lock, and what it means to have one open.

use std::sync::{Arc, Mutex};

use crate::host::Access;
use crate::host::threading::{FileLock, Monitor, Threading, lock};

/// Data that processes share, for each piece a monitor of its own: a model checker sees which steps are independent.
pub(super) struct Shared<T: Threading, D> {
    step: T::Monitor<()>,
    data: Mutex<D>,
}

impl<T: Threading, D> Shared<T, D> {
    pub(super) fn new(data: D) -> Self {
        Self { step: T::Monitor::new(()), data: Mutex::new(data) }
    }

    /// Does `work` with the data: a step, before which a checker may let others go.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut D) -> R) -> R {
        self.step.with(|()| self.without_a_step(work))
    }

    /// Does `work` where nobody else could do anything in between that makes a difference. The caller says why.
    pub(super) fn without_a_step<R>(&self, work: impl FnOnce(&mut D) -> R) -> R {
        work(&mut lock(&self.data))
    }
}

/// A file, whatever its names.
pub(super) struct Inode<T: Threading> {
    pub(super) content: Shared<T, Content>,
    pub(super) lock: T::FileLock,
}

pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) access: Access,
}

/// An open file of a [`MemHost`](crate::host::MemHost).
pub struct MemFile<T: Threading> {
    pub(super) inode: Arc<Inode<T>>,
    /// The lock, if this opening holds it: no part of the model, since only its owner asks.
    held: Mutex<Option<<T::FileLock as FileLock>::Held>>,
}

impl<T: Threading> Inode<T> {
    pub(super) fn new(access: Access) -> Arc<Self> {
        let content = Shared::new(Content { bytes: Vec::new(), access });
        Arc::new(Self { content, lock: T::FileLock::new() })
    }

    pub(super) fn append(&self, bytes: &[u8]) {
        self.content.with(|content| content.bytes.extend_from_slice(bytes));
    }
}

impl<T: Threading> MemFile<T> {
    pub(super) fn new(inode: Arc<Inode<T>>) -> Self {
        Self { inode, held: Mutex::new(None) }
    }

    pub(super) fn hold(&self, held: <T::FileLock as FileLock>::Held) {
        *lock(&self.held) = Some(held);
    }

    /// Frees the lock if this opening holds it.
    pub(super) fn free(&self) {
        let held = lock(&self.held).take();
        if T::usable() {
            drop(held);
        } else {
            // Freeing it would use a checker's primitives.
            std::mem::forget(held);
        }
    }
}

impl<T: Threading> Drop for MemFile<T> {
    fn drop(&mut self) {
        self.free();
    }
}
