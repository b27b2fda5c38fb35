//! Which inode is which object, and what programs are told of its number and times.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use nix::sys::stat::FileStat;

use super::chance::{EPOCH, number_of};
use crate::model::ObjectId;

/// Device number that programs see for the workspace.
pub const DEVICE: u64 = 99;
/// Size of every directory that programs see, in bytes.
pub const DIRECTORY_SIZE: u64 = 4096;

/// The inode numbers that programs see of objects outside begin here, above those that all others can have.
const OUTSIDE: u64 = 1 << 50;

/// The objects of the workspace in one execution.
#[derive(Debug, Default)]
pub struct Objects {
    /// Those of the initial tree, as long as nothing else is said of their inodes.
    initial: Rc<BTreeMap<u64, ObjectId>>,
    /// Which of them are directories.
    initial_directories: Rc<BTreeSet<ObjectId>>,
    /// By device and number; the device of the workspace is 0 here.
    by_inode: BTreeMap<(u64, u64), ObjectId>,
    /// The times of the initial objects, by their numbers; `None` for the time of the beginning.
    times: Rc<Vec<Option<u64>>>,
    /// The times that programs have left which ran before in the same workspace.
    left: BTreeMap<ObjectId, u64>,
    directories: BTreeSet<ObjectId>,
    /// The FIFOs that were written into.
    fifos: BTreeSet<ObjectId>,
    /// Who changed each object and when; those not in it have the time that they began with.
    touches: BTreeMap<ObjectId, Vec<Touch>>,
    strangers: u32,
    /// The objects outside by the inode numbers that programs were told.
    told: BTreeMap<u64, ObjectId>,
}

/// A change of an object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Touch {
    /// The place of the process.
    pub process: usize,
    /// Which of its operations, from 1; 0 if the program set a time that is not that of any change.
    pub operation: u32,
    /// The virtual time, in nanoseconds since 1970.
    pub time: u64,
    /// Whether it changed what the object holds, not only what is said of it.
    pub modifies: bool,
    /// Whether the program set the time itself (`utimensat`). If it took the time from another file, the operation is the one that gave it
    /// to that file.
    pub is_set: bool,
}

impl Objects {
    /// Beginning with these, by the numbers of their inodes, of which these are directories, and with these times.
    #[must_use]
    pub fn new(
        initial: Rc<BTreeMap<u64, ObjectId>>,
        initial_directories: Rc<BTreeSet<ObjectId>>,
        times: Rc<Vec<Option<u64>>>,
    ) -> Self {
        Self { initial, initial_directories, times, ..Self::default() }
    }

    /// Takes over the times that earlier programs have left in this workspace.
    pub fn take_times(&mut self, left: &Self) {
        let inside =
            self.initial.iter().filter_map(|(inode, object)| Some((*object, left.time_left(*inode)?)));
        let outside = left.touches.keys().chain(left.left.keys()).filter(|object| object.was_outside());
        let outside = outside.map(|object| (*object, left.time_after(*object)));
        self.left = inside.chain(outside).collect();
    }

    /// The time, at the end of the execution, of the object with this inode in the workspace, if it is known.
    #[must_use]
    pub fn time_left(&self, inode: u64) -> Option<u64> {
        Some(self.time_after(self.known("", 0, inode)?))
    }

    /// The time of the object at an absolute path outside of the workspace, if it was changed.
    #[must_use]
    pub fn time_left_outside(&self, path: &str) -> Option<u64> {
        let object = ObjectId::outside(path);
        let is_changed = self.touches.contains_key(&object) || self.left.contains_key(&object);
        is_changed.then(|| self.time_after(object))
    }

    /// Whether something was met that the tracer did not see come to be.
    #[must_use]
    pub fn any_strangers(&self) -> bool {
        self.strangers > 0
    }

    /// Whether this object is what stands at a path, by its status.
    #[must_use]
    pub fn is_at(&self, object: ObjectId, path: &str, status: &FileStat) -> bool {
        self.known(path, status.st_dev, status.st_ino) == Some(object)
    }

    fn known(&self, path: &str, device: u64, inode: u64) -> Option<ObjectId> {
        let initial = || self.initial.get(&inode).filter(|_| !path.starts_with('/'));
        self.by_inode.get(&key(path, device, inode)).or_else(initial).copied()
    }

    /// The object that stands at a path, with these numbers of device and inode.
    pub fn of(&mut self, path: &str, device: u64, inode: u64) -> ObjectId {
        if let Some(object) = self.known(path, device, inode) {
            return object;
        }
        let (key, is_outside) = (key(path, device, inode), path.starts_with('/'));
        let object = if is_outside {
            ObjectId::outside(path)
        } else {
            // Made in a way that the tracer did not see as such.
            self.strangers += 1;
            ObjectId::Made { process: u16::MAX, operation: self.strangers }
        };
        self.by_inode.insert(key, object);
        object
    }

    /// The object that stands at a path, by its status.
    pub fn at(&mut self, path: &str, status: &FileStat) -> ObjectId {
        let object = self.of(path, status.st_dev, status.st_ino);
        if object.was_outside() && status.st_mode & libc::S_IFMT == libc::S_IFDIR {
            self.directories.insert(object);
        }
        object
    }

    /// Says which object has a status from now on: what is made is a new one, though file systems use inode numbers again.
    pub fn made(&mut self, path: &str, status: &FileStat, object: ObjectId) {
        let is_directory = status.st_mode & libc::S_IFMT == libc::S_IFDIR;
        self.by_inode.insert(key(path, status.st_dev, status.st_ino), object);
        if is_directory {
            self.directories.insert(object);
        }
    }

