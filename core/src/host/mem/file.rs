//! The files of the in-memory host: content, locks, and what it means to have one open.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::host::threading::{FileLock, Monitor, Threading, lock};
use crate::host::{Access, Mode};

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
    pub(super) number: u64,
    pub(super) content: Shared<T, Content>,
    pub(super) lock: T::FileLock,
    /// Which opening has which byte.
    taken: Shared<T, BTreeMap<u64, u64>>,
    /// What those wait for who wait until a byte is free: it is held by who has the byte.
    bytes: Mutex<BTreeMap<u64, Arc<T::FileLock>>>,
}

pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    pub(super) access: Access,
    /// How often it was written.
    pub(super) version: u64,
    /// What a loss of power would leave.
    pub(super) flushed: Vec<u8>,
}

/// Tells files and openings apart.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

fn next_number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

type Held<T> = <<T as Threading>::FileLock as FileLock>::Held;

/// An open file of a [`MemHost`](crate::host::MemHost).
pub struct MemFile<T: Threading> {
    pub(super) inode: Arc<Inode<T>>,
    number: u64,
    /// The lock, if this opening holds it: no part of the model, since only its owner asks.
    held: Mutex<Option<Held<T>>>,
    /// The bytes that this opening has.
    bytes: Mutex<BTreeMap<u64, Held<T>>>,
}

impl<T: Threading> Inode<T> {
    pub(super) fn new(access: Access) -> Arc<Self> {
        let content = Content { bytes: Vec::new(), access, version: 0, flushed: Vec::new() };
        Arc::new(Self {
            number: next_number(),
            content: Shared::new(content),
            lock: T::FileLock::new(),
            taken: Shared::new(BTreeMap::new()),
            bytes: Mutex::default(),
        })
    }

    pub(super) fn append(&self, bytes: &[u8]) {
        self.write(|old| old.extend_from_slice(bytes));
    }

    pub(super) fn write(&self, work: impl FnOnce(&mut Vec<u8>)) {
        self.content.with(|content| {
            work(&mut content.bytes);
            content.version += 1;
        });
    }

    fn byte(&self, byte: u64) -> Arc<T::FileLock> {
        Arc::clone(lock(&self.bytes).entry(byte).or_insert_with(|| Arc::new(T::FileLock::new())))
    }
}

impl<T: Threading> MemFile<T> {
    pub(super) fn new(inode: Arc<Inode<T>>) -> Self {
        Self { inode, number: next_number(), held: Mutex::default(), bytes: Mutex::default() }
    }

    pub(super) fn hold(&self, held: Held<T>) {
        *lock(&self.held) = Some(held);
    }

    /// Frees the lock if this opening holds it.
    pub(super) fn free(&self) {
        let held = lock(&self.held).take();
        if let Some(held) = held.as_ref().filter(|_| T::usable()) {
            self.inode.lock.about_to_free(held);
        }
        dispose::<T>(held);
    }

    /// Takes a byte if no other opening has it. One step: who finds it taken can wait for it.
    pub(super) fn take_byte(&self, byte: u64) -> bool {
        self.inode.taken.with(|taken| {
            let is_new = !taken.contains_key(&byte);
            if is_new {
                taken.insert(byte, self.number);
                // At most there is somebody who has just waited for it, and goes.
                let held = self.inode.byte(byte).take(Mode::Exclusive);
                lock(&self.bytes).insert(byte, held);
            }
            is_new || taken.get(&byte) == Some(&self.number)
        })
    }

    pub(super) fn free_bytes(&self, within: std::ops::Range<u64>) {
        let mine: Vec<u64> = lock(&self.bytes).range(within).map(|(byte, _)| *byte).collect();
        let free = |taken: &mut BTreeMap<u64, u64>| {
            for byte in &mine {
                taken.remove(byte);
                dispose::<T>(lock(&self.bytes).remove(byte));
            }
        };
        if !T::usable() {
            self.inode.taken.without_a_step(free);
        } else if !mine.is_empty() {
            self.inode.taken.with(free);
        }
    }

    /// The first byte in there that another opening has.
    pub(super) fn taken_byte(&self, within: std::ops::Range<u64>) -> Option<u64> {
        self.inode.taken.with(|taken| {
            let mut found = taken.range(within).filter(|(_, owner)| **owner != self.number);
            found.next().map(|(byte, _)| *byte)
        })
    }

    /// Waits until nobody has that byte.
    pub(super) fn await_byte(&self, byte: u64) {
        drop(self.inode.byte(byte).take(Mode::Shared));
    }
}

/// Frees a lock, except where that would use a checker's primitives after its end.
fn dispose<T: Threading>(held: Option<Held<T>>) {
    if T::usable() {
        drop(held);
    } else {
        std::mem::forget(held);
    }
}

impl<T: Threading> Drop for MemFile<T> {
    fn drop(&mut self) {
        self.free();
        self.free_bytes(0..u64::MAX);
    }
}
