//! Calls that make tasks, reach other tasks, or pass descriptors to them.

use super::{Action, Decision, Decoder};
use crate::model::{Access, Location, ProcessId};
use crate::tracer::ids::place_of;
use crate::tracer::paths::{Place, lossy};
use crate::tracer::signals::{Sending, To, name_of};

/// Namespaces in which neither the way to the workspace nor the ids of processes would be as the tracer knows them.
const REFUSED_NAMESPACES: u64 = (libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUSER) as u64;

/// Sizes of `struct msghdr` and `struct mmsghdr`, in numbers of 64 bits.
const MESSAGE: usize = 7;
const MESSAGE_OF_MANY: usize = 8;

/// The size of `struct sockaddr_storage`, in bytes.
const MOST_ADDRESS: u64 = 128;

impl Decoder<'_> {
    /// A new task, with these flags of `clone`.
    pub(super) fn fork(&mut self, flags: u64) -> Option<Decision> {
        Some(if flags & REFUSED_NAMESPACES == 0 { Decision::Fork } else { refused() })
    }

    /// The same, with the flags in memory.
    pub(super) fn fork_by(&mut self, address: u64) -> Option<Decision> {
        let flags = *self.caller.tracee.read_numbers(address, 1).ok()?.first()?;
        self.fork(flags)
    }

    pub(super) fn unshare(&mut self, flags: u64) -> Option<Decision> {
        if flags & REFUSED_NAMESPACES != 0 {
            return Some(refused());
        }
        let own = flags & libc::CLONE_FILES as u64 != 0;
        own.then(|| Decision::Watch(Action::OwnDescriptors { numbers: Vec::new(), closes: false }))
    }

    /// `kill`: to a process, the sender's process group (0), all (-1), or another process group.
    pub(super) fn signal(&mut self, target: i32, number: i32) -> Option<Decision> {
        let to = match target {
            0 => return self.signal_within(number),
            -1 => To::All,
            group if group < 0 => To::Groups(group.checked_neg()?),
            process => To::Group(process),
        };
        self.signal_to(to, number, 0)
    }

    /// A signal within the own process, where its order follows from that of its tasks.
    fn signal_within(&mut self, number: i32) -> Option<Decision> {
        self.world.interrupts = true;
        self.world.signalled |= number == libc::SIGKILL;
        None
    }

    /// A signal, with what is at this address to be said of it.
    pub(super) fn signal_to(&mut self, to: To, number: i32, info: u64) -> Option<Decision> {
        let answer = |error: i32| Some(Decision::Answer { result: -i64::from(error), memory: Vec::new() });
        let own = self.caller.process;
        let places: Vec<usize> = match to {
            To::All => (0..self.world.processes).filter(|place| *place != own).collect(),
            To::Group(id) | To::Task(id) | To::Groups(id) => match place_of(id) {
                Some(place) if place == own => return self.signal_within(number),
                Some(place) if place < self.world.processes => vec![place],
                // The init of the namespace.
                _ if id == 1 => return answer(libc::EPERM),
                _ => return answer(libc::ESRCH),
            },
        };
        if !(0..=64).contains(&number) {
            return answer(libc::EINVAL);
        }
        let info = match info {
            0 => None,
            address => {
                let said = self.caller.tracee.read_numbers(address, 16).ok()?;
                Some(Box::new(<[u64; 16]>::try_from(said).ok()?))
            }
        };
        let access = |place: &usize| {
            let there = Location::Process(ProcessId(*place));
            // Who is over takes no signals.
            let looks = number == 0 || self.world.over.contains(place);
            if looks { Access::read(there) } else { Access::write(there) }
        };
        let accesses = places.iter().map(access).collect();
        let whom: Vec<String> = places.iter().map(|place| ProcessId(*place).to_string()).collect();
        let what = if number == 0 { "nothing".to_owned() } else { name_of(number) };
        let detail = format!("{what} to {}", whom.join(", "));
        Some(self.hold(None, detail, accesses, Action::Send(Sending { to, number, info })))
    }

    /// A signal to the process that a descriptor is of.
    pub(super) fn signal_by(&mut self, number: i32, signal: i32, info: u64) -> Option<Decision> {
        let link = format!("/proc/{}/fdinfo/{number}", self.caller.tracee.id());
        let text = std::fs::read_to_string(link).ok()?;
        let ids = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        let id = ids.split_whitespace().last()?.parse().ok()?;
        self.signal_to(To::Group(id), signal, info)
    }

    /// A descriptor of a process, which tells when that ends.
    pub(super) fn watch(&mut self, target: i32) -> Option<Decision> {
        if place_of(target).is_some_and(|place| place != self.caller.process) {
            self.note("when another process ends, by a descriptor of it (pidfd_open)".into());
        }
        None
    }

    /// A socket that is given an address, or goes to one. A Unix socket that goes to an address where nobody listens has met
    /// nobody: it is noted where it succeeds.
    pub(super) fn meet(&mut self, address: u64, length: u64, gives: bool) -> Option<Decision> {
        let bytes = self.caller.tracee.read(address, length.min(MOST_ADDRESS) as usize).ok()?;
        let (family, rest) = bytes.split_at_checked(2)?;
        if i32::from(u16::from_le_bytes([family[0], family[1]])) != libc::AF_UNIX {
            self.note(format!("the network ({})", self.name));
            return None;
        }
        let what = format!("a Unix socket ({})", self.name);
        if gives || self.leads_inside(rest) {
            self.note(what);
            return None;
        }
        Some(Decision::Watch(Action::Note(what)))
    }

    /// Whether the path of a Unix socket leads to what is in the workspace, or might be.
    fn leads_inside(&mut self, path: &[u8]) -> bool {
        let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
        if path.is_empty() {
            return false;
        }
        let resolved = self.follow(libc::AT_FDCWD, &lossy(path.to_vec()), true, false);
        resolved.is_some_and(|resolved| match resolved.place {
            // Outside of it nobody under test makes one where there is none.
            Place::Inside(spot) => !spot.path.starts_with('/') || spot.found.is_some(),
            Place::Nowhere(Some(path)) if path.starts_with('/') => false,
            _ => !resolved.accesses.is_empty(),
        })
    }

    /// Messages to a socket: a descriptor of the workspace in one of them is not followed to who gets it.
    pub(super) fn send(&mut self, address: u64, count: Option<u64>) -> Option<Decision> {
        let size = if count.is_some() { MESSAGE_OF_MANY } else { MESSAGE };
        let count = count.map_or(1, |count| count.min(1024) as usize);
        let numbers = self.caller.tracee.read_numbers(address, count * size).ok()?;
        for message in numbers.chunks(size) {
            let control = self.caller.tracee.read(message[4], message[5].min(1 << 16) as usize).ok()?;
            if passed(&control).into_iter().any(|number| self.description(number).is_some()) {
                self.note("descriptors of the workspace that are passed over sockets".into());
            }
        }
        None
    }
}

fn refused() -> Decision {
    Decision::Answer { result: -i64::from(libc::EPERM), memory: Vec::new() }
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
