//! Calls on sockets. Unix sockets with a name in the workspace that make connections are followed, all others are not.

use std::rc::Rc;

use super::data::Transfer;
use super::names::name_changes;
use super::{Action, Decision, Decoder};
use crate::model::{Access, Location, Way};
use crate::tracer::files::{Description, Socket};
use crate::tracer::input::is_nonblocking;
use crate::tracer::paths::{Place, Resolved, lossy};
use crate::tracer::streams::{End, Streams};

/// Sizes of `struct msghdr` and `struct mmsghdr`, in numbers of 64 bits.
const MESSAGE: usize = 7;
const MESSAGE_OF_MANY: usize = 8;

/// The size of `struct sockaddr_storage`, in bytes.
const MOST_ADDRESS: u64 = 128;

/// The bits of a socket's type that are not flags.
const KIND: i32 = 0xf;

impl Decoder<'_> {
    /// A new socket: one that makes connections is known from the beginning, as it may be copied before it has a name. It touches
    /// nothing, but with a socket open a process can no longer be a checkpoint: so it is held before. Not where it does not block from
    /// the beginning, as that with which a C library asks for users' names (nscd): most programs do, and a signal may come at each
    /// operation.
    pub(super) fn socket(&mut self, family: i32, kind: i32) -> Option<Decision> {
        if family != libc::AF_UNIX || kind & KIND != libc::SOCK_STREAM {
            return None;
        }
        // The flags are those of `open`.
        let action = Action::OpenSocket { flags: kind & !KIND | libc::O_RDWR };
        Some(if kind & libc::SOCK_NONBLOCK == 0 {
            self.hold(None, "of this machine".into(), Vec::new(), action)
        } else {
            Decision::Watch(action)
        })
    }

    /// `bind`: gives a socket a name.
    pub(super) fn bind(&mut self, number: i32, address: u64, length: u64) -> Option<Decision> {
        let path = self.unix_path(address, length)?;
        let resolved = self.follow(libc::AT_FDCWD, &path, false, false).filter(|_| !path.is_empty());
        let (Some(description), Some(resolved)) = (self.unconnected(number), resolved) else {
            return self.not_followed();
        };
        let Place::Inside(spot) = &resolved.place else { return self.not_followed() };
        if spot.path.starts_with('/') {
            return self.not_followed();
        }
        let (more, action) = match spot.found {
            Some(_) => (Vec::new(), Action::None),
            None => (name_changes(spot), Action::Bind { description, path: spot.path.clone() }),
        };
        Some(self.on_path(resolved, "", more, action))
    }

    /// `listen`: from here on others can connect to a socket that has a name.
    pub(super) fn listen(&mut self, number: i32) -> Option<Decision> {
        let description = Rc::clone(self.caller.descriptors.borrow().get(number)?);
        let Socket::Named(object) = description.socket()? else { return None };
        let ends = Location::Ends { object, way: Way::Back };
        let (accesses, adds) = (vec![Access::join(ends.clone())], vec![(ends, 1)]);
        let path = description.path().to_owned();
        let mut decision =
            self.hold(Some(path), String::new(), accesses, Action::Listen { description, object });
        if let Decision::Hold(held) = &mut decision {
            held.operation.adds = adds;
        }
        Some(decision)
    }

    /// `connect`. A Unix socket that goes to an address outside where nobody listens has met nobody: it is noted where it succeeds.
    pub(super) fn connect(&mut self, number: i32, address: u64, length: u64) -> Option<Decision> {
        let path = self.unix_path(address, length)?;
        let resolved = self.follow(libc::AT_FDCWD, &path, true, false).filter(|_| !path.is_empty());
        let resolved = resolved.filter(leads_inside);
        let Some(resolved) = resolved else {
            return Some(Decision::Watch(Action::Note(format!("a Unix socket ({})", self.name))));
        };
        let Some(description) = self.unconnected(number) else { return self.not_followed() };
        let Place::Inside(spot) = &resolved.place else {
            return Some(self.on_path(resolved, "", Vec::new(), Action::None));
        };
        if spot.path.starts_with('/') {
            return self.not_followed();
        }
        let (more, action) = match &spot.found {
            Some(found) if found.kind() == libc::S_IFSOCK => {
                let touched = self.world.streams.sending(End::Listener(found.object), 1);
                let more = [vec![Access::read(Location::Mode(found.object))], touched].concat();
                (more, Action::Connect { description, to: found.object, path: spot.path.clone() })
            }
            _ => (Vec::new(), Action::None),
        };
        Some(self.on_path(resolved, "", more, action))
    }

    /// `accept`: waits for a connection, and takes it.
    pub(super) fn accept(&mut self, number: i32, flags: i32) -> Option<Decision> {
        let description = Rc::clone(self.caller.descriptors.borrow().get(number)?);
        let Some(end @ End::Listener(from)) = description.end() else { return None };
        let (accesses, needs) = self.world.streams.receiving(end, 1);
        let path = description.path().to_owned();
        let action = Action::Accept { from, path: path.clone(), flags: flags | libc::O_RDWR };
        let mut decision = self.hold(Some(path), String::new(), accesses, action);
        if let Decision::Hold(held) = &mut decision
            && !is_nonblocking(self.caller.tracee, number)
            && !matches!(description.socket(), Some(Socket::Shut(_)))
        {
            held.operation.needs = needs;
        }
        Some(decision)
    }

    /// `shutdown`: of what is sent, the other end sees the end; what is read waits for nothing any more.
    pub(super) fn shut(&mut self, number: i32, how: i32) -> Option<Decision> {
        let description = Rc::clone(self.caller.descriptors.borrow().get(number)?);
        let end = description.end()?;
        // What listens stays open until it is closed, however it is shut: it sends nothing.
        let (reading, writing) =
            (how != libc::SHUT_WR, how != libc::SHUT_RD && !matches!(end, End::Listener(_)));
        let mut accesses = Vec::new();
        if writing {
            accesses.extend(self.world.streams.closing_of(&description));
        }
        if reading {
            accesses.push(Access::write(end.stream(false)));
        }
        let detail = match (reading, writing) {
            (true, true) => "both ways",
            (true, false) => "for reading",
            _ => "for writing",
        };
        let path = description.path().to_owned();
        let action = Action::Shut { description, reading, writing };
        Some(self.hold(Some(path), detail.into(), accesses, action))
    }

    /// `send` and `recv`, of so many bytes, with these flags.
    pub(super) fn message(
        &mut self,
        number: i32,
        length: u64,
        flags: i32,
        written: bool,
    ) -> Option<Decision> {
        let description = Rc::clone(self.caller.descriptors.borrow().get(number)?);
        let end @ End::Connection(..) = description.end()? else { return None };
        if flags & libc::MSG_OOB != 0 {
            self.note("out-of-band bytes through a Unix socket".into());
        }
        let at_once = if flags & libc::MSG_DONTWAIT != 0 { libc::RWF_NOWAIT } else { 0 };
        let how = Transfer { number, at: None, written, flags: at_once };
        let mut decision = self.through((&description, end), &how, (length, false))?;
        if let Decision::Hold(held) = &mut decision
            && !written
            && flags & libc::MSG_PEEK != 0
        {
            held.operation.accesses = Streams::looking(end);
            held.action = Action::None;
        }
        Some(decision)
    }

    /// `sendmsg` and `recvmsg`. A descriptor of the workspace in a message is not followed to who gets it.
    pub(super) fn messages(
        &mut self,
        (number, address): (i32, u64),
        count: Option<u64>,
        flags: i32,
        written: bool,
    ) -> Option<Decision> {
        let size = if count.is_some() { MESSAGE_OF_MANY } else { MESSAGE };
        let many = count.map_or(1, |count| count.min(1024) as usize);
        let numbers = self.caller.tracee.read_numbers(address, many * size).ok()?;
        if written {
            self.note_passed(numbers.chunks(size));
        }
        if count.is_some() {
            return self.refuses_streams(&[number]);
        }
        let parts = self.caller.tracee.read_numbers(numbers[2], (numbers[3] as usize).min(1024) * 2).ok()?;
        let length =
            parts.as_chunks::<2>().0.iter().fold(0u64, |sum, [_, length]| sum.saturating_add(*length));
        self.message(number, length, flags, written)
    }

    fn note_passed<'m>(&mut self, messages: impl Iterator<Item = &'m [u64]>) {
        for message in messages {
            let control = self.caller.tracee.read(message[4], message[5].min(1 << 16) as usize);
            let known = |number: i32| self.caller.descriptors.borrow().get(number).is_some();
            if passed(&control.unwrap_or_default()).into_iter().any(known) {
                self.note("descriptors of the workspace that are passed over sockets".into());
            }
        }
    }

    /// `setsockopt`: a timeout of a socket is not followed.
    pub(super) fn set_option(&mut self, number: i32, level: i32, option: i32) -> Option<Decision> {
        let of = self.caller.descriptors.borrow().get(number)?.socket();
        let is_timeout =
            level == libc::SOL_SOCKET && [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO].contains(&option);
        if of.is_some() && is_timeout {
            self.note("a timeout of a Unix socket (SO_RCVTIMEO, SO_SNDTIMEO)".into());
        }
        None
    }

    /// The path of a Unix address, empty where it has none; of other addresses, nothing: they are noted.
    fn unix_path(&mut self, address: u64, length: u64) -> Option<String> {
        let bytes = self.caller.tracee.read(address, length.min(MOST_ADDRESS) as usize).ok()?;
        let (family, rest) = bytes.split_at_checked(2)?;
        if i32::from(u16::from_le_bytes([family[0], family[1]])) != libc::AF_UNIX {
            self.note(format!("the network ({})", self.name));
            return None;
        }
        Some(lossy(rest.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()))
    }

    /// A socket that has no connection, of a kind that is followed.
    fn unconnected(&self, number: i32) -> Option<Rc<Description>> {
        let description = Rc::clone(self.caller.descriptors.borrow().get(number)?);
        matches!(description.socket()?, Socket::New | Socket::Named(_)).then_some(description)
    }

    fn not_followed(&mut self) -> Option<Decision> {
        self.note(format!("a Unix socket ({})", self.name));
        None
    }
}

/// Whether the path of a Unix socket leads to what is in the workspace, or might be.
fn leads_inside(resolved: &Resolved) -> bool {
    match &resolved.place {
        // Outside of it nobody under test makes one where there is none.
        Place::Inside(spot) => !spot.path.starts_with('/') || spot.found.is_some(),
        Place::Nowhere(Some(path)) if path.starts_with('/') => false,
        _ => !resolved.accesses.is_empty(),
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
