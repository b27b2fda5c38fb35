//! Calls on what a file is: its status, mode, times; a directory's listing.

use std::rc::Rc;

use super::names::{emptied, whole};
use super::{Action, Decision, Decoder, descriptor};
use crate::model::{Access, Location, ObjectId};
use crate::tracer::paths::{Place, Spot};

impl Decoder<'_> {
    /// Of a directory, times are all that changes with its names of what programs are told. Who has never waited for time to pass
    /// sees of these changes those that it must know of anyway, and depends on no others: an interpreter looks at a directory each
    /// time it looks for a module.
    fn looks_at(&self, object: ObjectId) -> Vec<Access> {
        let status = Access::read(Location::Status(object));
        let sees_times = self.caller.has_slept || !self.world.objects.is_directory(object);
        sees_times.then_some(status).into_iter().chain([Access::read(Location::Mode(object))]).collect()
    }

    /// What setting an object's times changes.
    fn changes_times(&self, object: ObjectId) -> Vec<Access> {
        let of_directory = self.world.objects.is_directory(object);
        let mode = of_directory.then(|| Access::write(Location::Mode(object)));
        [Access::write(Location::Status(object))].into_iter().chain(mode).collect()
    }

    /// `stat` and its like by path.
    pub(super) fn status(
        &mut self,
        base: i32,
        address: u64,
        follow: bool,
        buffer: u64,
        extended: bool,
    ) -> Option<Decision> {
        let (_, resolved) = self.resolve(base, address, follow)?;
        let (more, action) = match &resolved.place {
            Place::Inside(Spot { found: Some(found), .. }) => {
                (self.looks_at(found.object), Action::Status { object: found.object, buffer, extended })
            }
            _ => (Vec::new(), Action::None),
        };
        Some(self.on_path(resolved, "", more, action))
    }

    /// The same with flags, by path or by descriptor.
    pub(super) fn status_at(
        &mut self,
        base: i32,
        address: u64,
        flags: i32,
        buffer: u64,
        extended: bool,
    ) -> Option<Decision> {
        let by_descriptor = flags & libc::AT_EMPTY_PATH != 0
            && base != libc::AT_FDCWD
            && (address == 0 || self.path(address).is_some_and(|path| path.is_empty()));
        if by_descriptor {
            return self.status_of(base, buffer, extended);
        }
        self.status(base, address, flags & libc::AT_SYMLINK_NOFOLLOW == 0, buffer, extended)
    }

    /// The same by descriptor.
    pub(super) fn status_of(&mut self, number: i32, buffer: u64, extended: bool) -> Option<Decision> {
        let (description, object) = self.description(number)?;
        let action = Action::Status { object, buffer, extended };
        let accesses = self.looks_at(object);
        Some(self.hold(Some(description.path.clone()), String::new(), accesses, action))
    }

    pub(super) fn change_mode(&mut self, base: i32, address: u64, follow: bool) -> Option<Decision> {
        let (_, resolved) = self.resolve(base, address, follow)?;
        let more = match &resolved.place {
            Place::Inside(Spot { found: Some(found), .. }) => {
                vec![Access::write(Location::Mode(found.object))]
            }
            Place::Outside(path) => {
                self.note_outside(&path.clone());
                Vec::new()
            }
            _ => Vec::new(),
        };
        Some(self.on_path(resolved, "", more, Action::None))
    }

    /// The same with flags, by path or by descriptor.
    pub(super) fn change_mode_at(&mut self, base: i32, address: u64, flags: u64) -> Option<Decision> {
        let by_descriptor = flags as i32 & libc::AT_EMPTY_PATH != 0 && base != libc::AT_FDCWD;
        if by_descriptor && self.path(address).is_none_or(|path| path.is_empty()) {
            return self.change_mode_of(base);
        }
        self.change_mode(base, address, super::follows(flags))
    }

    pub(super) fn change_mode_of(&mut self, number: i32) -> Option<Decision> {
        let (description, object) = self.description(number)?;
        let accesses = vec![Access::write(Location::Mode(object))];
        Some(self.hold(Some(description.path.clone()), String::new(), accesses, Action::None))
    }

    pub(super) fn truncate(&mut self, address: u64, size: u64) -> Option<Decision> {
        let (_, resolved) = self.resolve(libc::AT_FDCWD, address, true)?;
        let more = match &resolved.place {
            Place::Inside(Spot { found: Some(found), .. }) if size == 0 => emptied(found),
            Place::Inside(Spot { found: Some(found), .. }) => resized(found.object, found.size(), size),
            Place::Outside(path) => {
                self.note_outside(&path.clone());
                Vec::new()
            }
            _ => Vec::new(),
        };
        Some(self.on_path(resolved, &format!("to {size} bytes"), more, Action::None))
    }

    pub(super) fn truncate_of(&mut self, number: i32, size: u64) -> Option<Decision> {
        let (description, object) = self.description(number)?;
        let accesses = resized(object, self.size_of(number)?, size);
        Some(self.hold(Some(description.path.clone()), format!("to {size} bytes"), accesses, Action::None))
    }

    pub(super) fn allocate(&mut self) -> Option<Decision> {
        let (description, object) = self.description(descriptor(self.arguments[0]))?;
        let accesses = vec![Access::write(whole(object)), Access::join(Location::Status(object))];
        Some(self.hold(Some(description.path.clone()), String::new(), accesses, Action::None))
    }

    /// The size of the file that a descriptor is of, in bytes.
    pub(super) fn size_of(&self, number: i32) -> Option<u64> {
        let link = format!("/proc/{}/fd/{number}", self.caller.tracee.id());
        nix::sys::stat::stat(link.as_str()).ok().map(|status| status.st_size.cast_unsigned())
    }

    pub(super) fn set_times(&mut self, base: i32, address: u64, times: u64) -> Option<Decision> {
        if address == 0 {
            let (description, object) = self.description(base)?;
            let accesses = self.changes_times(object);
            let action = Action::SetTime { object, time: self.time_asked(object, times) };
            return Some(self.hold(Some(description.path.clone()), String::new(), accesses, action));
        }
        let (_, resolved) = self.resolve(base, address, true)?;
        let (more, action) = match &resolved.place {
            Place::Inside(Spot { found: Some(found), .. }) => (
                self.changes_times(found.object),
                Action::SetTime { object: found.object, time: self.time_asked(found.object, times) },
            ),
            Place::Outside(path) => {
                self.note_outside(&path.clone());
                (Vec::new(), Action::None)
            }
            _ => (Vec::new(), Action::None),
        };
        Some(self.on_path(resolved, "", more, action))
    }

    /// The time of modification that a call asks for, in nanoseconds since 1970; `None` for now.
    fn time_asked(&self, object: ObjectId, times: u64) -> Option<u64> {
        let numbers = self.caller.tracee.read_numbers(times, 4).ok().filter(|_| times != 0)?;
        let (seconds, fraction) = match self.name {
            "utime" => (numbers[1], 0),
            "utimensat" => (numbers[2], numbers[3]),
            _ => (numbers[2], numbers[3] * 1000),
        };
        if self.name == "utimensat" && fraction == libc::UTIME_NOW.cast_unsigned() {
            return None;
        }
        if self.name == "utimensat" && fraction == libc::UTIME_OMIT.cast_unsigned() {
            return Some(self.world.objects.time(object, |_, _| true));
        }
        seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
    }

    pub(super) fn list(&mut self) -> Option<Decision> {
        let [number, buffer, length, ..] = self.arguments;
        let (description, object) = self.description(descriptor(number))?;
        let begun = description.listing.borrow().is_some();
        let path = description.path.clone();
        let action = Action::List { description: Rc::clone(&description), buffer, length: length as usize };
        let accesses = if begun { Vec::new() } else { vec![Access::read(Location::Listing(object))] };
        Some(self.hold(Some(path), String::new(), accesses, action))
    }

    pub(super) fn sync(&mut self) -> Option<Decision> {
        let (description, _) = self.description(descriptor(self.arguments[0]))?;
        Some(self.hold(Some(description.path.clone()), String::new(), Vec::new(), Action::None))
    }
}

/// What a change of size does: the bytes between the old end and the new one come or go.
fn resized(object: ObjectId, from: u64, to: u64) -> Vec<Access> {
    let size = Access::read(Location::Data { object, start: to, end: u64::MAX });
    let changed = Location::Data { object, start: from.min(to), end: from.max(to) };
    let changed = (from != to).then(|| Access::write(changed));
    [Some(size), changed, Some(Access::join(Location::Status(object)))].into_iter().flatten().collect()
}
