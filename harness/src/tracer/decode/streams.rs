//! Calls on FIFOs and connections of the workspace: who opens one end of a FIFO waits for who opens the other, who reads waits for who
//! writes, and who looks at several waits for any of them.

use std::rc::Rc;

use super::data::Transfer;
use super::undecided::{Early, Meant};
use super::{Action, Decision, Decoder, Held};
use crate::model::{Access, Call, GapKind, Location, ObjectId, Operation, Way};
use crate::tracer::files::{Description, What};
use crate::tracer::input::is_nonblocking;
use crate::tracer::sockets::{Kind, Socket};
use crate::tracer::streams::{End, Streams, ways};

/// No process can have more descriptors (`NR_OPEN`).
const MOST_DESCRIPTORS: u64 = 1 << 20;

/// What is said of a descriptor that is of no `epoll`.
const NO_EPOLL: Early = Early::refused("an epoll that is none");

impl Decoder<'_> {
    /// An `open` of a FIFO, having looked up this; `words`: with what flags.
    pub(super) fn open_fifo(
        &mut self,
        (path, object, flags): (String, ObjectId, i32),
        mut accesses: Vec<Access>,
        words: String,
    ) -> Decision {
        if ways(flags)[..] == [Way::There]
            && flags & libc::O_NONBLOCK != 0
            && self.world.streams.ends(object, Way::Back).is_empty()
        {
            accesses.push(Access::read(Location::Ends { object, way: Way::Back }));
            let decision = self.hold(Some(path), words, accesses, Action::None);
            return self.refused(decision, Some("an end that nobody reads from, opened without waiting"));
        }
        let (touched, adds) = self.world.streams.opening(object, flags);
        accesses.extend(touched);
        let met = match ways(flags)[..] {
            [own] if flags & libc::O_NONBLOCK == 0 => {
                let (other, who) = (own.other(), if own == Way::There { "reader" } else { "writer" });
                let alone = self.world.streams.ends(object, other).is_empty();
                alone.then_some((Location::Ends { object, way: other }, who))
            }
            _ => None,
        };
        let detail = match met {
            Some((_, who)) => format!("{words}, waits for a {who}"),
            None => words,
        };
        let waits_for = met.map(|(ends, _)| ends);
        let action = Action::OpenFifo { object, path: path.clone(), flags, waits_for };
        let mut decision = self.hold(Some(path), detail, accesses, action);
        if let Decision::Hold(held) = &mut decision {
            held.operation.adds = adds;
        }
        decision
    }

    /// Whether a read or write of so many bytes does anything. Without bytes, packets are sent and taken all the same, but for calls on
    /// files that the kernel ends before.
    pub(super) fn comes_to_it(&self, description: &Description, length: u64) -> bool {
        let in_packets = description.socket().is_some_and(|socket| socket.kind != Kind::Bytes);
        let ends_before = ["read", "readv", "preadv2", "writev", "pwritev2"].contains(&self.name);
        length > 0 || in_packets && !ends_before
    }

    /// A read or write of what this is an end of; `alone`: of one buffer, so that a part of it can be written by itself.
    pub(super) fn through(
        &mut self,
        (description, end): (&Description, End),
        how: &Transfer,
        (length, alone): (u64, bool),
    ) -> Meant {
        let Transfer { number, at, written, flags } = *how;
        let packet = description.socket().is_some_and(|socket| socket.kind != Kind::Bytes);
        if at.is_some() {
            return Err(Early::refused("an offset in a FIFO or socket"));
        }
        if !self.comes_to_it(description, length) {
            return Err(Early::NO_BYTES);
        }
        let moved = if packet { 1 } else { length };
        let waits = flags & libc::RWF_NOWAIT == 0 && !is_nonblocking(self.caller.tracee, number);
        let (accesses, needs) = if written {
            (self.world.streams.sending(end, length), Vec::new())
        } else {
            self.world.streams.receiving(end, moved, packet)
        };
        let detail = match end {
            End::Fifo(..) => format!("{length} bytes at once"),
            End::Connection(..) if packet => format!("{length} bytes as a packet {}", Call::THROUGH_SOCKET),
            End::Connection(..) => format!("{length} bytes at once {}", Call::THROUGH_SOCKET),
            End::Listener(_) => format!("{length} bytes as a datagram {}", Call::AT_SOCKET),
        };
        let call = Call {
            name: self.name.to_owned(),
            path: Some(description.path().to_owned()),
            target: None,
            detail,
        };
        let waits = waits && !description.socket().is_some_and(Socket::is_shut);
        let needs = if waits { needs } else { Vec::new() };
        let operation = Operation { call, accesses, needs, ..Operation::default() };
        let room = match end {
            End::Fifo(object, _) if written && waits => self.world.streams.room(object, length),
            _ => None,
        };
        let room = room.filter(|room| *room == 0 || alone);
        let fits = self.world.streams.is_sure_to_fit(end, length);
        let action = Action::Through { end, written, length: moved, packet, room, fits, waits };
        let is_read = !written || self.world.streams.is_read(end);
        let why_not = (!is_read).then_some("bytes sent where nobody has the other end open");
        Ok(self.refused(Decision::Hold(Held { operation, action }), why_not))
    }

    /// `poll`, of entries of eight bytes, the descriptor first.
    pub(super) fn poll(&mut self, entries: u64, count: u64) -> Meant {
        let count = u64::from(count as u32);
        if count > MOST_DESCRIPTORS {
            return Err(Early::refused("more descriptors than a process can have"));
        }
        let entries = self.numbers(entries, count as usize)?;
        let numbers: Vec<i32> = entries.into_iter().map(super::descriptor).collect();
        self.watches(&numbers)
    }

    /// `select`, of these sets of descriptors.
    pub(super) fn select(&mut self, count: u64, sets: [u64; 2]) -> Meant {
        let ends = self.caller.descriptors.borrow().ends();
        let after_last = ends.iter().max().map_or(0, |last| u64::from(last.unsigned_abs()) + 1);
        // The kernel looks no further than to the last descriptor that there is.
        let words = (u64::from(count as u32).min(after_last) as usize).div_ceil(64);
        let given = sets.into_iter().filter(|set| *set != 0);
        let sets = given.map(|set| self.numbers(set, words)).collect::<Result<Vec<_>, _>>()?;
        let has = |set: &Vec<u64>, number: i32| {
            set.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
        };
        let is_in_one = |number: &i32| {
            u64::from(number.unsigned_abs()) < count && sets.iter().any(|set| has(set, *number))
        };
        let numbers: Vec<i32> = ends.into_iter().filter(is_in_one).collect();
        self.watches(&numbers)
    }

    /// Where an `epoll` is opened, with these flags.
    pub(super) fn open_epoll(&mut self, flags: i32) -> Meant {
        Ok(Decision::Watch(Action::OpenEpoll { flags }))
    }

    /// `epoll_ctl`: takes note of the FIFOs and sockets in the set.
    pub(super) fn control_epoll(&mut self, epoll: i32, change: i32, number: i32) -> Meant {
        let table = self.caller.descriptors.borrow();
        let epoll = table.get(epoll).ok_or(Early::ELSEWHERE)?;
        let What::Epoll(watched) = &epoll.what else { return Err(NO_EPOLL) };
        if change != libc::EPOLL_CTL_MOD {
            watched.borrow_mut().retain(|(other, ..)| *other != number);
        }
        if change == libc::EPOLL_CTL_ADD
            && let Some(description) = table.get(number)
            && (description.end().is_some() || description.socket().is_some())
        {
            watched.borrow_mut().push((number, Rc::downgrade(description)));
        }
        Ok(Decision::Pass)
    }

    /// `epoll_wait` and its like.
    pub(super) fn wait_for_epoll(&mut self, epoll: i32) -> Meant {
        let description = self.known(epoll)?;
        let What::Epoll(watched) = &description.what else { return Err(NO_EPOLL) };
        let watched: Vec<_> = watched.borrow().iter().filter_map(|(_, of)| of.upgrade()).collect();
        self.look_at_ends(&watched)
    }

    /// A look at whether these can be read or written, other things beside them.
    pub(super) fn watches(&mut self, numbers: &[i32]) -> Meant {
        let table = self.caller.descriptors.borrow();
        let described: Vec<_> = numbers.iter().filter_map(|number| table.get(*number).cloned()).collect();
        drop(table);
        self.look_at_ends(&described)
    }

    fn look_at_ends(&mut self, described: &[Rc<Description>]) -> Meant {
        let mut ends: Vec<_> = described.iter().filter_map(|of| Some((of.end()?, of.path()))).collect();
        ends.sort_unstable();
        ends.dedup();
        if described
            .iter()
            .filter_map(|of| of.socket())
            .any(|socket| self.world.streams.may_be_full(socket.cost.get()))
        {
            self.note(GapKind::Socket, "a Unix socket for datagrams that is full of bytes");
        }
        // One that is connected and sends datagrams is looked at for room with the other.
        let peers: Vec<_> = described.iter().filter_map(|of| of.peer()).collect();
        let path = ends.first().map(|(_, path)| *path).or_else(|| Some(&peers.first()?.path));
        let path =
            path.ok_or(Early::Local("none of these is an end of something in the workspace"))?.to_owned();
        let several = ends.len().max(peers.len());
        let detail = if several > 1 { format!("one of {several}") } else { String::new() };
        let at_peers = peers.iter().flat_map(|peer| Streams::looking_at_room(peer.object));
        let accesses =
            ends.into_iter().flat_map(|(end, _)| self.world.streams.looking(end)).chain(at_peers).collect();
        Ok(self.hold(Some(path), detail, accesses, Action::Poll))
    }

    /// What is not scheduled where it is done with a FIFO or a connection.
    pub(super) fn refuses_streams(&mut self, numbers: &[i32]) -> Meant {
        let table = self.caller.descriptors.borrow();
        let is_followed =
            |number: &i32| table.get(*number).is_some_and(|of| of.end().is_some() || of.socket().is_some());
        let is_one = numbers.iter().any(is_followed);
        drop(table);
        if is_one {
            self.note(GapKind::Pipe, format!("{} with a FIFO or a Unix socket of the workspace", self.name));
        }
        Ok(Decision::Pass)
    }
}
