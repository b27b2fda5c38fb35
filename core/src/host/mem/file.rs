//! The files of the in-memory host: content, lock, and what it means to have one open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::host::threading::{Monitor, Threading};
use crate::host::{Access, Mode};

/// A file, whatever its names.
pub(super) struct Inode<T: Threading> {
    pub(super) content: T::Monitor<Content>,
    pub(super) lock: T::Monitor<Holders>,
}

pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) access: Access,
}

/// The openings that hold a file's lock.
#[derive(Default)]
pub(super) struct Holders {
    exclusive: Option<u64>,
    shared: Vec<u64>,
}

/// An open file of a [`MemHost`](crate::host::MemHost).
pub struct MemFile<T: Threading> {
    pub(super) inode: Arc<Inode<T>>,
    pub(super) opening: u64,
    /// Whether this opening holds the lock: no part of the model, since only its owner asks.
    pub(super) locked: AtomicBool,
}

impl<T: Threading> Inode<T> {
    pub(super) fn new(access: Access) -> Arc<Self> {
        let content = T::Monitor::new(Content { bytes: Vec::new(), access });
        Arc::new(Self { content, lock: T::Monitor::new(Holders::default()) })
    }

    pub(super) fn append(&self, bytes: &[u8]) {
        self.content.with(|content| content.bytes.extend_from_slice(bytes));
    }
}

impl Holders {
    /// Takes the lock if the other holders allow it.
    pub(super) fn take(&mut self, opening: u64, mode: Mode) -> bool {
        let free = self.exclusive.is_none() && (mode == Mode::Shared || self.shared.is_empty());
        if free {
            match mode {
                Mode::Shared => self.shared.push(opening),
                Mode::Exclusive => self.exclusive = Some(opening),
            }
        }
        free
    }

    fn free(&mut self, opening: u64) {
        if self.exclusive == Some(opening) {
            self.exclusive = None;
        }
        self.shared.retain(|holder| *holder != opening);
    }
}

impl<T: Threading> MemFile<T> {
    pub(super) fn new(inode: Arc<Inode<T>>, opening: u64) -> Self {
        Self { inode, opening, locked: AtomicBool::new(false) }
    }

    /// Frees the lock if this opening holds it.
    pub(super) fn free(&self) {
        if T::usable() && self.locked.swap(false, Ordering::Relaxed) {
            self.inode.lock.with(|holders| holders.free(self.opening));
            self.inode.lock.notify();
        }
    }
}

impl<T: Threading> Drop for MemFile<T> {
    fn drop(&mut self) {
        self.free();
    }
}