    /// The inode number that programs see: no two objects of an execution have the same one. All are below 2^53, which is where
    /// JavaScript ceases to tell numbers apart.
    pub fn inode_shown(&mut self, object: ObjectId) -> u64 {
        let path = match object {
            ObjectId::Initial(number) => return u64::from(number) + 2,
            ObjectId::Made { process, operation } => {
                return (u64::from(process) + 2) << 32 | u64::from(operation);
            }
            ObjectId::Outside(path) => path,
        };
        let mut number = OUTSIDE | (number_of(&path) % OUTSIDE);
        while *self.told.entry(number).or_insert(object) != object {
            number = OUTSIDE | ((number + 1) % OUTSIDE);
        }
        number
    }

    /// Whether it is known to be a directory.
    #[must_use]
    pub fn is_directory(&self, object: ObjectId) -> bool {
        self.initial_directories.contains(&object) || self.directories.contains(&object)
    }

    /// Whether programs are told the time of its last change that it really has: outside of the workspace, as long as nobody changes
    /// it. Interpreters hold what they have compiled against it.
    #[must_use]
    pub fn has_its_own_time(&self, object: ObjectId) -> bool {
        let is_changed = self.touches.contains_key(&object) || self.left.contains_key(&object);
        object.was_outside() && !self.is_directory(object) && !is_changed
    }

    /// Notes a change. The latest of concurrent changes counts, whichever came last; a time that was set before is dropped, even one in the
    /// future.
    pub fn touch(&mut self, object: ObjectId, touch: Touch) {
        let all_count = self.is_seen_in_parts(object);
        let touches = self.touches.entry(object).or_default();
        if !all_count {
            // Earlier changes by this process no longer count, and neither does a time that was set before.
            touches.retain(|before| {
                let is_before = before.is_set || before.process == touch.process;
                !(is_before && (touch.modifies || !before.modifies))
            });
        }
        touches.push(touch);
    }

    /// Notes that a process has written into a FIFO.
    pub fn write_into(&mut self, fifo: ObjectId, touch: Touch) {
        self.fifos.insert(fifo);
        self.touch(fifo, touch);
    }

    /// Whether a process is told only of the changes that it knows: of the names in a directory, or of the bytes in a FIFO.
    fn is_seen_in_parts(&self, object: ObjectId) -> bool {
        self.is_directory(object) || self.fifos.contains(&object)
    }

    /// Sets the time of the last change, as `utimensat` does: to a time, in nanoseconds since 1970, or to that of the call.
    pub fn set_time(&mut self, object: ObjectId, time: Option<u64>, by: Touch) {
        let modified = match time {
            None => Touch { modifies: true, ..by },
            Some(time) => {
                let taken =
                    self.touches.values().flatten().find(|touch| touch.modifies && touch.time == time);
                let (process, operation) = taken.map_or((by.process, 0), |it| (it.process, it.operation));
                Touch { process, operation, time, modifies: true, is_set: true }
            }
        };
        self.touches.insert(object, vec![Touch { modifies: false, ..by }, modified]);
    }

    /// The changes that count for the times of an object. Of a directory or FIFO, those that are `known`, by the process and the number of
    /// its operation.
    pub fn touches(&self, object: ObjectId, known: impl Fn(usize, u32) -> bool) -> Vec<Touch> {
        let in_parts = self.is_seen_in_parts(object);
        let touches = self.touches.get(&object).into_iter().flatten().copied();
        touches.filter(|touch| !in_parts || touch.is_set || known(touch.process, touch.operation)).collect()
    }

    /// The time that an object has as long as nobody changes it, in nanoseconds since 1970.
    #[must_use]
    pub fn time_before(&self, object: ObjectId) -> u64 {
        let initial = || match object {
            ObjectId::Initial(number) => self.times.get(number as usize).copied().flatten(),
            ObjectId::Outside(_) | ObjectId::Made { .. } => None,
        };
        self.left.get(&object).copied().or_else(initial).unwrap_or(EPOCH)
    }

    /// The time of the last change of what an object holds at the end of the execution, in nanoseconds since 1970.
    fn time_after(&self, object: ObjectId) -> u64 {
        let touches = self.touches.get(&object).into_iter().flatten().filter(|touch| touch.modifies);
        touches.map(|touch| touch.time).max().unwrap_or_else(|| self.time_before(object))
    }
}

/// Every inode of the workspace is on one device, those outside are on several.
fn key(path: &str, device: u64, inode: u64) -> (u64, u64) {
    (if path.starts_with('/') { device } else { 0 }, inode)
}

#[cfg(test)]
mod tests {
    use super::Objects;
    use crate::model::ObjectId;

    #[test]
    fn no_two_objects_are_told_to_have_the_same_number() {
        let mut objects = Objects::default();
        let object = ObjectId::outside("/srv/a");
        let number = objects.inode_shown(object);
        assert_eq!(objects.inode_shown(object), number);

        // Another one had this number before.
        let mut objects = Objects::default();
        objects.told.insert(number, ObjectId::outside("/srv/b"));
        let other = objects.inode_shown(object);
        assert_ne!(other, number);
        assert_eq!(objects.inode_shown(object), other);

        let made = ObjectId::Made { process: u16::MAX, operation: u32::MAX };
        let initial = ObjectId::Initial(u32::MAX);
        assert!(
            objects.inode_shown(initial) < objects.inode_shown(ObjectId::Made { process: 0, operation: 0 })
        );
        assert!(objects.inode_shown(made) < number && number < 1 << 53);
    }
}
