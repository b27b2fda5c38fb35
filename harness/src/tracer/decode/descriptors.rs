//! Calls on descriptors: close, copy, flags. They are local, unless they release a lock.

use std::rc::Rc;

use syscalls::Sysno;

use super::{Action, Decision, Decoder, descriptor};
use crate::model::Access;
use crate::tracer::locks::Owner;

impl Decoder<'_> {
    pub(super) fn descriptor_call(&mut self, call: Sysno) -> Option<Decision> {
        let [a, b, c, ..] = self.arguments;
        match call {
            Sysno::close => Some(self.close(vec![descriptor(a)])),
            Sysno::close_range => {
                let (first, last) = (descriptor(a).max(0), i32::try_from(b as u32).unwrap_or(i32::MAX));
                let numbers = self.caller.descriptors.borrow().numbers_in(first, last);
                if c as u32 & libc::CLOSE_RANGE_CLOEXEC == 0 {
                    return Some(self.close(numbers));
                }
                for number in numbers {
                    self.caller.descriptors.borrow_mut().set_close_on_exec(number, true);
                }
                Some(Decision::Pass)
            }
            Sysno::dup => Some(self.copy(descriptor(a), None, false)),
            Sysno::dup2 if a == b => Some(Decision::Pass),
            Sysno::dup2 => Some(self.copy(descriptor(a), Some(descriptor(b)), false)),
            Sysno::dup3 => {
                Some(self.copy(descriptor(a), Some(descriptor(b)), c as i32 & libc::O_CLOEXEC != 0))
            }
            _ => Some(Decision::Pass),
        }
    }

    /// What closing these descriptors releases.
    pub(super) fn releases(&self, numbers: &[i32], with_posix: bool) -> Vec<Access> {
        let table = self.caller.descriptors.borrow();
        let last = table.last_references(numbers);
        let mut accesses: Vec<Access> = last
            .iter()
            .flat_map(|description| {
                self.world.locks.accesses_of_release(Owner::Description(description.number), None)
            })
            .collect();
        if with_posix {
            let group = Owner::Process(self.caller.group.as_raw());
            for object in numbers.iter().filter_map(|number| table.get(*number)?.object()) {
                accesses.extend(self.world.locks.accesses_of_release(group, Some(object)));
            }
        }
        accesses
    }

    fn close(&mut self, numbers: Vec<i32>) -> Decision {
        let released = self.releases(&numbers, true);
        let path = numbers
            .iter()
            .find_map(|number| self.caller.descriptors.borrow().get(*number).map(|of| of.path.clone()));
        if path.is_none() {
            return Decision::Pass;
        }
        if released.is_empty() {
            return Decision::Close(numbers);
        }
        self.hold(path, "releases the lock".into(), released, Action::Close(numbers))
    }

    /// A copy, onto a given number where there is one: what that led to is closed.
    fn copy(&mut self, from: i32, onto: Option<i32>, close_on_exec: bool) -> Decision {
        let known = |number: i32| self.caller.descriptors.borrow().get(number).map(Rc::clone);
        let (source, replaced) = (known(from), onto.and_then(known));
        if source.is_none() && replaced.is_none() {
            return Decision::Pass;
        }
        let action = Action::Copy { from, close_on_exec };
        let released = onto.map_or_else(Vec::new, |onto| self.releases(&[onto], true));
        match replaced {
            Some(replaced) if !released.is_empty() => {
                self.hold(Some(replaced.path.clone()), "releases the lock".into(), released, action)
            }
            _ => Decision::Watch(action),
        }
    }

    pub(super) fn control(&mut self) -> Option<Decision> {
        let [number, command, argument, ..] = self.arguments;
        let number = descriptor(number);
        self.caller.descriptors.borrow().get(number)?;
        match command as i32 {
            libc::F_DUPFD => Some(Decision::Watch(Action::Copy { from: number, close_on_exec: false })),
            libc::F_DUPFD_CLOEXEC => {
                Some(Decision::Watch(Action::Copy { from: number, close_on_exec: true }))
            }
            libc::F_SETFD => {
                let close = argument as i32 & libc::FD_CLOEXEC != 0;
                Some(Decision::Watch(Action::CloseOnExec { descriptor: number, close }))
            }
            libc::F_SETFL => {
                let table = self.caller.descriptors.borrow();
                table.get(number)?.append.set(argument as i32 & libc::O_APPEND != 0);
                Some(Decision::Pass)
            }
            libc::F_SETLEASE | libc::F_NOTIFY => {
                self.note("leases and directory notifications".into());
                Some(Decision::Pass)
            }
            _ => Some(self.record_lock().unwrap_or(Decision::Pass)),
        }
    }
}
