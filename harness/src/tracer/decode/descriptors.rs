//! Calls on descriptors: close, copy, flags. They are local, unless they release a lock.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::names::{is_program, whole};
use super::status::flags_change;
use super::undecided::{Early, Meant};
use super::{Action, Decision, Decoder, descriptor};
use crate::model::{Access, GapKind, Location};
use crate::tracer::files::Description;
use crate::tracer::locks::Owner;

/// Commands of `ioctl` that are about a terminal and fail elsewhere: programs ask by them whether a file is one.
pub const TERMINAL: &[u32] = &[libc::TCGETS as u32, libc::TIOCGWINSZ as u32];

const CLOSE_ON_EXEC: u32 = libc::FIOCLEX as u32;
const KEEP_ON_EXEC: u32 = libc::FIONCLEX as u32;
const DO_NOT_BLOCK: u32 = libc::FIONBIO as u32;
const SIGNAL: u32 = libc::FIOASYNC as u32;
const BYTES_LEFT: u32 = libc::FIONREAD as u32;
const SIZE: u32 = libc::FIOQSIZE as u32;
const GET_FLAGS: u32 = libc::FS_IOC_GETFLAGS as u32;
const SET_FLAGS: u32 = libc::FS_IOC_SETFLAGS as u32;
const CLONE: u32 = libc::FICLONE as u32;
const CLONE_RANGE: u32 = libc::FICLONERANGE as u32;
// Those that the C library does not name: FIGETBSZ, FIDEDUPERANGE, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FIFREEZE, FITHAW.
const BLOCK_SIZE: u32 = 2;
const DEDUPE_RANGE: u32 = 0xc018_9436;
const GET_ATTRIBUTES: u32 = 0x801c_581f;
const SET_ATTRIBUTES: u32 = 0x401c_5820;
const FREEZE: u32 = 0xc004_5877;
const THAW: u32 = 0xc004_5878;

/// What a call does that releases these.
#[must_use]
pub fn released_words(released: &[Access]) -> String {
    let is_end = |access: &Access| {
        matches!(access.location, Location::Ends { .. } | Location::Stream { .. } | Location::Left(_))
    };
    let is_program = |access: &Access| matches!(access.location, Location::Writers(_));
    let runs = |access: &Access| matches!(access.location, Location::Runners(_));
    match () {
        () if released.iter().all(is_end) => "closes its end",
        () if released.iter().all(is_program) => "no longer writes the program",
        () if released.iter().all(runs) => "no longer runs the program",
        () => "releases the lock",
    }
    .to_owned()
}

