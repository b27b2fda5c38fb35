//! Calls on FIFOs of the workspace: who opens one end waits for who opens the other, who reads waits for who writes.

use std::rc::Rc;

use super::data::Transfer;
use super::{Action, Decision, Decoder, Held};
use crate::model::{Access, Call, Location, ObjectId, Operation};
use crate::tracer::files::{Description, End, What};
use crate::tracer::input::is_nonblocking;
use crate::tracer::streams::{Streams, ways};

impl Decoder<'_> {
    /// An `open` of a FIFO, having looked up this; `words`: with what flags.
    pub(super) fn open_fifo(
        &mut self,
        (path, object, flags): (String, ObjectId, i32),
        mut accesses: Vec<Access>,
        words: String,
    ) -> Decision {
        let (touched, adds) = self.world.streams.opening(object, flags);
        accesses.extend(touched);
        let met = match ways(flags)[..] {
            [own] if flags & libc::O_NONBLOCK == 0 => {
                let (other, who) =
                    (own.other(), if own == crate::model::Way::There { "reader" } else { "writer" });
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

    /// A read or write of a FIFO.
    pub(super) fn through_fifo(
        &mut self,
        description: &Rc<Description>,
        object: ObjectId,
        how: &Transfer,
        length: u64,
    ) -> Option<Decision> {
        let Transfer { number, at, written, flags } = *how;
        if at.is_some() || length == 0 {
            return None;
        }
        let waits = flags & libc::RWF_NOWAIT == 0 && !is_nonblocking(self.caller.tracee, number);
        let (accesses, needs) = if written {
            (self.world.streams.sending(object, length), Vec::new())
        } else {
            self.world.streams.receiving(object, length)
        };
        let call = Call {
            name: self.name.to_owned(),
            path: Some(description.path.clone()),
            target: None,
            detail: format!("{length} bytes at once"),
        };
        let needs = if waits { needs } else { Vec::new() };
        let operation = Operation { call, accesses, needs, ..Operation::default() };
        let room = (written && waits).then(|| self.world.streams.room(object, length)).flatten();
        // Of several buffers a part cannot be written by itself.
        let room = room.filter(|room| *room == 0 || self.name == "write");
        let action = Action::Through { object, written, length, room };
        Some(Decision::Hold(Held { operation, action }))
    }

    /// `poll`, of entries of eight bytes, the descriptor first.
    pub(super) fn poll(&mut self, entries: u64, count: u64) -> Option<Decision> {
        let entries = self.caller.tracee.read_numbers(entries, count.min(1024) as usize).ok()?;
        let numbers: Vec<i32> = entries.into_iter().map(super::descriptor).collect();
        self.watches(&numbers)
    }

    /// `select`, of these sets of descriptors.
    pub(super) fn select(&mut self, count: u64, sets: [u64; 2]) -> Option<Decision> {
        let words = (count.min(1024) as usize).div_ceil(64);
        let fifos = self.caller.descriptors.borrow().fifos();
        let has = |set: &u64, number: i32| {
            let set = self.caller.tracee.read_numbers(*set, words).unwrap_or_default();
            set.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
        };
        let is_in_one = |number: &i32| sets.iter().any(|set| *set != 0 && has(set, *number));
        let numbers: Vec<i32> = fifos.into_iter().filter(is_in_one).collect();
        self.watches(&numbers)
    }

    /// Where an `epoll` is opened, with these flags.
    pub(super) fn open_epoll(&mut self, flags: i32) -> Option<Decision> {
        Some(Decision::Watch(Action::OpenEpoll { flags }))
    }

    /// `epoll_ctl`: takes note of the FIFOs in the set.
    pub(super) fn control_epoll(&mut self, epoll: i32, change: i32, number: i32) -> Option<Decision> {
        let table = self.caller.descriptors.borrow();
        let What::Epoll(watched) = &table.get(epoll)?.what else { return None };
        if change != libc::EPOLL_CTL_MOD {
            watched.borrow_mut().retain(|(other, ..)| *other != number);
        }
        if change == libc::EPOLL_CTL_ADD
            && let Some(description) = table.get(number)
            && let Some(object) = description.fifo()
        {
            watched.borrow_mut().push((number, (object, description.flags, description.path.clone())));
        }
        None
    }

    /// `epoll_wait` and its like.
    pub(super) fn wait_for_epoll(&mut self, epoll: i32) -> Option<Decision> {
        let description = Rc::clone(self.caller.descriptors.borrow().get(epoll)?);
        let What::Epoll(watched) = &description.what else { return None };
        let fifos = watched.borrow().iter().map(|(_, end)| end.clone()).collect();
        self.look_at_fifos(fifos)
    }

    /// A look at whether these can be read or written, other things beside them.
    fn watches(&mut self, numbers: &[i32]) -> Option<Decision> {
        let table = self.caller.descriptors.borrow();
        let described = numbers.iter().filter_map(|number| table.get(*number));
        let fifos = described.filter_map(|of| Some((of.fifo()?, of.flags, of.path.clone()))).collect();
        drop(table);
        self.look_at_fifos(fifos)
    }

    fn look_at_fifos(&mut self, mut fifos: Vec<End>) -> Option<Decision> {
        fifos.sort_unstable();
        fifos.dedup();
        let path = fifos.first()?.2.clone();
        let detail = if fifos.len() > 1 { format!("one of {}", fifos.len()) } else { String::new() };
        let accesses =
            fifos.into_iter().flat_map(|(object, flags, _)| Streams::looking(object, flags)).collect();
        Some(self.hold(Some(path), detail, accesses, Action::Poll))
    }

    /// What is not scheduled where it is done with a FIFO.
    pub(super) fn refuses_fifos(&mut self, numbers: &[i32]) -> Option<Decision> {
        let fifos = self.caller.descriptors.borrow().fifos();
        if numbers.iter().any(|number| fifos.contains(number)) {
            self.note(format!("{} with a FIFO of the workspace", self.name));
        }
        None
    }

    /// What closing the last descriptor of a description does to who is at the other end of it.
    pub fn ends_of(description: &Description) -> Vec<Access> {
        description.fifo().map_or_else(Vec::new, |object| Streams::closing(object, description.flags))
    }
}
