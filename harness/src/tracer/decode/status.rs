//! Calls on what a file is: its status, mode, times; a directory's listing.

use std::rc::Rc;

use nix::sys::stat::FileStat;

use super::failing::NOT_WRITABLE;
use super::names::{emptied, is_program, whole};
use super::undecided::{Early, Meant};
use super::{Action, Decision, Decoder};
use crate::model::{Access, AccessKind, Location, ObjectId, Way};
use crate::tracer::files::{Description, What};
use crate::tracer::paths::{Found, Place, Spot};

/// The modes of `fallocate` that Linux 6.18 has.
const ALLOCATIONS: i32 = 0xfb;
/// Those that put zeros where there was something.
const EMPTYING: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE | WRITE_ZEROES;
const WRITE_ZEROES: i32 = 0x80;

/// The time of modification that a call asks for.
#[derive(Clone, Copy)]
enum Asked {
    /// As it is.
    Leave,
    /// That of the call.
    Now,
    /// In nanoseconds since 1970.
    At(u64),
}

fn allocation_words(mode: i32) -> &'static str {
    match mode {
        mode if mode & libc::FALLOC_FL_COLLAPSE_RANGE != 0 => " taken out",
        mode if mode & libc::FALLOC_FL_INSERT_RANGE != 0 => " put in",
        mode if mode & EMPTYING != 0 => " made zeros",
        mode if mode & libc::FALLOC_FL_KEEP_SIZE != 0 => ", same size",
        _ => "",
    }
}

/// What a call on an extended attribute touches.
fn attribute(object: ObjectId, with_mode: bool, changes: bool) -> Vec<Access> {
    let locations = [Some(Location::Attributes(object)), with_mode.then_some(Location::Mode(object))];
    let kind = if changes { AccessKind::Write } else { AccessKind::Read };
    locations.into_iter().flatten().map(|location| Access { location, kind }).collect()
}

/// The bits of set-user-ID and set-group-ID.
const BITS: u32 = libc::S_ISUID | libc::S_ISGID;

/// What setting the mode or owner of an object with this mode does. A mode that it has already changes nothing, but would have, had
/// somebody set another one before. (Bits that the kernel may drop, those of set-user-ID and set-group-ID, are left out of this.)
///
/// A write by an ordinary user clears such bits of a file, and so writes the mode of a file that has some. So a call that sets the first of
/// them changes what every later write touches.
fn mode_change(object: ObjectId, mode: u32, to: Option<u64>) -> Vec<Access> {
    let sets_bits = to.is_some_and(|to| to & u64::from(BITS) != 0);
    let same = to.is_some_and(|to| (to ^ u64::from(mode)) & 0o7777 == 0) && !sets_bits;
    if same {
        return vec![Access::read(Location::Mode(object))];
    }
    let first = sets_bits && mode & BITS == 0 && mode & libc::S_IFMT == libc::S_IFREG;
    let written = first.then(|| Access::write(Location::Status(object)));
    [Access::write(Location::Mode(object))].into_iter().chain(written).collect()
}

/// What setting the flags of an object does. From then on the kernel may refuse a change of it, even to a process that has it open.
pub(super) fn flags_change(object: ObjectId) -> Vec<Access> {
    let of = [Location::Mode(object), Location::Status(object), Location::Attributes(object), whole(object)];
    of.map(Access::write).into()
}

