//! Calls that move bytes.

use std::rc::Rc;

use syscalls::Sysno;

use super::names::whole;
use super::{Action, Decision, Decoder, descriptor};
use crate::model::{Access, Location, ObjectId};
use crate::tracer::files::{Description, What};

impl Decoder<'_> {
    /// `None` where the call is of another kind, or on something else than the workspace.
    pub(super) fn data_call(&mut self, call: Sysno) -> Option<Decision> {
        let [a, b, c, d, ..] = self.arguments;
        let pass = Some(Decision::Pass);
        match call {
            Sysno::read => self.transfer(a, &[(b, c as usize)], None, false).or(pass),
            Sysno::write => self.transfer(a, &[(b, c as usize)], None, true).or(pass),
            Sysno::pread64 => self.transfer(a, &[(b, c as usize)], Some(d), false).or(pass),
            Sysno::pwrite64 => self.transfer(a, &[(b, c as usize)], Some(d), true).or(pass),
            Sysno::readv => self.transfer_vector(a, b, c, None, false).or(pass),
            Sysno::writev => self.transfer_vector(a, b, c, None, true).or(pass),
            Sysno::preadv | Sysno::preadv2 => self.transfer_vector(a, b, c, offset_of(d), false).or(pass),
            Sysno::pwritev | Sysno::pwritev2 => self.transfer_vector(a, b, c, offset_of(d), true).or(pass),
            Sysno::lseek => self.seek(descriptor(a), c as i32).or(pass),
            Sysno::mmap => self.map().or(pass),
            Sysno::sendfile => Some(self.between(descriptor(b), descriptor(a))),
            Sysno::copy_file_range | Sysno::splice => Some(self.between(descriptor(a), descriptor(c))),
            Sysno::tee | Sysno::vmsplice => pass,
            _ => None,
        }
    }

    fn transfer_vector(
        &mut self,
        number: u64,
        vector: u64,
        count: u64,
        at: Option<u64>,
        written: bool,
    ) -> Option<Decision> {
        self.caller.descriptors.borrow().get(descriptor(number))?;
        let numbers = self.caller.tracee.read_numbers(vector, (count as usize).min(1024) * 2).ok()?;
        let buffers: Vec<(u64, usize)> =
            numbers.as_chunks::<2>().0.iter().map(|[address, length]| (*address, *length as usize)).collect();
        self.transfer(number, &buffers, at, written)
    }

    /// A read or write at the file offset, or at a given one.
    fn transfer(
        &mut self,
        number: u64,
        buffers: &[(u64, usize)],
        at: Option<u64>,
        written: bool,
    ) -> Option<Decision> {
        let number = descriptor(number);
        let description = Rc::clone(self.caller.descriptors.borrow().get(number)?);
        let object = match description.what {
            What::Object(object) => object,
            What::Random if written => return None,
            What::Random => return self.random(buffers),
            What::Timer if written => return None,
            What::Timer => {
                let buffer = buffers.first()?.0;
                return Some(Decision::Watch(Action::ReadTimer { description: description.number, buffer }));
            }
        };
        let length: u64 = buffers.iter().map(|(_, length)| *length as u64).sum();
        let appends = written && description.append.get();
        let (start, accesses) = if written {
            let size = self.size_of(number)?;
            let start = if appends { size } else { at.unwrap_or(description.offset.get()) };
            (start, written_to(object, size, start, length, appends))
        } else {
            let start = at.unwrap_or(description.offset.get());
            let end = start.saturating_add(length);
            (start, vec![Access::read(Location::Data { object, start, end })])
        };
        let detail =
            if appends { format!("{length} bytes at the end") } else { format!("{length} bytes at {start}") };
        let path = description.path.clone();
        let (moves, buffers) = (at.is_none(), buffers.to_vec());
        let action = Action::Transfer { description, at: start, moves, written, buffers };
        Some(self.hold(Some(path), detail, accesses, action))
    }

    fn seek(&mut self, number: i32, whence: i32) -> Option<Decision> {
        let description = Rc::clone(self.caller.descriptors.borrow().get(number)?);
        let action = Action::Seek(Rc::clone(&description));
        match (whence, description.object()) {
            (libc::SEEK_END | libc::SEEK_DATA | libc::SEEK_HOLE, Some(object)) => {
                // Where a file ends is told by which of its positions there are.
                let accesses = vec![Access::read(whole(object))];
                Some(self.hold(Some(description.path.clone()), "to the end".into(), accesses, action))
            }
            _ => Some(Decision::Watch(action)),
        }
    }

    fn map(&mut self) -> Option<Decision> {
        let [_, _, protection, flags, number, _] = self.arguments;
        let (description, object) = self.description(descriptor(number))?;
        let shared = flags as i32 & libc::MAP_TYPE != libc::MAP_PRIVATE;
        if shared && protection as i32 & libc::PROT_WRITE != 0 {
            self.note(format!("writes through a shared mapping of {}", description.path));
        } else {
            self.note(format!("reads through a mapping of {} after it was made", description.path));
        }
        let accesses = vec![Access::read(whole(object))];
        Some(self.hold(Some(description.path.clone()), String::new(), accesses, Action::None))
    }

    /// A copy by the kernel from one descriptor to another.
    fn between(&mut self, from: i32, to: i32) -> Decision {
        let (source, target) = (self.description(from), self.description(to));
        let mut accesses = Vec::new();
        if let Some((_, object)) = &source {
            accesses.push(Access::read(whole(*object)));
        }
        if let Some((_, object)) = &target {
            accesses.extend([Access::write(whole(*object)), Access::join(Location::Status(*object))]);
        }
        let path = |side: &Option<(Rc<Description>, ObjectId)>| side.as_ref().map(|(of, _)| of.path.clone());
        if accesses.is_empty() {
            return Decision::Pass;
        }
        let mut decision =
            self.hold(path(&source), String::new(), accesses, Action::Resync([from, to].into()));
        if let Decision::Hold(held) = &mut decision {
            held.operation.call.target = path(&target);
        }
        decision
    }

    /// Random bytes, read from a device.
    fn random(&self, buffers: &[(u64, usize)]) -> Option<Decision> {
        let (address, length) = *buffers.first()?;
        Some(Decision::Random { address, length })
    }
}

/// An offset argument of which -1 means "the file offset".
fn offset_of(argument: u64) -> Option<u64> {
    (argument != u64::MAX).then_some(argument)
}

/// What a write does: its bytes, and those between the old end and where it starts, which come to be zeros.
fn written_to(object: ObjectId, size: u64, start: u64, length: u64, appends: bool) -> Vec<Access> {
    if length == 0 {
        return Vec::new();
    }
    // Where an appending write goes depends on where the file ends.
    let end = if appends { u64::MAX } else { start.saturating_add(length) };
    let data = Location::Data { object, start: start.min(size), end };
    vec![Access::write(data), Access::join(Location::Status(object))]
}
