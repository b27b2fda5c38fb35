//! What was seen of a directory at one moment: plain data, so that what follows from it can be tested without processes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// A file as the kernel names it: the device of its file system, and the inode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct FileId {
    /// The device's numbers, as `/proc/locks` and `/proc/PID/mountinfo` have them; `stat` may say otherwise (btrfs).
    pub device: (u32, u32),
    /// The inode's number.
    pub inode: u64,
}

/// What was seen of a directory and of the processes that use it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Snapshot {
    /// The directory, absolute. All other paths are relative to it.
    pub dir: String,
    /// When it was seen, in seconds since 1970.
    pub taken: f64,
    /// Its regular files, by path, those in folders below too.
    pub files: BTreeMap<String, File>,
    /// The processes that have to do with the directory: have files of it open, hold or wait for locks, are named in lock files.
    pub processes: BTreeMap<i32, Process>,
    /// Every process that there was.
    pub alive: BTreeSet<i32>,
    /// The locks on files of the directory, ordered by path and kind.
    pub locks: Vec<Lock>,
    /// File systems that the directory lies on, and folders in it: path (`.` for the directory itself), type.
    pub file_systems: Vec<(String, String)>,
    /// What could not be seen, each in a sentence.
    pub not_seen: Vec<String>,
}

/// A regular file of the directory.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct File {
    /// Which file it is.
    pub id: FileId,
    /// Bytes.
    pub size: u64,
    /// When its content was last changed, in seconds since 1970.
    pub modified: f64,
    /// Of a small lock file: what is written in it.
    pub note: Option<String>,
    /// Of a JSON file: why it does not parse.
    pub flaw: Option<String>,
}

/// A process, and what it has to do with the directory.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Process {
    /// The words of its command line; its name in brackets where it has none.
    pub command: Vec<String>,
    /// Its parent's id.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// How many threads it has.
    pub threads: u32,
    /// What it is doing.
    pub state: State,
    /// When it was started, in seconds since 1970.
    pub started: f64,
    /// Whether its open files could be looked at.
    pub seen: bool,
    /// Whether its standard input is a pipe or a socket.
    pub asked: bool,
    /// The files of the directory that it has open.
    pub open: Vec<Open>,
}

/// What a process is doing, by the kernel's letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Runs, or could.
    Running,
    /// Waits for something, and can be interrupted.
    #[default]
    Asleep,
    /// Waits for a device and cannot be interrupted, nor killed.
    Uninterruptible,
    /// Stopped by a signal (SIGSTOP, Ctrl-Z).
    Stopped,
    /// Stopped by a debugger.
    Traced,
    /// Has ended; its parent has not asked how.
    Zombie,
    /// Anything else.
    Unknown,
}

/// A descriptor of a file of the directory.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Open {
    /// Which file it is.
    pub id: FileId,
    /// The path that it was opened by, as the kernel follows it.
    pub path: String,
    /// Opened to write, and not only to append.
    pub writes: bool,
}

/// The three ways to lock a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LockKind {
    /// flock(2): of an open file description.
    Flock,
    /// fcntl(2) `F_SETLK`: of a process, a range of bytes.
    Posix,
    /// fcntl(2) `F_OFD_SETLK`: of an open file description, a range of bytes.
    Ofd,
}

impl LockKind {
    /// Whether locks of the two kinds keep each other out.
    pub fn meets(self, other: Self) -> bool {
        (self == Self::Flock) == (other == Self::Flock)
    }
}

/// All locks of one kind on one file.
#[derive(Clone, PartialEq, Debug)]
pub struct Lock {
    /// Which file it is.
    pub id: FileId,
    /// Its path; that which it had, where it has none any more.
    pub path: String,
    /// Which way of locking.
    pub kind: LockKind,
    /// What is at the path.
    pub place: Place,
    /// The locks that are held.
    pub held: Vec<Held>,
    /// Who waits.
    pub waiters: Vec<Waiter>,
}

/// What is at the path of a file that is locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The file itself.
    Here,
    /// Nothing.
    Gone,
    /// Another file.
    Replaced,
}

/// Shared or exclusive, and which bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Claim {
    /// Exclusive, or shared.
    pub exclusive: bool,
    /// The first and the last byte; all of the file: 0 and `u64::MAX`.
    pub bytes: (u64, u64),
}

impl Claim {
    /// Exclusive, of the whole file.
    pub const EXCLUSIVE: Self = Self { exclusive: true, bytes: (0, u64::MAX) };
    /// Shared, of the whole file.
    pub const SHARED: Self = Self { exclusive: false, bytes: (0, u64::MAX) };

    /// Whether both cannot be held at once.
    pub fn meets(&self, other: &Self) -> bool {
        (self.exclusive || other.exclusive) && self.bytes.0 <= other.bytes.1 && other.bytes.0 <= self.bytes.1
    }
}

/// A lock that is held.
#[derive(Clone, PartialEq, Debug)]
pub struct Held {
    /// What it keeps others from.
    pub claim: Claim,
    /// Who took it, as the kernel remembers.
    pub taker: Taker,
    /// The processes that have it; several where a descriptor is inherited. Empty: somebody who cannot be seen.
    pub holders: Vec<i32>,
}

/// Who took a lock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Taker {
    /// A process of this id; it may be gone.
    Process(i32),
    /// One that is gone, or in another pid namespace.
    Gone,
    /// The kernel does not keep it (OFD locks).
    Unknown,
}

/// A process that waits for a lock.
#[derive(Clone, PartialEq, Debug)]
pub struct Waiter {
    /// Who; `None` if that could not be found (OFD locks of processes that cannot be seen).
    pub pid: Option<i32>,
    /// What it waits for.
    pub claim: Claim,
    /// Seconds since it last did anything else.
    pub waited: Option<f64>,
}

impl Snapshot {
    /// The words of a process's command line.
    pub fn command(&self, pid: i32) -> String {
        self.processes.get(&pid).map_or_else(|| "?".to_owned(), |process| process.command.join(" "))
    }

    /// Whether there is a process of this id that is more than a zombie.
    pub fn lives(&self, pid: i32) -> bool {
        let zombie = self.processes.get(&pid).is_some_and(|process| process.state == State::Zombie);
        self.alive.contains(&pid) && !zombie
    }

    /// The processes that have a file open.
    pub fn openers(&self, id: FileId) -> impl Iterator<Item = (i32, &Open)> {
        let all = self.processes.iter();
        all.flat_map(|(pid, process)| process.open.iter().map(|open| (*pid, open)))
            .filter(move |(_, open)| open.id == id)
    }

    /// Whether a process holds a lock of the directory, or waits for one.
    pub fn is_under_a_lock(&self, pid: i32) -> bool {
        self.locks.iter().any(|lock| {
            let holds = lock.held.iter().any(|held| held.holders.contains(&pid));
            holds || lock.waiters.iter().any(|waiter| waiter.pid == Some(pid))
        })
    }

    /// The locks that keep a waiter out: of its file, in conflict with what it asks for.
    pub fn in_the_way<'a>(&'a self, lock: &'a Lock, waiter: &'a Waiter) -> impl Iterator<Item = &'a Held> {
        let same = self.locks.iter().filter(|other| other.id == lock.id && other.kind.meets(lock.kind));
        same.flat_map(|other| &other.held).filter(|held| held.claim.meets(&waiter.claim))
    }
}