impl Decoder<'_> {
    /// Of a directory, times are all that changes with its names of what programs are told. Who has never waited for time to pass
    /// sees of these changes those that it must know of anyway, and depends on no others: an interpreter looks at a directory each
    /// time it looks for a module.
    ///
    /// The same holds for the times of a FIFO, which a write into it changes: an interpreter looks at the status of whatever it opens.
    fn looks_at(&self, object: ObjectId, is_fifo: bool) -> Vec<Access> {
        let status = Access::read(Location::Status(object));
        let sees_times = self.caller.has_slept || !self.world.objects.is_directory(object);
        let written = (is_fifo && self.caller.has_slept).then(|| Access::read(through(object)));
        let status = sees_times.then_some(status);
        status.into_iter().chain([Access::read(Location::Mode(object))]).chain(written).collect()
    }

    /// What setting an object's times changes.
    fn changes_times(&self, object: ObjectId, is_fifo: bool) -> Vec<Access> {
        let of_directory = self.world.objects.is_directory(object);
        let mode = of_directory.then(|| Access::write(Location::Mode(object)));
        let written = is_fifo.then(|| Access::write(through(object)));
        [Access::write(Location::Status(object))].into_iter().chain(mode).chain(written).collect()
    }

    /// Whether what a descriptor is of is a FIFO.
    fn is_fifo(&self, number: i32, description: &Description) -> Result<bool, Early> {
        match description.what {
            What::Fifo(_) => Ok(true),
            _ => Ok(self.file_status(number)?.st_mode & libc::S_IFMT == libc::S_IFIFO),
        }
    }

    /// `stat` and its like, by path or by descriptor.
    pub(super) fn status_at(
        &mut self,
        base: i32,
        address: u64,
        flags: u64,
        buffer: u64,
        extended: bool,
    ) -> Meant {
        if self.is_itself(base, address, flags) {
            return self.status_of(base, buffer, extended);
        }
        let mut resolved = self.resolve_at(base, address, flags)?;
        // Each layer counts its own links.
        if matches!(&resolved.place, Place::Inside(Spot { found: Some(found), .. }) if found.status.st_nlink > 1)
        {
            resolved = self.used(resolved);
        }
        let (more, action) = match &resolved.place {
            Place::Inside(Spot { found: Some(found), .. }) => {
                let is_fifo = found.kind() == libc::S_IFIFO;
                (
                    self.looks_at(found.object, is_fifo),
                    Action::Status { object: found.object, buffer, extended },
                )
            }
            _ => (Vec::new(), Action::None),
        };
        Ok(self.on_path(resolved, "", more, action))
    }

    /// The same by descriptor.
    pub(super) fn status_of(&mut self, number: i32, buffer: u64, extended: bool) -> Meant {
        let (description, object) = self.description(number)?;
        let action = Action::Status { object, buffer, extended };
        let is_fifo = self.caller.has_slept && self.is_fifo(number, &description)?;
        let accesses = self.looks_at(object, is_fifo);
        Ok(self.hold(Some(description.path().to_owned()), String::new(), accesses, action))
    }

    /// A change of mode or owner, by path or by descriptor: to this mode, where it is a mode.
    pub(super) fn change_mode_at(&mut self, base: i32, address: u64, flags: u64, mode: Option<u64>) -> Meant {
        if self.is_itself(base, address, flags) {
            return self.change_mode_of(base, mode);
        }
        self.change(base, address, flags, |found| mode_change(found.object, found.status.st_mode, mode))
    }

    /// The same by descriptor.
    pub(super) fn change_mode_of(&mut self, number: i32, mode: Option<u64>) -> Meant {
        let (description, object) = self.description(number)?;
        let accesses = mode_change(object, self.file_status(number)?.st_mode, mode);
        Ok(self.hold(Some(description.path().to_owned()), String::new(), accesses, Action::None))
    }

    /// `file_setattr`: sets flags, by path or by descriptor.
    pub(super) fn change_flags_at(&mut self, base: i32, address: u64, flags: u64) -> Meant {
        if self.is_itself(base, address, flags) {
            let (description, object) = self.description(base)?;
            let path = Some(description.path().to_owned());
            return Ok(self.hold(path, String::new(), flags_change(object), Action::None));
        }
        self.change(base, address, flags, |found| flags_change(found.object))
    }

    /// A change of something about what a path leads to.
    fn change(
        &mut self,
        base: i32,
        address: u64,
        flags: u64,
        accesses: impl Fn(&Found) -> Vec<Access>,
    ) -> Meant {
        let resolved = self.resolve_at(base, address, flags)?;
        let resolved = self.used(resolved);
        let more = match &resolved.place {
            Place::Inside(Spot { found: Some(found), .. }) => accesses(found),
            Place::Outside(path) => {
                self.note_outside(&path.clone());
                Vec::new()
            }
            _ => Vec::new(),
        };
        Ok(self.on_path(resolved, "", more, Action::None))
    }

    /// Calls on extended attributes, by path or by descriptor. `name`: where the attribute's name is; 0: of all.
    pub(super) fn attribute_at(
        &mut self,
        base: i32,
        address: u64,
        flags: u64,
        name: u64,
        changes: bool,
    ) -> Meant {
        if self.is_itself(base, address, flags) {
            return self.attribute_of(base, name, changes);
        }
        let with_mode = self.goes_with_mode(name);
        if changes {
            let decision = self.change(base, address, flags, |found| {
                let permitted = (!with_mode).then(|| Access::read(Location::Mode(found.object)));
                permitted.into_iter().chain(attribute(found.object, with_mode, true)).collect()
            })?;
            let path = match &decision {
                Decision::Hold(held) => held.operation.call.path.as_deref(),
                _ => None,
            };
            let at = path.and_then(|path| self.world.paths.in_workspace(path));
            let why_not = at.and_then(|at| self.why_not_attribute(&at, false, name));
            Ok(self.refused(decision, why_not))
        } else {
            let resolved = self.resolve_at(base, address, flags)?;
            let more = match &resolved.place {
                Place::Inside(Spot { found: Some(found), .. }) => {
                    // A mode may forbid to read attributes of users.
                    let checked = self.world.rights.are_checked(self.caller.process);
                    attribute(found.object, with_mode || checked, false)
                }
                _ => Vec::new(),
            };
            Ok(self.on_path(resolved, "", more, Action::None))
        }
    }

    /// The same by descriptor.
    pub(super) fn attribute_of(&mut self, number: i32, name: u64, changes: bool) -> Meant {
        let (description, object) = self.description(number)?;
        let with_mode = self.goes_with_mode(name);
        // The mode may forbid it, even by a descriptor.
        let checked = self.world.rights.are_checked(self.caller.process);
        let permitted = (!with_mode && (changes || checked)).then(|| Access::read(Location::Mode(object)));
        let accesses = permitted.into_iter().chain(attribute(object, with_mode, changes)).collect();
        let decision = self.hold(Some(description.path().to_owned()), String::new(), accesses, Action::None);
        let at = format!("/proc/{}/fd/{number}", self.caller.tracee.id());
        Ok(self.refused(decision, changes.then(|| self.why_not_attribute(&at, true, name)).flatten()))
    }

    /// Whether an attribute has to do with the mode: access control lists have, and the list of all attributes.
    fn goes_with_mode(&self, name: u64) -> bool {
        name == 0 || !self.path(name).is_ok_and(|name| name.starts_with("user."))
    }

    /// The free space of a file system: of the workspace, a fixed answer.
    pub(super) fn space_at(&mut self, address: u64, buffer: u64) -> Meant {
        let resolved = self.resolve(libc::AT_FDCWD, address, true)?;
        let inside = matches!(resolved.place, Place::Inside(Spot { found: Some(_), .. }));
        let action = if inside { Action::Space(buffer) } else { Action::None };
        Ok(self.on_path(resolved, "", Vec::new(), action))
    }

    /// The same by descriptor.
    pub(super) fn space_of(&mut self, number: i32, buffer: u64) -> Meant {
        self.description(number)?;
        Ok(Decision::Watch(Action::Space(buffer)))
    }

    pub(super) fn truncate(&mut self, address: u64, size: u64) -> Meant {
        let resolved = self.resolve(libc::AT_FDCWD, address, true)?;
        let resolved = self.used(resolved);
        let mut why_not = None;
        let more = match &resolved.place {
            Place::Inside(Spot { found: Some(found), .. }) => {
                let changed =
                    if size == 0 { emptied(found) } else { resized(found.object, found.size(), size) };
                let is_file = found.kind() == libc::S_IFREG;
                why_not = (!is_file).then_some("a truncation of what is no file");
                let mut looks = vec![Access::read(Location::Mode(found.object))];
                if is_program(&found.status) {
                    looks.push(Access::read(Location::Runners(found.object)));
                }
                let bits = self.clears_bits(found.object, &found.status);
                looks.into_iter().chain(changed).chain(bits).collect()
            }
            Place::Outside(path) => {
                self.note_outside(&path.clone());
                Vec::new()
            }
            _ => Vec::new(),
        };
        let decision = self.on_path(resolved, &format!("to {size} bytes"), more, Action::None);
        Ok(self.refused(decision, why_not))
    }

    pub(super) fn truncate_of(&mut self, number: i32, size: u64) -> Meant {
        let (description, object) = self.description(number)?;
        if !description.writable() {
            return Err(NOT_WRITABLE);
        }
        let status = self.status_of_file(number)?;
        let resized = resized(object, status.st_size.cast_unsigned(), size);
        let accesses = resized.into_iter().chain(self.clears_bits(object, &status)).collect();
        Ok(self.hold(Some(description.path().to_owned()), format!("to {size} bytes"), accesses, Action::None))
    }

    pub(super) fn allocate(&mut self, number: i32, mode: i32, start: u64, length: u64) -> Meant {
        let (description, object) = self.description(number)?;
        if mode & !ALLOCATIONS != 0 {
            return Ok(self.unknown(format!("fallocate with mode {mode:#x}")));
        }
        if !description.writable() {
            return Err(NOT_WRITABLE);
        }
        let status = self.status_of_file(number)?;
        let size = status.st_size.cast_unsigned();
        let end = start.saturating_add(length);
        let mut accesses = Vec::new();
        let moves = mode & (libc::FALLOC_FL_COLLAPSE_RANGE | libc::FALLOC_FL_INSERT_RANGE) != 0;
        if moves || mode & EMPTYING != 0 {
            accesses.push(Access::write(Location::Data {
                object,
                start,
                end: if moves { u64::MAX } else { end },
            }));
        }
        if end <= size {
            // It would have reached beyond the end, had the file been shorter.
            accesses.push(Access::read(Location::Data { object, start: end.saturating_sub(1), end }));
        } else if mode & libc::FALLOC_FL_KEEP_SIZE == 0 {
            accesses.extend(resized(object, size, end));
        } else {
            // What it allocates beyond the end is given back when the file is emptied, or made to end where it does.
            accesses.push(Access::write(Location::Data { object, start: size, end: u64::MAX }));
        }
        accesses.push(Access::join(Location::Status(object)));
        accesses.extend(self.clears_bits(object, &status));
        let words = format!("{length} bytes at {start}{}", allocation_words(mode));
        Ok(self.hold(Some(description.path().to_owned()), words, accesses, Action::None))
    }

    /// How a change of its content changes the mode of a file with this status: the bits of set-user-ID and set-group-ID are cleared.
    pub(super) fn clears_bits(&self, object: ObjectId, status: &FileStat) -> Option<Access> {
        let is_file = status.st_mode & libc::S_IFMT == libc::S_IFREG;
        let clears =
            is_file && status.st_mode & BITS != 0 && self.world.rights.are_checked(self.caller.process);
        clears.then(|| Access::write(Location::Mode(object)))
    }

    /// The same as `file_status`, but cheaper: for calls that are made again and again.
    pub(super) fn status_of_file(&self, number: i32) -> Result<FileStat, Early> {
        let by_path = || {
            // By the path that it was opened by, where the same object still stands there: cheaper than by way of the task.
            let (description, object) = self.description(number).ok()?;
            let status = self.world.paths.status(description.path()).ok()?;
            self.world.objects.is_at(object, description.path(), &status).then_some(status)
        };
        by_path().map_or_else(|| self.file_status(number), Ok)
    }

    /// What the file system says of the file that a descriptor is of.
    pub(super) fn file_status(&self, number: i32) -> Result<FileStat, Early> {
        let link = format!("/proc/{}/fd/{number}", self.caller.tracee.id());
        nix::sys::stat::stat(link.as_str()).map_err(|_| Early::UNRESOLVED)
    }

    pub(super) fn set_times(&mut self, base: i32, address: u64, flags: u64, times: u64) -> Meant {
        let time = self.time_asked(times)?;
        let set = |object| match time {
            Asked::Leave => Action::None,
            Asked::Now => Action::SetTime { object, time: None },
            Asked::At(time) => Action::SetTime { object, time: Some(time) },
        };
        if (address == 0 && base != libc::AT_FDCWD) || self.is_itself(base, address, flags) {
            let (description, object) = self.description(base)?;
            let path = Some(description.path().to_owned());
            let changed = self.changes_times(object, self.is_fifo(base, &description)?);
            return Ok(self.hold(path, String::new(), changed, set(object)));
        }
        let resolved = self.resolve_at(base, address, flags)?;
        let resolved = self.used(resolved);
        let (more, action) = match &resolved.place {
            Place::Inside(Spot { found: Some(found), .. }) => {
                let permitted = Access::read(Location::Mode(found.object));
                let changed = self.changes_times(found.object, found.kind() == libc::S_IFIFO);
                ([vec![permitted], changed].concat(), set(found.object))
            }
            Place::Outside(path) => {
                self.note_outside(&path.clone());
                (Vec::new(), Action::None)
            }
            _ => (Vec::new(), Action::None),
        };
        Ok(self.on_path(resolved, "", more, action))
    }

    /// The time of modification that a call asks for.
    fn time_asked(&self, times: u64) -> Result<Asked, Early> {
        if times == 0 {
            return Ok(Asked::Now);
        }
        let numbers = self.numbers(times, if self.name == "utime" { 2 } else { 4 })?;
        let (seconds, fraction) = match self.name {
            "utime" => (numbers[1], 0),
            "utimensat" => (numbers[2], numbers[3]),
            _ => (numbers[2], numbers[3].saturating_mul(1000)),
        };
        Ok(match fraction.cast_signed() {
            libc::UTIME_NOW => Asked::Now,
            libc::UTIME_OMIT => Asked::Leave,
            // A time before 1970 counts as 1970.
            _ if seconds.cast_signed() < 0 => Asked::At(0),
            _ => Asked::At(seconds.saturating_mul(1_000_000_000).saturating_add(fraction)),
        })
    }

    /// A directory's entries; `old`: in the layout of `getdents`.
    pub(super) fn list(&mut self, number: i32, buffer: u64, length: u64, old: bool) -> Meant {
        let (description, object) = self.description(number)?;
        let path = description.path().to_owned();
        let action =
            Action::List { description: Rc::clone(&description), buffer, length: length as usize, old };
        if !self.world.objects.is_directory(object) {
            return Err(Early::refused("a listing of what is no directory"));
        }
        // By its mode it is known whether it was removed.
        let removed = Access::read(Location::Mode(object));
        let names = (!description.listed_all.get()).then(|| Access::read(Location::Listing(object)));
        let accesses = [removed].into_iter().chain(names).collect();
        Ok(self.hold(Some(path), String::new(), accesses, action))
    }

    pub(super) fn sync(&mut self, number: i32) -> Meant {
        let (description, _) = self.description(number)?;
        Ok(self.hold(Some(description.path().to_owned()), String::new(), Vec::new(), Action::None))
    }
}

/// All that goes through a FIFO.
fn through(fifo: ObjectId) -> Location {
    Location::stream(fifo, Way::There)
}

/// All positions of a file from this one on.
fn from_on(object: ObjectId, start: u64) -> Location {
    Location::Data { object, start, end: u64::MAX }
}

/// A look at the size of a file: its last position is there, and none behind it.
pub(super) fn size_read(object: ObjectId, size: u64) -> Access {
    Access::read(from_on(object, size.saturating_sub(1)))
}

/// What a change of size does: the bytes between the old end and the new one come or go.
fn resized(object: ObjectId, from: u64, to: u64) -> Vec<Access> {
    // A size that stays the same was looked at all the same: a smaller one would have grown.
    let size = if from == to { size_read(object, to) } else { Access::read(from_on(object, to)) };
    let changed = Location::Data { object, start: from.min(to), end: from.max(to) };
    let changed = (from != to).then(|| Access::write(changed));
    [Some(size), changed, Some(Access::join(Location::Status(object)))].into_iter().flatten().collect()
}
