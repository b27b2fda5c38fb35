//! What calls have put into FIFOs and sockets of the workspace, or taken out of them, and what sockets become by them.

use std::os::unix::net::UnixDatagram;
use std::rc::Rc;
use std::sync::OnceLock;

use nix::sys::socket::{getsockopt, sockopt};

use super::TraceError;
use super::decode::{Action, Held};
use super::execution::Running;
use super::files::{Description, What};
use super::sockets::{Kind, Peer, Socket, Stage};
use super::streams::{End, Streams, cost};
use super::task::{Name, State};
use crate::model::{Access, AccessKind, GapKind, Location, ObjectId, Operation, ProcessId, Sighting, Way};

const WOULD_WAIT: i64 = -(libc::EAGAIN as i64);

/// So many datagrams wait at a socket at the most: one more than the limit of this machine, or of Linux where that is not to be read.
pub(super) fn most_datagrams() -> u64 {
    static LIMIT: OnceLock<u64> = OnceLock::new();
    let read = || std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").ok()?.trim().parse().ok();
    LIMIT.get_or_init(|| read().unwrap_or(10)).saturating_add(1)
}

/// What the kernel counts of what a socket has sent is at the most this where it lets in another message, if nobody has set another size.
pub(super) fn most_bytes() -> u64 {
    static SIZE: OnceLock<u64> = OnceLock::new();
    *SIZE.get_or_init(|| {
        let pair = UnixDatagram::unbound().ok();
        let size = pair.and_then(|socket| getsockopt(&socket, sockopt::SndBuf).ok());
        size.map_or(212_992, |size| size as u64)
    })
}

