//! Calls that make tasks or reach other tasks.

use super::undecided::{Early, Meant};
use super::{Action, Decision, Decoder};
use crate::model::{Access, GapKind, Location, ProcessId};
use crate::tracer::ids::place_of;
use crate::tracer::signals::{Sending, To, name_of};

/// Namespaces in which neither the way to the workspace nor the ids of processes would be as the tracer knows them.
const REFUSED_NAMESPACES: u64 = (libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUSER) as u64;

impl Decoder<'_> {
    /// A new task, with these flags of `clone`.
    pub(super) fn fork(&mut self, flags: u64) -> Meant {
        Ok(if flags & REFUSED_NAMESPACES == 0 { Decision::Fork } else { refused() })
    }

    /// The same, with the flags in memory.
    pub(super) fn fork_by(&mut self, address: u64) -> Meant {
        let flags = self.numbers(address, 1)?[0];
        self.fork(flags)
    }

    pub(super) fn unshare(&mut self, flags: u64) -> Meant {
        if flags & REFUSED_NAMESPACES != 0 {
            return Ok(refused());
        }
        let own = flags & libc::CLONE_FILES as u64 != 0;
        if own {
            Ok(Decision::Watch(Action::OwnDescriptors { numbers: Vec::new(), closes: false }))
        } else {
            Err(Early::Local("what it no longer shares is not shared with others"))
        }
    }

    /// `kill`: to a process, the sender's process group (0), all (-1), or another process group.
    pub(super) fn signal(&mut self, target: i32, number: i32) -> Meant {
        let to = match target {
            0 => return self.signal_within(number),
            -1 => To::All,
            group if group < 0 => {
                To::Groups(group.checked_neg().ok_or(Early::refused("a group that there cannot be"))?)
            }
            process => To::Group(process),
        };
        self.signal_to(to, number, 0)
    }

    /// A signal within the own process, where its order follows from that of its tasks.
    fn signal_within(&mut self, number: i32) -> Meant {
        self.world.interrupts = true;
        self.world.signalled |= number == libc::SIGKILL;
        self.world.continued |= number == libc::SIGCONT;
        Err(Early::Local("the order of signals within a process follows from that of its tasks"))
    }

    /// A signal, with what is at this address to be said of it.
    pub(super) fn signal_to(&mut self, to: To, number: i32, info: u64) -> Meant {
        let answer = |error: i32| Ok(Decision::Answer { result: -i64::from(error), memory: Vec::new() });
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
                let said = self.numbers(address, 16)?;
                Some(Box::new(<[u64; 16]>::try_from(said).map_err(|_| Early::UNREADABLE)?))
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
        Ok(self.hold(None, detail, accesses, Action::Send(Sending { to, number, info })))
    }

    /// A signal to the process that a descriptor is of.
    pub(super) fn signal_by(&mut self, number: i32, signal: i32, info: u64) -> Meant {
        let link = format!("/proc/{}/fdinfo/{number}", self.caller.tracee.id());
        let text = std::fs::read_to_string(link).map_err(|_| Early::UNRESOLVED)?;
        let ids = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let id = ids.and_then(|ids| ids.split_whitespace().last()?.parse().ok());
        let id = id.ok_or(Early::refused("a signal by a descriptor that is of no process"))?;
        self.signal_to(To::Group(id), signal, info)
    }

    /// A descriptor of a process, which tells when that ends.
    pub(super) fn watch(&mut self, target: i32) -> Meant {
        if place_of(target).is_some_and(|place| place != self.caller.process) {
            self.note(GapKind::OtherProcess, "when another process ends, by a descriptor of it (pidfd_open)");
        }
        Ok(Decision::Pass)
    }
}

fn refused() -> Decision {
    Decision::Answer { result: -i64::from(libc::EPERM), memory: Vec::new() }
}
