//! Calls that move bytes.

use std::rc::Rc;

use super::names::whole;
use super::status::size_read;
use super::undecided::{Early, Meant};
use super::{Action, Decision, Decoder, Held, descriptor};
use crate::model::{Access, Location, ObjectId};
use crate::tracer::files::{Description, What};
use crate::tracer::input::is_nonblocking;

/// How many parts one read or write can have (`UIO_MAXIOV`).
pub(super) const MOST_PARTS: u64 = 1024;

/// What is said of a read or write by a descriptor that is not open for it.
const NOT_OPEN_FOR_IT: Early = Early::refused("a descriptor that is not open for this");

/// The flags of `preadv2` and `pwritev2` that Linux 6.18 has.
const KNOWN_FLAGS: i32 = 0x1ff;

/// A read or write.
#[derive(Clone, Copy)]
pub(super) struct Transfer {
    /// By which descriptor.
    pub number: i32,
    /// Where, if not at the file offset.
    pub at: Option<u64>,
    /// Whether it writes.
    pub written: bool,
    /// `RWF_…`
    pub flags: i32,
}

impl Decoder<'_> {
    pub(super) fn read(&mut self, number: u64, buffer: (u64, u64), at: Option<u64>) -> Meant {
        let how = Transfer { number: descriptor(number), at, written: false, flags: 0 };
        self.transfer(&how, &[(buffer.0, buffer.1 as usize)])
    }

    pub(super) fn write(&mut self, number: u64, buffer: (u64, u64), at: Option<u64>) -> Meant {
        let how = Transfer { number: descriptor(number), at, written: true, flags: 0 };
        self.transfer(&how, &[(buffer.0, buffer.1 as usize)])
    }

    /// `readv` and its like.
    pub(super) fn vector(&mut self, how: Transfer, vector: u64, count: u64) -> Meant {
        self.known(how.number)?;
        if count > MOST_PARTS {
            return Err(Early::refused("more parts than the kernel takes"));
        }
        let numbers = self.numbers(vector, count as usize * 2)?;
        let buffers: Vec<(u64, usize)> =
            numbers.as_chunks::<2>().0.iter().map(|[address, length]| (*address, *length as usize)).collect();
        // With nothing to move the kernel does not look at the flags.
        if how.flags & !KNOWN_FLAGS != 0 && buffers.iter().any(|(_, length)| *length > 0) {
            return Ok(self.unknown(format!("{} with flags {:#x}", self.name, how.flags)));
        }
        self.transfer(&how, &buffers)
    }

    fn transfer(&mut self, how: &Transfer, buffers: &[(u64, usize)]) -> Meant {
        let Transfer { number, at, written, flags } = *how;
        let description = self.known(number)?;
        let object = match description.what {
            What::Object(object) => object,
            What::Fifo(_) | What::Socket(_) => {
                if description.is_for_datagrams() && written {
                    if at.is_some() {
                        return Err(Early::refused("an offset in a socket"));
                    }
                    if !self.comes_to_it(&description, total(buffers)) {
                        return Err(Early::NO_BYTES);
                    }
                    return self.post(&description, how, total(buffers), None);
                }
                let end = description.end_to_read_or_write().ok_or(Early::NO_END)?;
                let may = if written { description.writable() } else { description.readable() };
                let alone = self.name == "write";
                if !may {
                    return Err(NOT_OPEN_FOR_IT);
                }
                return self.through((&description, end), how, (total(buffers), alone));
            }
            What::Network => {
                if written {
                    self.note_sent(number);
                }
                return Err(Early::Local("what is received over the network, or reported"));
            }
            What::Netlink(_) => {
                if written {
                    self.note_sent_to_kernel(number, buffers)?;
                }
                return Err(Early::Local("what the kernel tells, or reported"));
            }
            What::Epoll(_) => return Err(Early::refused("bytes through an epoll")),
            What::Random | What::Input if written => return Err(Early::ELSEWHERE),
            What::Input => return self.input(number),
            What::Random => return self.random(buffers),
            What::Timer if written => return Err(Early::refused("bytes to a timer")),
            What::Timer => {
                let buffer = buffers.first().ok_or(Early::NO_BYTES)?.0;
                return Ok(Decision::Watch(Action::ReadTimer { description: description.number, buffer }));
            }
        };
        if !(if written { description.writable() } else { description.readable() }) {
            return Err(NOT_OPEN_FOR_IT);
        }
        let length = total(buffers);
        let appends = written && (description.append.get() && flags & libc::RWF_NOAPPEND == 0)
            || written && flags & libc::RWF_APPEND != 0;
        let (start, accesses) = if written {
            let status = self.status_of_file(number)?;
            let size = status.st_size.cast_unsigned();
            let start = if appends { size } else { at.unwrap_or(description.offset.get()) };
            let mut written = written_to(object, size, start, length, appends);
            if length > 0 {
                written.extend(self.clears_bits(object, &status));
            }
            (start, written)
        } else {
            let start = at.unwrap_or(description.offset.get());
            let end = start.saturating_add(length);
            (start, vec![Access::read(Location::Data { object, start, end })])
        };
        let detail =
            if appends { format!("{length} bytes at the end") } else { format!("{length} bytes at {start}") };
        let path = description.path().to_owned();
        let (moves, buffers) = (at.is_none(), buffers.to_vec());
        let action = Action::Transfer { description, at: start, moves, written, buffers };
        Ok(self.hold(Some(path), detail, accesses, action))
    }

    /// A read from the standard input of a process that is asked: where it has read all that it was given, and would wait for more.
    fn input(&mut self, number: i32) -> Meant {
        let feed = self.world.inputs.get(&self.caller.process).ok_or(Early::ELSEWHERE)?;
        feed.top_up().map_err(|_| Early::UNRESOLVED)?;
        let operation = feed.next().ok_or(Early::Local("there is something to read"))?;
        if is_nonblocking(self.caller.tracee, number) {
            return Err(Early::Local("it does not wait for what it is asked"));
        }
        Ok(Decision::Hold(Held { operation, action: Action::Ask }))
    }

    pub(super) fn seek(&mut self, number: i32, whence: i32) -> Meant {
        let description = self.known(number)?;
        let action = Action::Seek(Rc::clone(&description));
        match (whence, description.object()) {
            (libc::SEEK_END | libc::SEEK_DATA | libc::SEEK_HOLE, Some(object)) => {
                // Where a file ends is told by which of its positions there are.
                let accesses = vec![Access::read(whole(object))];
                Ok(self.hold(Some(description.path().to_owned()), "to the end".into(), accesses, action))
            }
            _ => Ok(Decision::Watch(action)),
        }
    }

    /// A mapping of a file: a read of its content. `cooks` does not see what is read and written through it later.
    pub(super) fn map(&mut self, protection: u64, flags: u64, number: i32) -> Meant {
        let (description, object) = self.description(number)?;
        let private = flags as i32 & libc::MAP_TYPE == libc::MAP_PRIVATE;
        let writable = !private && (protection as i32 & libc::PROT_WRITE != 0 || description.writable());
        let accesses = vec![Access::read(whole(object))];
        let action = Action::Map { object, writable };
        Ok(self.hold(Some(description.path().to_owned()), String::new(), accesses, action))
    }

    /// A copy by the kernel of at most `length` bytes from one descriptor to another; each with where the offset is that is
    /// used instead of the file's, or 0.
    pub(super) fn between(&mut self, from: (i32, u64), to: (i32, u64), length: u64) -> Meant {
        let (source, target) = (self.description(from.0).ok(), self.description(to.0).ok());
        let table = self.caller.descriptors.borrow();
        let is_end = |number| {
            table.get(number).is_some_and(|of: &Rc<Description>| of.end().is_some() || of.peer().is_some())
        };
        let is_one = is_end(from.0) || is_end(to.0);
        drop(table);
        if is_one {
            return self.refuses_streams(&[from.0, to.0]);
        }
        self.note_sent(to.0);
        let start = |of: &Description, pointer: u64| match pointer {
            0 => Ok(of.offset.get()),
            pointer => self.numbers(pointer, 1).map(|offset| offset[0]),
        };
        type Side = (Rc<Description>, ObjectId);
        let is_file = |object: ObjectId| !self.world.objects.is_directory(object);
        let may_read = |(of, object): &Side| of.readable() && is_file(*object);
        let may_write = |(of, object): &Side| of.writable() && !of.append.get() && is_file(*object);
        let may = source.as_ref().is_none_or(may_read) && target.as_ref().is_none_or(may_write);
        if !may || from.0 < 0 || to.0 < 0 {
            return Err(NOT_OPEN_FOR_IT);
        }
        let (mut accesses, mut seen, mut moved, mut why_not) = (Vec::new(), None, length, None);
        if let Some((of, object)) = &source {
            let start = start(of, from.1)?;
            let end = start.saturating_add(length);
            accesses.push(Access::read(Location::Data { object: *object, start, end }));
            let size = self.status_of_file(from.0)?.st_size.cast_unsigned();
            moved = length.min(size.saturating_sub(start));
            seen = Some((from.0, start, false));
        }
        if let Some((of, object)) = &target {
            let (read, start) = (seen, start(of, to.1)?);
            let is_same =
                source.as_ref().is_some_and(|(_, read)| read == object) && self.name == "copy_file_range";
            let overlaps = read.is_some_and(|(_, from, _)| {
                from < start.saturating_add(moved) && start < from.saturating_add(moved)
            });
            why_not = (is_same && overlaps).then_some("a copy of bytes over themselves");
            let status = self.status_of_file(to.0)?;
            let size = status.st_size.cast_unsigned();
            accesses.extend(written_to(*object, size, start, moved, of.append.get()));
            accesses.extend(self.clears_bits(*object, &status));
            seen = Some((to.0, start, true));
        }
        let path =
            |side: &Option<(Rc<Description>, ObjectId)>| side.as_ref().map(|(of, _)| of.path().to_owned());
        let (from_path, to_path) = (path(&source), path(&target));
        let action = Action::Moved { between: [from.0, to.0], seen: seen.ok_or(Early::ELSEWHERE)? };
        // Programs that copy a file to its end ask for as much as there can be.
        let words = if length > i64::MAX as u64 / 4 { "all".into() } else { format!("{length} bytes") };
        let mut decision = self.hold(from_path, words, accesses, action);
        if let Decision::Hold(held) = &mut decision {
            held.operation.call.target = to_path;
        }
        Ok(self.refused(decision, why_not))
    }

    /// Random bytes, read from a device.
    fn random(&self, buffers: &[(u64, usize)]) -> Meant {
        let (address, length) = *buffers.first().ok_or(Early::NO_BYTES)?;
        Ok(Decision::Random { address, length })
    }
}

/// How many bytes there are in all.
fn total(buffers: &[(u64, usize)]) -> u64 {
    buffers.iter().fold(0, |sum, (_, length)| sum.saturating_add(*length as u64))
}

/// An offset argument of which -1 means "the file offset".
pub(super) fn offset_of(argument: u64) -> Option<u64> {
    (argument != u64::MAX).then_some(argument)
}

/// What a write does: its bytes, and those between the old end and where it starts, which come to be zeros.
fn written_to(object: ObjectId, size: u64, start: u64, length: u64, appends: bool) -> Vec<Access> {
    if length == 0 {
        return Vec::new();
    }
    // Where an appending write goes depends on where the file ends.
    let end = if appends { u64::MAX } else { start.saturating_add(length) };
    let sized = appends.then(|| size_read(object, size));
    let data = Access::write(Location::Data { object, start: start.min(size), end });
    sized.into_iter().chain([data, Access::join(Location::Status(object))]).collect()
}
