//! Descriptors and open file descriptions, as far as they lead into the workspace.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use super::sockets::{Kind, Peer, Socket};
use super::streams::End;
use crate::model::ObjectId;

/// What a description is of.
#[derive(Debug)]
pub enum What {
    /// A file or directory of the workspace.
    Object(ObjectId),
    /// A FIFO of the workspace.
    Fifo(ObjectId),
    /// A Unix socket.
    Socket(Socket),
    /// A socket of the network for datagrams, connected.
    Network,
    /// A socket to the kernel, by this protocol (`NETLINK_…`).
    Netlink(i32),
    /// A source of random bytes outside of it.
    Random,
    /// The standard input of a process that is asked.
    Input,
    /// A timer.
    Timer,
    /// An `epoll`, with what it watches that may be an end of something, and by which descriptors.
    Epoll(RefCell<Vec<(i32, Weak<Description>)>>),
}

/// An open file description: what `open` makes, and `dup` and `fork` share.
#[derive(Debug)]
pub struct Description {
    /// Its number in this execution: the owner of its `flock`.
    pub number: u32,
    /// What it is of.
    pub what: What,
    /// The path it was opened by, relative to the workspace; of a socket, the first that it was given or went to.
    pub path: OnceCell<String>,
    /// The flags of `open` that it was opened with.
    pub flags: i32,
    /// Whether each write goes to the end.
    pub append: Cell<bool>,
    /// The file offset.
    pub offset: Cell<u64>,
    /// Whether its listing has come to its end: then it stays there, until somebody goes to another place in it.
    pub listed_all: Cell<bool>,
    /// Of a directory: the names that were listed up to the offset, in their order.
    pub listed: RefCell<Vec<Vec<u8>>>,
    /// Whether it is no end of anything any more: given up with the end of who had it open, or by `shutdown`.
    pub ended: Cell<bool>,
    /// How many descriptors lead to it, in all tables: what the kernel keeps it open for. A call that a task is held at is not in the
    /// kernel yet, and keeps nothing open.
    pub slots: Cell<usize>,
}

/// One entry of a directory's listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: Vec<u8>,
    /// Its inode number as programs see it.
    pub inode: u64,
    /// Its type (`DT_REG`, …).
    pub kind: u8,
}

impl Description {
    /// Whether it stands for a path alone (`O_PATH`).
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.flags & libc::O_PATH != 0
    }

    /// Whether it can be read from.
    #[must_use]
    pub fn readable(&self) -> bool {
        !self.is_path() && self.flags & libc::O_ACCMODE != libc::O_WRONLY
    }

    /// Whether it can be written to.
    #[must_use]
    pub fn writable(&self) -> bool {
        !self.is_path() && self.flags & libc::O_ACCMODE != libc::O_RDONLY
    }

    /// The object of which closing a descriptor of this drops the POSIX locks.
    #[must_use]
    pub fn with_posix_locks(&self) -> Option<ObjectId> {
        self.object().filter(|_| !self.is_path())
    }

    /// The path, where it has one.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.get().map_or("", String::as_str)
    }

    /// The Unix socket that it is, if it is one.
    #[must_use]
    pub fn socket(&self) -> Option<&Socket> {
        match &self.what {
            What::Socket(socket) => Some(socket),
            _ => None,
        }
    }

    /// Whether it is a socket for datagrams.
    #[must_use]
    pub fn is_for_datagrams(&self) -> bool {
        self.socket().is_some_and(|socket| socket.kind == Kind::Datagrams)
    }

    /// Of a socket for datagrams, the one that it is connected to.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        self.socket()?.peer.borrow().clone()
    }

    /// What it is an end of, where others wait for what comes through there.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        match self.what {
            What::Fifo(object) => Some(End::Fifo(object, self.flags)),
            _ => self.socket()?.end(),
        }
    }

    /// The same, where something is read or written through there: connections that wait are not.
    #[must_use]
    pub fn end_to_read_or_write(&self) -> Option<End> {
        self.end().filter(|end| !matches!(end, End::Listener(_)) || self.is_for_datagrams())
    }

    /// The object, where it is of one.
    #[must_use]
    pub fn object(&self) -> Option<ObjectId> {
        match self.what {
            What::Object(object) | What::Fifo(object) => Some(object),
            What::Netlink(_)
            | What::Socket(_)
            | What::Network
            | What::Random
            | What::Input
            | What::Timer
            | What::Epoll(_) => None,
        }
    }
}

/// A descriptor: one slot of one table.
#[derive(Debug)]
pub struct Descriptor {
    /// What it leads to.
    description: Rc<Description>,
    /// Whether exec closes it.
    close_on_exec: bool,
}

impl Descriptor {
    /// One more descriptor that leads to this description.
    #[must_use]
    pub fn new(description: Rc<Description>, close_on_exec: bool) -> Self {
        description.slots.update(|slots| slots + 1);
        Self { description, close_on_exec }
    }
}

