use serde::{Deserialize, Serialize};

use super::interned::Interned;
use super::process::ProcessId;

/// A file, directory, link or FIFO of the workspace, apart from its names.
///
/// Named by where it came from, never by inode number or by the order of the trace, so that the same object has the same id in
/// every execution of one trace class, and an operation that was recorded in one execution can be compared in another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ObjectId {
    /// There before the first step: its place in the sorted list of the initial tree's paths; 0 is the workspace itself.
    Initial(u32),
    /// There before the first step, outside of the workspace, at this absolute path.
    Outside(Interned),
    /// Made by a process, in its operation number `operation` (from 0). One call makes at most one object.
    Made {
        /// Who made it.
        process: u16,
        /// Which of its operations made it.
        operation: u32,
    },
}

impl ObjectId {
    /// What was there before the first step at an absolute path outside of the workspace.
    #[must_use]
    pub fn outside(path: &str) -> Self {
        Self::Outside(Interned::new(path))
    }

    /// Whether it was there before the first step, outside of the workspace.
    #[must_use]
    pub fn was_outside(self) -> bool {
        matches!(self, Self::Outside(_))
    }
}

/// One of the two ways through a connection. Through a FIFO there is but one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From who writes a FIFO to who reads it; from who connects to who accepts.
    There,
    /// The other way round. Who reads a FIFO counts as an end that could send this way.
    Back,
}

impl Way {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::There => Self::Back,
            Self::Back => Self::There,
        }
    }
}

/// What an operation touches: the unit of dependence (DPOR) and of explanation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Location {
    /// One name in one directory: which object it leads to, if any.
    Name {
        /// The directory.
        dir: ObjectId,
        /// The name in it; bytes that are not UTF-8 are shown as U+FFFD.
        name: String,
    },
    /// The set of names in a directory.
    Listing(ObjectId),
    /// Bytes `start..end` of a file. A position past the end counts as "not there": making it exist is a write to it.
    Data {
        /// The file.
        object: ObjectId,
        /// First byte.
        start: u64,
        /// One past the last byte; `u64::MAX` for "to the end, wherever that is".
        end: u64,
    },
    /// Size, times and number of links.
    Status(ObjectId),
    /// Mode and owner.
    Mode(ObjectId),
    /// Extended attributes.
    Attributes(ObjectId),
    /// The processes that have a program open for writing. While there is one, the kernel refuses to execute the program (ETXTBSY).
    Writers(ObjectId),
    /// The processes that run a program. While there is one, the kernel refuses to open the program for writing (ETXTBSY).
    Runners(ObjectId),
    /// The bytes that the kernel drops from a FIFO when its last descriptor is closed. To open the FIFO is a join; to close it is a read.
    Left(ObjectId),
    /// Who holds the `flock` of a file.
    Lock(ObjectId),
    /// Who holds the record locks (POSIX and open-file-description locks) on bytes `start..end` of a file.
    RecordLock {
        /// The file.
        object: ObjectId,
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// What goes one way through a FIFO or connection, or the connections that wait at a socket: places `start..end`, counted from
    /// the first that ever was sent. Place 0 stands for who takes next, so that it is before all that is sent.
    Stream {
        /// The FIFO, connection or socket.
        object: ObjectId,
        /// Which way.
        way: Way,
        /// First place.
        start: u64,
        /// One past the last place.
        end: u64,
    },
    /// Who has the end open that sends this way.
    Ends {
        /// The FIFO, connection or socket.
        object: ObjectId,
        /// Which way.
        way: Way,
    },
    /// A process as such: whether it lives, and what signals it is sent. Each operation of a process touches its own, which is not
    /// among its accesses.
    Process(ProcessId),
    /// What the tasks of a process share that nobody else sees, its memory above all: where their order is explored
    /// ([`Strands`](super::Strands)), each of their operations changes it.
    Tasks(ProcessId),
    /// Which of several files was changed last. It concerns the files by whose order of changes some process decides; each change of one of
    /// them is a write.
    Times,
}

impl Location {
    /// Whether the two have anything in common; ranges of one file do where they overlap.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Data { object: a, start, end }, Self::Data { object: b, start: s, end: e })
            | (
                Self::RecordLock { object: a, start, end },
                Self::RecordLock { object: b, start: s, end: e },
            ) => a == b && start < e && s < end,
            (
                Self::Stream { object: a, way, start, end },
                Self::Stream { object: b, way: w, start: s, end: e },
            ) => a == b && way == w && start < e && s < end,
            (a, b) => a == b,
        }
    }

    /// Whether all of `other` lies in this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Data { object: a, start, end }, Self::Data { object: b, start: s, end: e })
            | (
                Self::RecordLock { object: a, start, end },
                Self::RecordLock { object: b, start: s, end: e },
            ) => a == b && start <= s && e <= end,
            (
                Self::Stream { object: a, way, start, end },
                Self::Stream { object: b, way: w, start: s, end: e },
            ) => a == b && way == w && start <= s && e <= end,
            (a, b) => a == b,
        }
    }

    /// What of this one does not lie in the other: of locks on bytes, those that are left.
    #[must_use]
    pub fn without(&self, other: &Self) -> Vec<Self> {
        match (self, other) {
            (Self::RecordLock { object, start, end }, Self::RecordLock { start: s, end: e, .. })
                if self.overlaps(other) =>
            {
                let before = (start < s).then_some((*start, *s));
                let behind = (e < end).then_some((*e, *end));
                let part = |(start, end)| Self::RecordLock { object: *object, start, end };
                before.into_iter().chain(behind).map(part).collect()
            }
            _ if self.overlaps(other) => Vec::new(),
            _ => vec![self.clone()],
        }
    }

    /// All that goes this way.
    #[must_use]
    pub fn stream(object: ObjectId, way: Way) -> Self {
        Self::Stream { object, way, start: 0, end: u64::MAX }
    }
}

