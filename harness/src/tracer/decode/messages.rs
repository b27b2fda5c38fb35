//! Calls that send and receive through Unix sockets of the workspace: bytes, packets and datagrams.

use std::rc::Rc;

use super::data::{MOST_PARTS, Transfer};
use super::sockets::{Addressed, socket_at};
use super::undecided::{Early, Meant};
use super::{Action, Decision, Decoder};
use crate::model::{Access, GapKind, ObjectId, Way};
use crate::tracer::files::{Description, What};
use crate::tracer::input::is_nonblocking;
use crate::tracer::sockets::Socket;
use crate::tracer::streams::Streams;

/// Sizes of `struct msghdr` and `struct mmsghdr`, in numbers of 64 bits.
const MESSAGE: usize = 7;
const MESSAGE_OF_MANY: usize = 8;

/// More bytes of control than the kernel takes.
const MOST_CONTROL: u64 = 1 << 20;

/// What is sent or received by one call.
#[derive(Clone, Copy)]
pub(super) struct Message {
    /// How many bytes at the most.
    pub length: u64,
    /// The flags of `send`.
    pub flags: i32,
    /// Where it is sent to, an address and its length, where that is said.
    pub to: Option<(u64, u64)>,
}

/// The address that a message is sent to, and its length: none where either is 0.
pub(super) fn address_of(address: u64, length: u64) -> Option<(u64, u64)> {
    let length = length & u64::from(u32::MAX);
    (address != 0 && length != 0).then_some((address, length))
}

