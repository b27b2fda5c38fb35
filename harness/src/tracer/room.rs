//! Calls that write into a connection or send a datagram, and have to wait for room; and writes that are made in parts.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, getsockopt, send, sockopt};

use super::arch::name_of;
use super::decode::{Action, Held};
use super::execution::Running;
use super::messages::is_full_of_own;
use super::sockets::{Kind, Socket};
use super::streams::{End, Streams};
use super::task::{Name, Parts, State};
use super::tracee::Registers;
use super::{TraceError, sys};
use crate::model::{Access, Call, Event, Location};

impl Running<'_> {
    /// Writes into a connection, or sends a datagram. What does not fit goes when something was taken: of one buffer in parts, of which
    /// its program sees nothing.
    pub(super) fn try_to_send(
        &mut self,
        name: &Name,
        held: &Held,
        entry: Registers,
    ) -> Result<Option<Event>, TraceError> {
        if self.task(name)?.parts.is_some()
            && let Some(error) = self.is_gone(name, entry)?
        {
            self.skip(name, entry, -i64::from(error))?;
            return Ok(None);
        }
        if self.run_into_call(name)?.is_some() {
            return Ok(None);
        }
        let Some(registers) = self.take_out(name)? else {
            return self.await_room(name, held, entry).map(Some);
        };
        let result = registers.result();
        let is_alone = ["write", "sendto"].contains(&name_of(entry.call()));
        if !is_alone || result <= 0 {
            self.note_unexpected_wait(name.process, entry.call());
            return Ok(None);
        }
        let mut operation = held.operation.clone();
        self.count_what_went_through(name, &mut operation, (&held.action, result))?;
        self.have_rest_written(name, entry, result.unsigned_abs())?;
        Ok(Some(self.done(name, operation, result, None)))
    }

    /// Holds a task that sleeps in a call for want of room, until there may be some.
    fn await_room(&mut self, name: &Name, held: &Held, entry: Registers) -> Result<Event, TraceError> {
        let task = self.task(name)?;
        task.tracee.back_to(&entry)?;
        let entry = task.tracee.registers()?;
        let mut operation = held.operation.clone();
        let (end, is_odd, at, action) = match &held.action {
            Action::Through { end, fits, .. } => (*end, *fits, Call::THROUGH_SOCKET, Action::AwaitRoom),
            Action::Post { by, to, length, fits, .. } => {
                let is_odd = *fits || is_full_of_own(by, *length);
                (End::Listener(*to), is_odd, Call::AT_SOCKET, Action::Await)
            }
            _ => return Err(TraceError::Lost(format!("task {name} does not wait for room"))),
        };
        self.note_full(name.process, is_odd);
        if is_odd {
            operation.accesses.push(Access::read(end.stream(true)));
        }
        if let End::Connection(object, own) = end {
            // A thread of its own process may shut it.
            operation.accesses.push(Access::read(Location::Ends { object, way: own }));
            self.task(name)?.parts.get_or_insert(Parts { entry, moved: 0 });
        }
        let call = Call { detail: format!("{} {at}", Call::WAITS_FOR_ROOM), ..operation.call.clone() };
        self.hold_for_change(name, call, &mut operation, action, entry)?;
        if let (Action::Post { to, .. }, State::Held { held, .. }) =
            (&held.action, &mut self.task(name)?.state)
        {
            // It wakes when something is taken there, or it is closed (`unix_wait_for_peer`, net/unix/af_unix.c): whether it takes
            // anything of this sender is seen only then.
            held.operation.accesses.retain(|access| access.location != Streams::senders(*to));
        }
        Ok(self.done(name, operation, -i64::from(libc::EAGAIN), None))
    }

    /// A write into a connection that waits for room: where there is none yet that the kernel would wake it for, it waits on; where there is
    /// nobody to write to any more, it is over.
    pub(super) fn go_on_where_there_is_room(
        &mut self,
        name: &Name,
        held: &Held,
        entry: Registers,
    ) -> Result<Event, TraceError> {
        let mut operation = held.operation.clone();
        if let Some(error) = self.is_gone(name, entry)? {
            let result = self.skip(name, entry, -i64::from(error))?;
            self.end_parts(name, result)?;
            self.task(name)?.state = State::Ready;
            return Ok(self.done(name, operation, result, None));
        }
        let socket = self.socket_of(name, entry)?;
        let size = getsockopt(&socket, sockopt::SndBuf).map_err(io::Error::from)?;
        // `unix_writable`, net/unix/af_unix.c.
        if sys::unsent(&socket)? * 4 > size as u64 {
            let call = operation.call.clone();
            self.hold_for_change(name, call, &mut operation, Action::AwaitRoom, entry)?;
            return Ok(self.done(name, operation, -i64::from(libc::EAGAIN), None));
        }
        let mut registers = entry;
        registers.back_before();
        let task = self.task(name)?;
        task.tracee.set_registers(registers)?;
        task.state = State::Ready;
        Ok(self.done(name, operation, 0, None))
    }

    /// Where a write of bytes that has begun has nobody to write to any more: its error. In the kernel it stands where that is seen, and
    /// no signal comes of it; from its entry it would be (`unix_stream_sendmsg` and `sock_alloc_send_pskb`).
    fn is_gone(&mut self, name: &Name, entry: Registers) -> Result<Option<i32>, TraceError> {
        let number = entry.arguments()[0] as i32;
        let is_of_bytes = |socket: &Socket| socket.kind == Kind::Bytes;
        let table = self.tasks[name].descriptors.borrow();
        let is_one = table.get(number).and_then(|of| of.socket()).is_some_and(is_of_bytes);
        drop(table);
        if !is_one {
            return Ok(None);
        }
        let socket = self.socket_of(name, entry)?;
        // Nothing is written, but for the look at whether it could be.
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        if send(socket.as_raw_fd(), &[], flags) != Err(Errno::EPIPE) {
            return Ok(None);
        }
        let error = getsockopt(&socket, sockopt::SocketError).map_err(io::Error::from)?;
        Ok(Some(if error == 0 { libc::EPIPE } else { error }))
    }

    /// The controller's own descriptor of the socket that a call is on.
    fn socket_of(&self, name: &Name, entry: Registers) -> Result<OwnedFd, TraceError> {
        Ok(sys::descriptor_of(self.tasks[name].tracee.id(), entry.arguments()[0] as i32)?)
    }

    /// A signal takes a task out of a call of which a part is done: that is its result.
    pub(super) fn end_in_part(&mut self, name: &Name, entry: Registers) -> Result<bool, TraceError> {
        let task = self.task(name)?;
        if task.parts.as_ref().is_none_or(|parts| parts.moved == 0) {
            task.parts = None;
            return Ok(false);
        }
        self.skip(name, entry, 0)?;
        self.end_parts(name, 0)?;
        self.task(name)?.state = State::Ready;
        Ok(true)
    }

    /// Writes so many of the bytes, and has the task come to the entry of a write of the others.
    pub(super) fn write_part(&mut self, name: &Name, entry: Registers, room: u64) -> Result<i64, TraceError> {
        let mut part = entry;
        part.replace_argument(2, room);
        self.task(name)?.tracee.set_registers(part)?;
        let (result, _) = self.run_call(name)?;
        self.have_rest_written(name, entry, u64::try_from(result).unwrap_or(0))?;
        Ok(result)
    }

    /// Of a write that has come to its exit, has the task come to the entry of one of what is left.
    fn have_rest_written(&mut self, name: &Name, entry: Registers, moved: u64) -> Result<(), TraceError> {
        let [number, address, length, flags, ..] = entry.arguments();
        let mut rest = entry;
        if self.is_socket(name, number as i32) {
            // Where the other end is gone meanwhile, the kernel tells of it by a signal only if nothing was written.
            let flags = if name_of(entry.call()) == "sendto" { flags } else { 0 };
            rest.call_instead(libc::SYS_sendto, [number, address + moved, length - moved]);
            rest.replace_argument(3, flags | libc::MSG_NOSIGNAL as u64);
        } else {
            rest.replace_argument(1, address + moved);
            rest.replace_argument(2, length - moved);
        }
        let task = self.task(name)?;
        task.parts.get_or_insert(Parts { entry, moved: 0 }).moved += moved;
        let mut registers = task.tracee.registers()?;
        registers.make_again(&rest);
        task.tracee.set_registers(registers)?;
        task.state = State::Ready;
        Ok(())
    }

    fn is_socket(&self, name: &Name, number: i32) -> bool {
        let table = self.tasks[name].descriptors.borrow();
        table.get(number).is_some_and(|description| description.socket().is_some())
    }

    /// Where a call was made in parts, and this was the last: what its program sees of it.
    pub(super) fn end_parts(&mut self, name: &Name, result: i64) -> Result<(), TraceError> {
        let task = self.task(name)?;
        let Some(Parts { entry, moved }) = task.parts.take() else { return Ok(()) };
        let mut registers = task.tracee.registers()?;
        for (number, argument) in entry.arguments().into_iter().enumerate() {
            registers.replace_argument(number, argument);
        }
        registers.skip_with(if moved == 0 { result } else { moved.cast_signed() + result.max(0) });
        task.tracee.set_registers(registers)?;
        Ok(())
    }
}