/// A location without its range: accesses under different keys never conflict.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Key {
    Name(ObjectId, String),
    Listing(ObjectId),
    Data(ObjectId),
    Status(ObjectId),
    Mode(ObjectId),
    Attributes(ObjectId),
    Left(ObjectId),
    Writers(ObjectId),
    Runners(ObjectId),
    Lock(ObjectId),
    RecordLock(ObjectId),
    Stream(ObjectId, Way),
    Ends(ObjectId, Way),
    Process(ProcessId),
    Tasks(ProcessId),
    Times,
}

impl Key {
    /// What it is on.
    pub(crate) fn of(location: &Location) -> Self {
        match location {
            Location::Name { dir, name } => Self::Name(*dir, name.clone()),
            Location::Listing(object) => Self::Listing(*object),
            Location::Data { object, .. } => Self::Data(*object),
            Location::Status(object) => Self::Status(*object),
            Location::Mode(object) => Self::Mode(*object),
            Location::Attributes(object) => Self::Attributes(*object),
            Location::Writers(object) => Self::Writers(*object),
            Location::Runners(object) => Self::Runners(*object),
            Location::Left(object) => Self::Left(*object),
            Location::Lock(object) => Self::Lock(*object),
            Location::RecordLock { object, .. } => Self::RecordLock(*object),
            Location::Stream { object, way, .. } => Self::Stream(*object, *way),
            Location::Ends { object, way } => Self::Ends(*object, *way),
            Location::Process(process) => Self::Process(*process),
            Location::Tasks(process) => Self::Tasks(*process),
            Location::Times => Self::Times,
        }
    }
}

/// How an operation touches a location.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum AccessKind {
    /// Looks, changes nothing.
    Read,
    /// Changes it in a way whose order among such changes nobody can see: two additions to a directory's listing, two shared
    /// acquisitions of a lock, two changes of a file's times. Commutes with `Join`, with nothing else.
    Join,
    /// Changes it.
    Write,
}

/// One touch of one location.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Access {
    /// What is touched.
    pub location: Location,
    /// How.
    pub kind: AccessKind,
}

impl Access {
    /// A read of `location`.
    #[must_use]
    pub fn read(location: Location) -> Self {
        Self { location, kind: AccessKind::Read }
    }

    /// A change of `location` that commutes with its like.
    #[must_use]
    pub fn join(location: Location) -> Self {
        Self { location, kind: AccessKind::Join }
    }

    /// A change of `location`.
    #[must_use]
    pub fn write(location: Location) -> Self {
        Self { location, kind: AccessKind::Write }
    }

    /// What each operation of a process touches besides its accesses.
    #[must_use]
    pub fn by(process: ProcessId) -> Self {
        Self::join(Location::Process(process))
    }

    /// Whether it changes nothing that other processes could see.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        self.kind == AccessKind::Read || matches!(self.location, Location::Tasks(_))
    }

    /// Whether the order of the two can be seen by anybody.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        use AccessKind::{Join, Read};
        let commute = matches!((self.kind, other.kind), (Read, Read) | (Join, Join));
        !commute && self.location.overlaps(&other.location)
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Location, ObjectId};

    fn data(start: u64, end: u64) -> Location {
        Location::Data { object: ObjectId::Initial(1), start, end }
    }

    #[test]
    fn ranges_conflict_where_they_overlap_and_one_writes() {
        assert!(Access::write(data(0, 4)).conflicts(&Access::read(data(3, 9))));
        assert!(!Access::write(data(0, 4)).conflicts(&Access::read(data(4, 9))));
        assert!(!Access::read(data(0, 4)).conflicts(&Access::read(data(0, 4))));
        assert!(Access::write(data(8, u64::MAX)).conflicts(&Access::write(data(9, 10))));
    }

    #[test]
    fn what_is_left_of_a_lock_is_what_was_not_given_back() {
        let lock = |start, end| Location::RecordLock { object: ObjectId::Initial(1), start, end };
        assert_eq!(lock(2, 9).without(&lock(4, 5)), [lock(2, 4), lock(5, 9)]);
        assert_eq!(lock(2, 9).without(&lock(0, 5)), [lock(5, 9)]);
        assert_eq!(lock(2, 9).without(&lock(0, u64::MAX)), []);
        assert_eq!(lock(2, 9).without(&lock(9, 12)), [lock(2, 9)]);
        let whole = Location::Lock(ObjectId::Initial(1));
        assert_eq!(whole.without(&whole), []);
        assert_eq!(whole.without(&lock(0, 1)), std::slice::from_ref(&whole));
    }

    #[test]
    fn names_conflict_by_name_and_joins_only_with_others() {
        let name = |n: &str| Location::Name { dir: ObjectId::Initial(0), name: n.into() };
        assert!(Access::write(name("a")).conflicts(&Access::read(name("a"))));
        assert!(!Access::write(name("a")).conflicts(&Access::write(name("b"))));
        let listing = Location::Listing(ObjectId::Initial(0));
        assert!(!Access::join(listing.clone()).conflicts(&Access::join(listing.clone())));
        assert!(Access::join(listing.clone()).conflicts(&Access::read(listing)));
    }
}