impl Clone for Descriptor {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.description), self.close_on_exec)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.description.slots.update(|slots| slots - 1);
    }
}

/// The descriptors of a process, by number; those that lead elsewhere are not in it.
#[derive(Clone, Debug, Default)]
pub struct Descriptors {
    by_number: BTreeMap<i32, Descriptor>,
    /// Whether the current directory may be another one than that in which processes begin, the workspace.
    pub has_left: bool,
}

impl Descriptors {
    /// The description that a descriptor leads to.
    #[must_use]
    pub fn get(&self, descriptor: i32) -> Option<&Rc<Description>> {
        self.by_number.get(&descriptor).map(|found| &found.description)
    }

    /// The number of a descriptor that leads to this description.
    #[must_use]
    pub fn number_of(&self, description: u32) -> Option<i32> {
        let mut all = self.by_number.iter();
        all.find(|(_, descriptor)| descriptor.description.number == description).map(|(number, _)| *number)
    }

    /// Sets a descriptor; gives what it replaces.
    pub fn set(&mut self, number: i32, descriptor: Descriptor) -> Option<Descriptor> {
        self.by_number.insert(number, descriptor)
    }

    /// Takes a descriptor out.
    pub fn remove(&mut self, number: i32) -> Option<Descriptor> {
        self.by_number.remove(&number)
    }

    /// Sets whether exec closes a descriptor.
    pub fn set_close_on_exec(&mut self, number: i32, close: bool) {
        if let Some(descriptor) = self.by_number.get_mut(&number) {
            descriptor.close_on_exec = close;
        }
    }

    /// The numbers of those that are an end of something, or send to one.
    #[must_use]
    pub fn ends(&self) -> Vec<i32> {
        let is_end = |of: &Descriptor| of.description.end().is_some() || of.description.peer().is_some();
        self.by_number.iter().filter(|(_, of)| is_end(of)).map(|(number, _)| *number).collect()
    }

    /// Whether any of them leads into the workspace.
    #[must_use]
    pub fn any_object(&self) -> bool {
        self.by_number.values().any(|descriptor| descriptor.description.object().is_some())
    }

    /// The numbers in a range.
    #[must_use]
    pub fn numbers_in(&self, first: i32, last: i32) -> Vec<i32> {
        if first > last {
            Vec::new()
        } else {
            self.by_number.range(first..=last).map(|(number, _)| *number).collect()
        }
    }

    /// The numbers that exec closes.
    #[must_use]
    pub fn closed_by_exec(&self) -> Vec<i32> {
        self.by_number
            .iter()
            .filter(|(_, descriptor)| descriptor.close_on_exec)
            .map(|(number, _)| *number)
            .collect()
    }

    /// The descriptions that nothing but these descriptors of this table keeps open.
    #[must_use]
    pub fn last_references(&self, numbers: &[i32]) -> Vec<Rc<Description>> {
        let mut found: Vec<(Rc<Description>, usize)> = Vec::new();
        for description in numbers.iter().filter_map(|number| self.get(*number)) {
            match found.iter_mut().find(|(seen, _)| Rc::ptr_eq(seen, description)) {
                Some((_, count)) => *count += 1,
                None => found.push((Rc::clone(description), 1)),
            }
        }
        found.retain(|(description, count)| description.slots.get() == *count);
        found.into_iter().map(|(description, _)| description).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{OnceCell, RefCell};
    use std::rc::Rc;

    use super::{Description, Descriptor, Descriptors, What};

    fn descriptor(number: u32) -> Descriptor {
        let description = Description {
            number,
            what: What::Random,
            path: OnceCell::new(),
            flags: 0,
            append: false.into(),
            offset: 0.into(),
            listed: RefCell::default(),
            listed_all: false.into(),
            ended: false.into(),
            slots: 0.into(),
        };
        Descriptor::new(Rc::new(description), number == 1)
    }

    #[test]
    fn a_description_is_released_with_its_last_descriptor() {
        let mut table = Descriptors::default();
        let one = descriptor(1);
        table.set(3, one.clone());
        table.set(4, one);
        table.set(5, descriptor(2));
        // A call that a task is held at knows the description, and keeps it open no longer than its descriptors do.
        let held = table.get(3).map(Rc::clone);
        assert_eq!(table.last_references(&[3]).len(), 0);
        assert_eq!(table.last_references(&[3, 4, 5]).len(), 2);
        drop(held);
        let forked = table.clone();
        assert_eq!(table.last_references(&[3, 4, 5]).len(), 0);
        drop(forked);
        assert_eq!(table.closed_by_exec(), [3, 4]);
        table.remove(3);
        assert_eq!(table.last_references(&[4]).len(), 1);
        assert_eq!(table.numbers_in(4, 9), [4, 5]);
    }
}