impl Decoder<'_> {
    /// `sendto`.
    pub(super) fn send(&mut self, number: i32, buffer: u64, message: Message) -> Meant {
        self.note_sent_to_kernel(number, &[(buffer, message.length as usize)])?;
        self.message(number, message, true)
    }

    /// `sendto` and `recvfrom`, and their like.
    pub(super) fn message(&mut self, number: i32, message: Message, written: bool) -> Meant {
        let Message { length, flags, to } = message;
        let description = self.caller.descriptors.borrow().get(number).cloned();
        if written && let Some(elsewhere) = self.sent_elsewhere(description.as_deref(), to)? {
            return Ok(elsewhere);
        }
        let description = description.ok_or(Early::ELSEWHERE)?;
        let at_once = if flags & libc::MSG_DONTWAIT != 0 { libc::RWF_NOWAIT } else { 0 };
        let how = Transfer { number, at: None, written, flags: at_once };
        if written && description.is_for_datagrams() {
            return self.post(&description, &how, length, to);
        }
        let end = description.end_to_read_or_write().filter(|_| description.socket().is_some());
        let end = end.ok_or(Early::NO_END)?;
        if flags & libc::MSG_OOB != 0 {
            self.note(GapKind::Socket, "out-of-band bytes through a Unix socket");
        }
        let mut decision = self.through((&description, end), &how, (length, false))?;
        if let Decision::Hold(held) = &mut decision
            && !written
            && flags & libc::MSG_PEEK != 0
        {
            held.operation.accesses = self.world.streams.looking(end);
            held.action = Action::None;
        }
        Ok(decision)
    }

    /// A datagram of so many bytes: to an address, or to whom its socket is connected.
    pub(super) fn post(
        &mut self,
        description: &Rc<Description>,
        how: &Transfer,
        length: u64,
        to: Option<(u64, u64)>,
    ) -> Meant {
        let waits = how.flags & libc::RWF_NOWAIT == 0 && !is_nonblocking(self.caller.tracee, how.number);
        let detail = format!("{length} bytes as a datagram");
        let Some((address, size)) = to else {
            let peer = description.peer().ok_or(Early::NO_END)?;
            let (accesses, action) = self.posted(description, peer.object, length, (true, waits));
            return Ok(self.hold(Some(peer.path), detail, accesses, action));
        };
        let resolved = match self.addressed(how.number, address, size)? {
            Addressed::Inside(resolved) => resolved,
            Addressed::Elsewhere(decision) => return Ok(decision),
        };
        let Some((to, _)) = socket_at(&resolved) else {
            return Ok(self.on_path(resolved, &detail, Vec::new(), Action::None));
        };
        self.note_wrong_kind(to);
        let (more, action) = self.posted(description, to, length, (false, waits));
        let is_open = !self.world.streams.ends(to, Way::Back).is_empty();
        let decision = self.on_path(resolved, &detail, more, action);
        Ok(self.refused(decision, (!is_open).then_some("a datagram to a socket that nobody has open")))
    }

    fn posted(
        &self,
        by: &Rc<Description>,
        to: ObjectId,
        length: u64,
        (as_peer, waits): (bool, bool),
    ) -> (Vec<Access>, Action) {
        let streams = &self.world.streams;
        let mut accesses = streams.posting(to);
        // Where the one that it is connected to is gone, the connection is too, with all that has come.
        if let Some(own) = by.socket().and_then(Socket::mailbox)
            && as_peer
            && streams.ends(to, Way::Back).is_empty()
        {
            accesses.extend([streams.emptying(own).0, Access::write(Streams::senders(own))]);
        }
        let fits = streams.is_sure_of_room(to);
        (accesses, Action::Post { by: Rc::clone(by), to, as_peer, length, fits, waits })
    }

    /// `sendmsg` and `recvmsg`. A descriptor of the workspace in a message is not followed to who gets it.
    pub(super) fn messages(
        &mut self,
        (number, address): (i32, u64),
        count: Option<u64>,
        flags: i32,
        written: bool,
    ) -> Meant {
        let size = if count.is_some() { MESSAGE_OF_MANY } else { MESSAGE };
        let many = count.map_or(1, |count| count.min(1024) as usize);
        let numbers = self.numbers(address, many * size)?;
        if written {
            self.note_passed(number, numbers.chunks(size))?;
            self.note_asked(number, numbers.chunks(size))?;
        }
        if count.is_some() && written {
            let description = self.caller.descriptors.borrow().get(number).cloned();
            for message in numbers.chunks(size) {
                let to = address_of(message[0], message[1]);
                if let Some(elsewhere) = self.sent_elsewhere(description.as_deref(), to)? {
                    return Ok(elsewhere);
                }
            }
        }
        if count.is_some() {
            return self.refuses_streams(&[number]);
        }
        let to = address_of(numbers[0], numbers[1]).filter(|_| written);
        if numbers[3] > MOST_PARTS {
            return Err(Early::refused("more parts than the kernel takes"));
        }
        let parts = self.numbers(numbers[2], numbers[3] as usize * 2)?;
        let length =
            parts.as_chunks::<2>().0.iter().fold(0u64, |sum, [_, length]| sum.saturating_add(*length));
        self.message(number, Message { length, flags, to }, written)
    }

    /// Descriptors that are passed: those of the workspace; and all of them, if they may come to another process.
    fn note_passed<'m>(
        &mut self,
        number: i32,
        messages: impl Iterator<Item = &'m [u64]>,
    ) -> Result<(), Early> {
        for message in messages {
            let control = self.bytes(message[4], message[5].min(MOST_CONTROL) as usize)?;
            let passed = passed(&control);
            if passed.is_empty() {
                continue;
            }
            let known = |number: i32| self.caller.descriptors.borrow().get(number).cloned();
            let goes_on = known(number).is_some_and(|by| {
                by.socket().is_some_and(|socket| socket.end().is_some())
                    || by.peer().is_some()
                    || by.is_for_datagrams() && address_of(message[0], message[1]).is_some()
            });
            if passed.iter().any(|number| known(*number).is_some()) {
                self.note(GapKind::Descriptor, "descriptors of the workspace that are passed over sockets");
            } else if goes_on {
                self.note(GapKind::Descriptor, "descriptors that are passed over sockets");
            }
        }
        Ok(())
    }

    /// What messages to the kernel are about.
    fn note_asked<'m>(
        &mut self,
        number: i32,
        messages: impl Iterator<Item = &'m [u64]>,
    ) -> Result<(), Early> {
        let is_one = |of: &Rc<Description>| matches!(of.what, What::Netlink(_));
        if !self.caller.descriptors.borrow().get(number).is_some_and(is_one) {
            return Ok(());
        }
        for message in messages {
            let parts = self.numbers(message[2], message[3].min(MOST_PARTS) as usize * 2)?;
            let parts: Vec<(u64, usize)> = parts
                .as_chunks::<2>()
                .0
                .iter()
                .map(|[address, length]| (*address, *length as usize))
                .collect();
            self.note_sent_to_kernel(number, &parts)?;
        }
        Ok(())
    }
}

/// The descriptors that the control part of a message carries.
fn passed(mut control: &[u8]) -> Vec<i32> {
    let mut found = Vec::new();
    while let Some((head, _)) = control.split_at_checked(16) {
        let length = head[..8].try_into().map_or(0, u64::from_le_bytes) as usize;
        let number = |at: usize| head[at..at + 4].try_into().map_or(0, i32::from_le_bytes);
        let Some(data) = control.get(16..length) else { break };
        if (number(8), number(12)) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            found.extend(data.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)));
        }
        control = control.get(length.next_multiple_of(8)..).unwrap_or(&[]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn descriptors_are_found_in_a_message() {
        let part = |kind: i32, numbers: &[i32]| {
            let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let length = 16 + data.len();
            let head = [
                (length as u64).to_le_bytes().to_vec(),
                1i32.to_le_bytes().into(),
                kind.to_le_bytes().into(),
            ];
            let mut bytes = [head.concat(), data].concat();
            bytes.resize(length.next_multiple_of(8), 0);
            bytes
        };
        assert_eq!(passed(&[part(2, &[9, 9, 9]), part(1, &[3, 4, 5])].concat()), [3, 4, 5]);
        assert!(passed(&[0; 64]).is_empty());
        assert!(passed(&[255; 64]).is_empty());
        assert!(passed(&[]).is_empty());
    }
}
