//! What the end of a call changes: the decoding says it, `../apply.rs` does it.

use std::rc::Rc;

use super::Undecided;
use crate::model::{Location, LockMode, ObjectId, Sighting};
use crate::tracer::files::Description;
use crate::tracer::locks::Claim;
use crate::tracer::signals::Sending;
use crate::tracer::sockets::{Kind, Peer};
use crate::tracer::streams::End;

/// What the end of a call changes in what the tracer knows.
#[derive(Debug)]
pub enum Action {
    /// Nothing.
    None,
    /// A descriptor of the workspace is opened. `None`: of a new object at this path.
    Open {
        /// Its object, where it was there before.
        object: Option<ObjectId>,
        /// Its path, relative to the workspace.
        path: String,
        /// The flags of `open`.
        flags: i32,
    },
    /// An end of a FIFO is opened.
    OpenFifo {
        /// The FIFO.
        object: ObjectId,
        /// Its path, relative to the workspace.
        path: String,
        /// The flags of `open`.
        flags: i32,
        /// Where nobody has the other end open and the call waits for that: that end.
        waits_for: Option<Location>,
    },
    /// A Unix socket is opened.
    OpenSocket {
        /// What goes through it.
        kind: Kind,
        /// The flags, as of `open`.
        flags: i32,
    },
    /// A socket to the kernel is opened.
    OpenNetlink {
        /// By which protocol, `NETLINK_…`.
        protocol: i32,
        /// The flags, as of `open`.
        flags: i32,
    },
    /// A socket gets a name.
    Bind {
        /// The socket.
        description: Rc<Description>,
        /// Its path, relative to the workspace.
        path: String,
    },
    /// A socket with a name can be connected to.
    Listen {
        /// The socket.
        description: Rc<Description>,
        /// What its name leads to.
        object: ObjectId,
    },
    /// A socket connects to another one.
    Connect {
        /// Which.
        description: Rc<Description>,
        /// To which.
        to: ObjectId,
        /// By what path.
        path: String,
    },
    /// A socket for datagrams sends to another one from here on, or to none.
    Meet {
        /// Which.
        description: Rc<Description>,
        /// To which.
        peer: Option<Peer>,
    },
    /// A connection is taken.
    Accept {
        /// From those that wait at which socket.
        from: ObjectId,
        /// What goes through it.
        kind: Kind,
        /// That socket's path.
        path: String,
        /// The flags, as of `open`.
        flags: i32,
    },
    /// A socket is shut.
    Shut {
        /// Which.
        description: Rc<Description>,
        /// Whether nothing is read any more.
        reading: bool,
        /// Whether nothing is written any more.
        writing: bool,
    },
    /// Bytes or packets go into a FIFO or connection, or out of it; or a datagram out of its socket.
    Through {
        /// By which end.
        end: End,
        /// Whether into it.
        written: bool,
        /// How many bytes at the most; of packets, one.
        length: u64,
        /// Whether what the call moves is one packet, however many bytes it has.
        packet: bool,
        /// Where they do not fit into a FIFO, and the call waits for room: how many do.
        room: Option<u64>,
        /// Whether what is written into a connection is sure to fit.
        fits: bool,
        /// Whether the call waits where it cannot go on.
        waits: bool,
    },
    /// A datagram is sent.
    Post {
        /// By which socket.
        by: Rc<Description>,
        /// To which.
        to: ObjectId,
        /// Whether because that is the one it is connected to.
        as_peer: bool,
        /// How many bytes it has.
        length: u64,
        /// Whether it is sure to find room.
        fits: bool,
        /// Whether the call waits for room where there is none.
        waits: bool,
    },
    /// A call waits for one of several things, FIFOs or sockets among them.
    Poll,
    /// A call that was tried in vain is tried again.
    Await,
    /// A write into a connection that waits for room goes on, where there is as much as the kernel wakes it for.
    AwaitRoom,
    /// A source of random bytes is opened.
    OpenRandom {
        /// The flags of `open`.
        flags: i32,
    },
    /// An `epoll` is opened.
    OpenEpoll {
        /// The flags of `epoll_create1`.
        flags: i32,
    },
    /// A timer is opened.
    OpenTimer {
        /// Its clock.
        clock: i32,
        /// The flags of `timerfd_create`.
        flags: i32,
    },
    /// How often a timer has run out is read.
    ReadTimer {
        /// Of which description.
        description: u32,
        /// Where to.
        buffer: u64,
    },
    /// A descriptor is copied.
    Copy {
        /// From which.
        from: i32,
        /// Whether exec closes the copy.
        close_on_exec: bool,
    },
    /// A descriptor's flag is set.
    CloseOnExec {
        /// Which.
        descriptor: i32,
        /// Whether exec closes it.
        close: bool,
    },
    /// A description appends from then on, or no longer does.
    Append(Rc<Description>, bool),
    /// Descriptors are closed.
    Close(Vec<i32>),
    /// A file offset is set to the result.
    Seek(Rc<Description>),
    /// Bytes were moved by the kernel between descriptors: their offsets are what the kernel says.
    Moved {
        /// The descriptors.
        between: [i32; 2],
        /// Which one's bytes tell what was moved, where in its file, and whether they were written there.
        seen: (i32, u64, bool),
    },
    /// Bytes were moved.
    Transfer {
        /// By which description.
        description: Rc<Description>,
        /// Where in the file.
        at: u64,
        /// Whether the file offset moves on.
        moves: bool,
        /// Whether into the file.
        written: bool,
        /// Where in memory: address and length.
        buffers: Vec<(u64, usize)>,
    },
    /// What was told of an object is to be made the same everywhere.
    Status {
        /// Which object.
        object: ObjectId,
        /// Where it was told.
        buffer: u64,
        /// Whether as `statx` does.
        extended: bool,
    },
    /// A name was made for a new object.
    Make {
        /// Its path.
        path: String,
    },
    /// A further name is made for an object.
    Link {
        /// Which object.
        object: ObjectId,
        /// The name's path.
        path: String,
    },
    /// What an overlay would refuse, depending on the layer that something is in, is refused with this error.
    Refuse(i32),
    /// A directory's listing is given by the tracer.
    List {
        /// Of which directory.
        description: Rc<Description>,
        /// Where to.
        buffer: u64,
        /// How much fits.
        length: usize,
        /// Whether in the layout of `getdents`.
        old: bool,
    },
    /// A lock is asked for.
    Lock {
        /// Which, by whom.
        claim: Claim,
        /// How.
        mode: LockMode,
        /// The argument that holds the command, and the command that does not block; where the call blocks.
        without_blocking: Option<(usize, u64)>,
    },
    /// A lock is given up.
    Unlock(Claim),
    /// What a process is asked next is given to it.
    Ask,
    /// The process says that a unit ends here.
    Mark,
    /// An object's time is set, in nanoseconds since 1970.
    SetTime {
        /// Which object.
        object: ObjectId,
        /// To when; `None` for now.
        time: Option<u64>,
    },
    /// What was told of the free space of the workspace, at this address, is to be the same everywhere.
    Space(u64),
    /// A file is mapped into memory.
    Map {
        /// Which.
        object: ObjectId,
        /// Whether the mapping may write it.
        writable: bool,
    },
    /// The descriptors are no longer shared with other tasks, and then these are closed, or are to be closed by exec.
    OwnDescriptors {
        /// Which.
        numbers: Vec<i32>,
        /// Whether they are closed now.
        closes: bool,
    },
    /// A signal is sent to another process under test.
    Send(Sending),
    /// What was done is not scheduled: this is taken note of if the call does it, and that if it fails.
    Note {
        /// If it is done, or goes on.
        done: Vec<Sighting>,
        /// If it fails.
        failed: Vec<Sighting>,
    },
    /// A socket of the network for datagrams is connected: what is sent through this descriptor goes there.
    MeetNetwork(i32),
    /// It is not known what the call does, for this reason: its result may show that it did nothing.
    Undecided {
        /// Its name.
        call: &'static str,
        /// Why.
        why: Undecided,
    },
    /// Nobody here knows what the call does: where it does not fail, that is the end of the exploration.
    Unknown(String),
}

impl Action {
    /// Whether it is a call that is tried: that it would wait is known when it does.
    #[must_use]
    pub fn is_tried(&self) -> bool {
        let fills = |end: &End, written| matches!(end, End::Connection(..)) && written;
        match self {
            Self::Poll => true,
            Self::Through { end, written, waits, .. } => *waits && fills(end, *written),
            Self::Post { waits, .. } => *waits,
            _ => false,
        }
    }
}