impl Decoder<'_> {
    pub(super) fn close_range(&mut self, first: u64, last: u64, flags: u32) -> Meant {
        let (first, last) = (descriptor(first).max(0), i32::try_from(last as u32).unwrap_or(i32::MAX));
        let numbers = self.caller.descriptors.borrow().numbers_in(first, last);
        let closes = flags & libc::CLOSE_RANGE_CLOEXEC == 0;
        let shared = Rc::strong_count(self.caller.descriptors) > 1;
        if flags & libc::CLOSE_RANGE_UNSHARE != 0 && shared {
            // The others keep theirs open, so that nothing is released.
            return Ok(Decision::Watch(Action::OwnDescriptors { numbers, closes }));
        }
        if closes {
            return Ok(self.close(numbers));
        }
        for number in numbers {
            self.caller.descriptors.borrow_mut().set_close_on_exec(number, true);
        }
        Ok(Decision::Pass)
    }

    pub(super) fn dup2(&mut self, from: i32, onto: i32) -> Meant {
        if from == onto {
            return Err(Early::Local("a descriptor that is copied onto itself stays as it is"));
        }
        Ok(self.copy(from, Some(onto), false))
    }

    /// What closing these descriptors releases.
    pub(super) fn releases(&self, numbers: &[i32], with_posix: bool) -> Vec<Access> {
        let table = self.caller.descriptors.borrow();
        let last = table.last_references(numbers);
        let mut accesses: Vec<Access> = last
            .iter()
            .flat_map(|description| {
                let locks =
                    self.world.locks.accesses_of_release(Owner::Description(description.number), None);
                [locks, self.world.streams.closing_of(description)].concat()
            })
            .collect();
        accesses.extend(self.programs_written(numbers, &last));
        if with_posix {
            let group = Owner::Process(self.caller.group.as_raw());
            let locked = numbers.iter().filter_map(|number| table.get(*number)?.with_posix_locks());
            for object in locked {
                accesses.extend(self.world.locks.accesses_of_release(group, Some(object)));
            }
        }
        accesses
    }

    /// The programs that nobody writes any more by a description when these descriptors are closed, the last of these descriptions.
    fn programs_written(&self, numbers: &[i32], last: &[Rc<Description>]) -> Vec<Access> {
        let table = self.caller.descriptors.borrow();
        let written = |number: &i32| {
            let description = table.get(*number)?;
            let is_last = last.iter().any(|last| Rc::ptr_eq(last, description));
            let object = description.object().filter(|_| is_last && description.writable())?;
            let is_one = self.file_status(*number).is_ok_and(|status| is_program(&status));
            is_one.then(|| Access::join(Location::Writers(object)))
        };
        let written: BTreeSet<Access> = numbers.iter().filter_map(written).collect();
        written.into_iter().collect()
    }

    pub(super) fn close(&mut self, numbers: Vec<i32>) -> Decision {
        let released = self.releases(&numbers, true);
        let path = numbers
            .iter()
            .find_map(|number| self.caller.descriptors.borrow().get(*number).map(|of| of.path().to_owned()));
        if path.is_none() {
            return Decision::Pass;
        }
        if released.is_empty() {
            return Decision::Close(numbers);
        }
        self.hold(path, released_words(&released), released, Action::Close(numbers))
    }

    /// A copy, onto a given number where there is one: what that led to is closed.
    pub(super) fn copy(&mut self, from: i32, onto: Option<i32>, close_on_exec: bool) -> Decision {
        // Nobody else may hold the descriptions here: what is released is told by who does.
        let path_of =
            |number: i32| self.caller.descriptors.borrow().get(number).map(|of| of.path().to_owned());
        let (source, replaced) = (path_of(from), onto.and_then(path_of));
        if source.is_none() && replaced.is_none() {
            return Decision::Pass;
        }
        let action = Action::Copy { from, close_on_exec };
        let released = onto.map_or_else(Vec::new, |onto| self.releases(&[onto], true));
        match replaced {
            Some(path) if !released.is_empty() => {
                self.hold(Some(path), released_words(&released), released, action)
            }
            _ => Decision::Watch(action),
        }
    }

    pub(super) fn control(&mut self) -> Meant {
        let [number, command, argument, ..] = self.arguments;
        let number = descriptor(number);
        let description = self.known(number)?;
        match command as i32 {
            libc::F_DUPFD => Ok(Decision::Watch(Action::Copy { from: number, close_on_exec: false })),
            libc::F_DUPFD_CLOEXEC => Ok(Decision::Watch(Action::Copy { from: number, close_on_exec: true })),
            libc::F_SETFD => {
                let close = argument as i32 & libc::FD_CLOEXEC != 0;
                Ok(Decision::Watch(Action::CloseOnExec { descriptor: number, close }))
            }
            libc::F_SETFL => {
                let appends = argument as i32 & libc::O_APPEND != 0;
                if let Some(object) = description.object().filter(|_| description.append.get() != appends) {
                    // The kernel refuses this for a file that may only be appended to.
                    let path = Some(description.path().to_owned());
                    let words = if appends { "appends" } else { "no longer appends" };
                    let accesses = vec![Access::read(Location::Mode(object))];
                    return Ok(self.hold(path, words.into(), accesses, Action::Append(description, appends)));
                }
                Ok(Decision::Pass)
            }
            libc::F_SETPIPE_SZ => {
                self.note(GapKind::Pipe, "the size of a FIFO of the workspace (F_SETPIPE_SZ)");
                Ok(Decision::Pass)
            }
            libc::F_SETLEASE | libc::F_NOTIFY => {
                self.note(GapKind::FileWatch, "leases and directory notifications");
                Ok(Decision::Pass)
            }
            _ => self.record_lock(),
        }
    }

    /// `ioctl`. The file system of the workspace refuses most of them; one that it takes and that is not known ends the
    /// exploration.
    pub(super) fn device(&mut self, number: i32, command: u32, argument: u64) -> Meant {
        if command == BYTES_LEFT
            && let Ok(looks) = self.watches(&[number])
        {
            return Ok(looks);
        }
        let (description, object) = self.description(number)?;
        let accesses = match command {
            CLOSE_ON_EXEC | KEEP_ON_EXEC => {
                let close = command == CLOSE_ON_EXEC;
                return Ok(Decision::Watch(Action::CloseOnExec { descriptor: number, close }));
            }
            DO_NOT_BLOCK | SIGNAL | BLOCK_SIZE => {
                return Err(Early::Local("it concerns the descriptor alone"));
            }
            BYTES_LEFT | SIZE | DEDUPE_RANGE => vec![Access::read(whole(object))],
            GET_FLAGS | GET_ATTRIBUTES => vec![Access::read(Location::Mode(object))],
            SET_FLAGS | SET_ATTRIBUTES => flags_change(object),
            CLONE => return self.between((descriptor(argument), 0), (number, 0), u64::MAX),
            CLONE_RANGE => {
                let source = self.numbers(argument, 1)?[0];
                return self.between((descriptor(source), 0), (number, 0), u64::MAX);
            }
            FREEZE | THAW => {
                return Ok(Decision::Answer { result: -i64::from(libc::EPERM), memory: Vec::new() });
            }
            _ => return Ok(self.unknown(format!("ioctl {command:#x} on {}", description.path()))),
        };
        Ok(self.hold(Some(description.path().to_owned()), format!("{command:#x}"), accesses, Action::None))
    }
}
