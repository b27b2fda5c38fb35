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
    /// Those of the initial tree that have another time than that of the beginning, by their numbers.
    times: Rc<Vec<Option<u64>>>,
    /// The time of the last change of those that were changed.
    changed: BTreeMap<ObjectId, Stamp>,
    directories: BTreeSet<ObjectId>,
    /// Of directories and FIFOs, who changed their names and wrote into them, and when.
    entries: BTreeMap<ObjectId, Vec<Touch>>,
    strangers: u32,
    /// Which objects outside the numbers belong to that programs were told.
    told: BTreeMap<u64, ObjectId>,
}

/// When an object was changed last, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
enum Stamp {
    /// So it was set: whatever changes the object then comes later, and has its own time.
    Set(u64),
    /// It was changed then.
    At(u64),
}

/// A change of a directory's names, or a write into a FIFO.
#[derive(Clone, Copy, Debug)]
struct Touch {
    /// The place of the process.
    process: usize,
    /// Which of its operations, from 1.
    operation: u32,
    /// The virtual time, in nanoseconds since 1970.
    time: u64,
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

    /// Takes over the times that others have left, in the same workspace as it is.
    pub fn take_times(&mut self, left: &Self) {
        for (inode, object) in self.initial.iter() {
            if let Some(time) = left.time_left(*inode) {
                self.changed.insert(*object, Stamp::Set(time));
            }
        }
        let outside = left.changed.keys().chain(left.entries.keys()).filter(|object| object.was_outside());
        for object in outside {
            self.changed.insert(*object, Stamp::Set(left.time(*object, |_, _| true)));
        }
    }

    /// The time of what has this inode in the workspace when all is over, if it is known.
    #[must_use]
    pub fn time_left(&self, inode: u64) -> Option<u64> {
        Some(self.time(self.known("", 0, inode)?, |_, _| true))
    }

    /// The time of what was changed at an absolute path outside of the workspace, if it was.
    #[must_use]
    pub fn time_left_outside(&self, path: &str) -> Option<u64> {
        let object = ObjectId::outside(path);
        let is_changed = self.changed.contains_key(&object) || self.entries.contains_key(&object);
        is_changed.then(|| self.time(object, |_, _| true))
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
        object.was_outside() && !self.is_directory(object) && !self.changed.contains_key(&object)
    }

    /// Notes a change by a process, in this one of its operations (from 1). The latest of concurrent changes counts, whichever came last; a
    /// time that was set goes, also one in the future.
    pub fn touch(&mut self, object: ObjectId, time: u64, process: usize, operation: u32) {
        let time = EPOCH + time;
        if self.is_directory(object) {
            self.entries.entry(object).or_default().push(Touch { process, operation, time });
        } else {
            let stamp = self.changed.entry(object).or_insert(Stamp::At(time));
            *stamp = Stamp::At(if let Stamp::At(before) = *stamp { before.max(time) } else { time });
        }
    }

    /// Notes that a process has written into a FIFO, in this one of its operations (from 1).
    pub fn write_into(&mut self, fifo: ObjectId, time: u64, process: usize, operation: u32) {
        let time = EPOCH + time;
        self.entries.entry(fifo).or_default().push(Touch { process, operation, time });
    }

    /// Sets the time of the last change, as `utimensat` does: in nanoseconds since 1970.
    pub fn set_time(&mut self, object: ObjectId, time: u64) {
        self.changed.insert(object, Stamp::Set(time));
        self.entries.remove(&object);
    }

    /// The time of the last change, in nanoseconds since 1970. Of a directory that of the last change of its names that is `known`:
    /// made by this process, in this one of its operations. Of a FIFO likewise that of the last write.
    #[must_use]
    pub fn time(&self, object: ObjectId, known: impl Fn(usize, u32) -> bool) -> u64 {
        let entries = self.entries.get(&object).into_iter().flatten();
        let entries = entries.filter(|touch| known(touch.process, touch.operation)).map(|touch| touch.time);
        entries.max().unwrap_or_else(|| match (self.changed.get(&object), object) {
            (Some(Stamp::Set(time) | Stamp::At(time)), _) => *time,
            (None, ObjectId::Initial(number)) => {
                self.times.get(number as usize).copied().flatten().unwrap_or(EPOCH)
            }
            (None, ObjectId::Outside(_) | ObjectId::Made { .. }) => EPOCH,
        })
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