impl Running<'_> {
    /// What a call has put into a FIFO or connection, or taken out of it. One that took nothing has but looked.
    pub(super) fn count_what_went_through(
        &mut self,
        name: &Name,
        operation: &mut Operation,
        (action, result): (&Action, i64),
    ) -> Result<(), TraceError> {
        match action {
            Action::Through { end, written, length, packet, fits, .. } => {
                // What is received may have no bytes; so has the end of all.
                let is_packet =
                    *packet && result >= 0 && (*written || self.world.streams.has_something(*end));
                let moved = if *packet { i64::from(is_packet) } else { result.max(0) };
                let count = moved.unsigned_abs();
                if let End::Fifo(object, _) = end
                    && !self.world.streams.lay(*object, *written, *length, count)
                {
                    self.sight(name.process, GapKind::Pipe, "a FIFO of another size than usual");
                }
                if matches!(end, End::Connection(..)) && *written {
                    self.note_full(
                        name.process,
                        *fits && (count < *length && result >= 0 || result == WOULD_WAIT),
                    );
                    self.world.streams.charge(*end, u64::try_from(result).unwrap_or(0));
                }
                if let (End::Fifo(object, _), true, true) = (end, *written, moved > 0) {
                    let touch = self.touch_of(name, None, *object);
                    self.world.objects.write_into(*object, touch);
                }
                if moved > 0 {
                    operation.adds = vec![(end.stream(*written), if *written { moved } else { -moved })];
                } else {
                    operation.accesses.iter_mut().for_each(|access| access.kind = AccessKind::Read);
                }
            }
            Action::Post { by, to, length, .. } if result >= 0 => {
                if let Some(socket) = by.socket() {
                    socket.cost.set(socket.cost.get() + cost(*length));
                }
                operation.adds = vec![(End::Listener(*to).stream(true), 1)];
            }
            Action::Post { by, as_peer, length, fits, .. } => {
                self.note_full(name.process, result == WOULD_WAIT && (*fits || is_full_of_own(by, *length)));
                if *as_peer && result == -i64::from(libc::ECONNREFUSED) {
                    self.lose_peer(by, operation)?;
                }
            }
            Action::Bind { description, .. } if result >= 0 && description.is_for_datagrams() => {
                let ends = Location::Ends { object: self.made_by(name), way: Way::Back };
                operation.adds = vec![(ends.clone(), 1)];
                operation.accesses.push(Access::join(ends));
            }
            Action::Connect { .. } if result < 0 => self.note_full(name.process, result == WOULD_WAIT),
            Action::Accept { from, .. } if result >= 0 => {
                operation.adds = vec![(End::Listener(*from).stream(false), -1)];
            }
            Action::Connect { to, .. } if result >= 0 => {
                let made = self.made_by(name);
                operation.adds = self.world.streams.connect(*to, made);
                let ends =
                    operation.adds.iter().map(|(of, _)| of).filter(|of| matches!(of, Location::Ends { .. }));
                operation.accesses.extend(ends.cloned().map(Access::join));
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes note of what a process did that can hide a race.
    pub(super) fn sight(&mut self, process: usize, kind: GapKind, what: impl Into<String>) {
        self.world.not_covered.insert(Sighting::new(kind, ProcessId(process), what));
    }

    /// A socket of the network has whom to send to: it is known by its descriptor from here on.
    pub(super) fn meets_network(&mut self, name: &Name, number: i32) -> Result<(), TraceError> {
        let link = format!("/proc/{}/fdinfo/{number}", self.task(name)?.tracee.id());
        let said = std::fs::read_to_string(link)?;
        let flags = said.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
        self.opened(name, number, What::Network, None, false, flags.unwrap_or(libc::O_RDWR))
    }

    /// One is full that should not be: what comes of that depends on more than is known here.
    pub(super) fn note_full(&mut self, process: usize, is_full: bool) {
        if is_full {
            self.sight(process, GapKind::Socket, "a Unix socket that is full");
        }
    }

    /// The one that a socket for datagrams is connected to is gone: with the connection it loses what has come to it
    /// (`unix_dgram_disconnected`, net/unix/af_unix.c).
    fn lose_peer(&mut self, by: &Rc<Description>, operation: &mut Operation) -> Result<(), TraceError> {
        if let Some(own) = by.socket().and_then(Socket::mailbox) {
            let (access, loss) = self.world.streams.emptying(own);
            operation.accesses.extend([access, Access::write(Streams::senders(own))]);
            operation.adds.push(loss);
        }
        self.meets(by, None)
    }

    /// A socket has a name now: one for datagrams can be reached by it.
    pub(super) fn named(&mut self, description: &Description, path: &str, object: ObjectId) {
        let kind = description.socket().map(|socket| socket.kind);
        let stage = match kind.filter(|kind| *kind != Kind::Datagrams) {
            None => Stage::End(End::Listener(object)),
            Some(kind) => {
                self.world.streams.is_for_connections(object, kind);
                Stage::Named(object)
            }
        };
        become_socket(description, path, stage);
    }

    /// One with a name that is connected to another one, or to none any more, loses what has come: that is not followed.
    pub(super) fn note_connected_anew(
        &mut self,
        process: usize,
        description: &Description,
        peer: Option<&Peer>,
    ) {
        let before = description.peer();
        let has_name = description.socket().is_some_and(|socket| socket.mailbox().is_some());
        if has_name && before.is_some() && before.as_ref() != peer {
            self.sight(process, GapKind::Socket, "a Unix socket with a name that is connected anew");
        }
    }

    /// A socket for datagrams is connected to this one, or to none: so what other tasks of its process are about to send goes there.
    pub(super) fn meets(
        &mut self,
        description: &Rc<Description>,
        peer: Option<Peer>,
    ) -> Result<(), TraceError> {
        let Some(socket) = description.socket() else { return Ok(()) };
        socket.peer.replace(peer);
        let sends = |held: &Held| matches!(&held.action, Action::Post { by, as_peer: true, .. } if Rc::ptr_eq(by, description));
        let held = self.tasks.iter().filter_map(|(name, task)| match &task.state {
            State::Held { held, entry, .. } if sends(held) => Some((name.clone(), *entry)),
            _ => None,
        });
        self.redo(held.collect())
    }

    /// Which of several tasks of a process goes on that wait for others is for these others to say; where the order of tasks is not
    /// explored, it is tried in one way.
    pub(super) fn note_others_that_wait(&mut self, name: &Name, operation: &Operation) {
        let waits = |of: &Operation| !of.needs.is_empty();
        if !waits(operation) || self.world.by_task || self.processes[name.process].tasks < 2 {
            return;
        }
        let others = self.of(name.process).filter_map(|(_, task)| task.pending());
        if others.into_iter().any(|(other, _)| waits(other)) {
            let process = ProcessId(name.process);
            let what = format!(
                "the order in which tasks of {process} go on that wait for others (--threads explore)"
            );
            self.sight(name.process, GapKind::ThreadOrder, what);
        }
    }

    /// A call that was thought to come back sleeps.
    pub(super) fn note_unexpected_wait(&mut self, process: usize, call: u64) {
        let call = usize::try_from(call).ok().and_then(syscalls::Sysno::new);
        let name = call.map_or("a system call", |call| call.name());
        let what = format!("{name} that waits, as on a FIFO or socket that is full");
        self.sight(process, GapKind::Pipe, what);
    }
}

/// Whether the datagrams that a socket has sent, wherever to, may be in the way of a further one.
pub(super) fn is_full_of_own(by: &Description, length: u64) -> bool {
    by.socket().is_some_and(|socket| socket.cost.get() + cost(length) > most_bytes())
}

/// What a socket is from now on, and the path that it has, if it had none.
pub(super) fn become_socket(description: &Description, path: &str, now: Stage) {
    if let What::Socket(socket) = &description.what {
        socket.stage.set(now);
    }
    if !path.is_empty() {
        let _ = description.path.set(path.to_owned());
    }
}
