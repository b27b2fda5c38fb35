//! Which inode is which object, and what programs are told of its number and times.

use std::collections::BTreeMap;

use super::chance::EPOCH;
use crate::model::ObjectId;

/// Device number that programs see for the workspace.
pub const DEVICE: u64 = 99;

/// The objects of the workspace in one execution.
#[derive(Debug, Default)]
pub struct Objects {
    by_inode: BTreeMap<u64, ObjectId>,
    /// Virtual time of the last change, in nanoseconds; those not in it have the time of the beginning.
    changed: BTreeMap<ObjectId, u64>,
    strangers: u32,
}

impl Objects {
    /// The objects of the initial tree: inode numbers of the workspace itself and then of its paths, in sorted order.
    pub fn new(inodes: impl IntoIterator<Item = u64>) -> Self {
        let by_inode = inodes.into_iter().zip(0..).map(|(inode, number)| (inode, ObjectId::Initial(number)));
        // Of two names of one inode the first one counts.
        let mut objects = Self::default();
        for (inode, object) in by_inode {
            objects.by_inode.entry(inode).or_insert(object);
        }
        objects
    }

    /// The object with this inode number.
    pub fn of(&mut self, inode: u64) -> ObjectId {
        let strangers = &mut self.strangers;
        *self.by_inode.entry(inode).or_insert_with(|| {
            // Made in a way that the tracer did not see as such.
            *strangers += 1;
            ObjectId::Made { process: u16::MAX, operation: *strangers }
        })
    }

    /// Says that an inode is new, and what made it. File systems use inode numbers again.
    pub fn made(&mut self, inode: u64, object: ObjectId) {
        self.by_inode.insert(inode, object);
    }

    /// Notes a change. Times only move forward: the latest of concurrent changes counts, whichever came last.
    pub fn touch(&mut self, object: ObjectId, time: u64) {
        let changed = self.changed.entry(object).or_insert(EPOCH);
        *changed = (*changed).max(EPOCH + time);
    }

    /// Sets the time of the last change, as `utimensat` does: in nanoseconds since 1970.
    pub fn set_time(&mut self, object: ObjectId, time: u64) {
        self.changed.insert(object, time);
    }

    /// The time of the last change, in nanoseconds since 1970.
    #[must_use]
    pub fn time(&self, object: ObjectId) -> u64 {
        self.changed.get(&object).copied().unwrap_or(EPOCH)
    }
}

/// The inode number that programs see: a function of the object alone.
#[must_use]
pub fn inode_shown(object: ObjectId) -> u64 {
    match object {
        ObjectId::Initial(number) => u64::from(number) + 2,
        ObjectId::Made { process, operation } => (u64::from(process) + 1) * 1_000_000 + u64::from(operation),
    }
}
