//! Unix sockets, as far as others under test can reach them: what goes through one, and what it is at present. Pure.

use std::cell::{Cell, RefCell};

use super::streams::End;
use crate::model::ObjectId;

/// What goes through a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Bytes through a connection (`SOCK_STREAM`).
    Bytes,
    /// Packets through a connection (`SOCK_SEQPACKET`).
    Packets,
    /// Packets to any socket with a name (`SOCK_DGRAM`).
    Datagrams,
}

/// What a socket is at present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Without an address, or with one that is not in the workspace.
    New,
    /// With a name in the workspace, that of this object. Nobody can reach it yet.
    Named(ObjectId),
    /// An end of something.
    End(End),
    /// One from which reading waits for nothing any more.
    Shut(End),
}

/// To whom a socket for datagrams sends what has no address of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The socket.
    pub object: ObjectId,
    /// Its path, relative to the workspace.
    pub path: String,
}

/// A Unix socket.
#[derive(Debug)]
pub struct Socket {
    /// What goes through it.
    pub kind: Kind,
    /// What it is at present.
    pub stage: Cell<Stage>,
    /// To whom it is connected, if it is for datagrams.
    pub peer: RefCell<Option<Peer>>,
    /// What all datagrams that it ever sent may have cost.
    pub cost: Cell<u64>,
}

impl Socket {
    /// One that was just made.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self::at(kind, Stage::New)
    }

    /// One at this stage.
    #[must_use]
    pub fn at(kind: Kind, stage: Stage) -> Self {
        Self { kind, stage: stage.into(), peer: None.into(), cost: 0.into() }
    }

    /// What it is an end of.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        match self.stage.get() {
            Stage::End(end) | Stage::Shut(end) => Some(end),
            Stage::New | Stage::Named(_) => None,
        }
    }

    /// Whether reading from it waits for nothing any more.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        matches!(self.stage.get(), Stage::Shut(_))
    }

    /// The socket's own name, where others can reach it by that to send it datagrams.
    #[must_use]
    pub fn mailbox(&self) -> Option<ObjectId> {
        self.end().map(End::object).filter(|_| self.kind == Kind::Datagrams)
    }
}
