//! Doing an operation, and what its result changes in what the tracer knows.

use std::cell::{OnceCell, RefCell};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use nix::sys::stat::{FileStat, stat};

use super::TraceError;
use super::decode::{Action, Held};
use super::execution::Running;
use super::files::{Description, Descriptor, What};
use super::messages::become_socket;
use super::results::{settle, shown};
use super::sockets::{Socket, Stage};
use super::streams::End;
use super::task::{Name, State};
use super::told;
use super::tracee::{Registers, Resume, Stop, Waited};
use crate::backend::Detail;
use crate::model::{AccessKind, Does, Event, Location, ObjectId, Operation, Payload, ProcessId, Way};

impl Running<'_> {
    /// Does the operation that a task is held at. The task is stopped behind it then. It is not recorded in the order of events.
    pub(super) fn execute(&mut self, name: &Name) -> Result<Event, TraceError> {
        let refusal = self.refusal(name);
        let state = std::mem::replace(&mut self.task(name)?.state, State::Ready);
        let (operation, result, payload) = match state {
            State::Ending { operation, .. } => {
                self.advance_clock(name.process, &operation);
                self.release_at_end(name, true);
                self.is_over_with(name);
                (operation, 0, None)
            }
            State::Meeting { held, .. } => {
                let mut operation = held.operation;
                self.advance_clock(name.process, &operation);
                let result = self.task(name)?.tracee.registers()?.result();
                operation.adds.clear();
                self.apply(name, &held.action, result, Some(&operation))?;
                (operation, result, None)
            }
            State::Held { held, entry, .. } => {
                self.check_meaning(name, &held, &entry)?;
                if let Some(operation) = refusal {
                    return self.refuse(name, &held, entry, operation);
                }
                let mut operation = held.operation.clone();
                self.note_others_that_wait(name, &operation);
                self.advance_clock(name.process, &operation);
                self.world.changes.note(&operation);
                self.run_out_due(name.process)?;
                self.remember(name.process, &operation, &held.action);
                if let Some(event) = self.try_part(name, &held, entry)? {
                    return Ok(event);
                }
                let result = match held.action {
                    ref tried if tried.is_tried() => Some(self.task(name)?.tracee.registers()?.result()),
                    Action::OpenFifo { waits_for: Some(_), .. } => self.open_first(name)?,
                    _ => Some(self.call(name, &held.action, entry)?),
                };
                let Some(result) = result else {
                    self.await_meeting(name, Held { operation: operation.clone(), action: held.action })?;
                    return Ok(self.done(name, operation, 0, None));
                };
                if result < 0 {
                    self.note_refusal(name.process, &operation, result);
                }
                settle(&mut operation, &held.action, result);
                self.count_what_went_through(name, &mut operation, (&held.action, result))?;
                let payload = self.payload(name, &held.action, result)?;
                self.apply(name, &held.action, result, Some(&operation))?;
                self.end_parts(name, result)?;
                (operation, result, payload)
            }
            _ => return Err(TraceError::Lost(format!("task {name} is not held"))),
        };
        Ok(self.done(name, operation, result, payload))
    }

    pub(super) fn done(
        &mut self,
        name: &Name,
        operation: Operation,
        result: i64,
        payload: Option<Payload>,
    ) -> Event {
        self.processes[name.process].operations += 1;
        Event {
            process: ProcessId(name.process),
            task: name.to_string(),
            result: shown(&operation, result),
            operation,
            exit: None,
            payload,
        }
    }

    /// Has the kernel make the call (or makes it, where it is ours to make), and gives its result.
    fn call(&mut self, name: &Name, action: &Action, entry: Registers) -> Result<i64, TraceError> {
        match action {
            Action::List { description, buffer, length, old } => {
                let result = self.list(name, description, (*buffer, *length), *old)?;
                self.skip(name, entry, result)
            }
            Action::Lock { without_blocking: Some((argument, command)), .. } => {
                let mut tried = entry;
                tried.replace_argument(*argument, *command);
                self.task(name)?.tracee.set_registers(tried)?;
                let (result, registers) = self.run_call(name)?;
                let tracee = &self.task(name)?.tracee;
                let mut registers = match registers {
                    Some(registers) => registers,
                    None => tracee.registers()?,
                };
                registers.replace_argument(*argument, entry.arguments()[*argument]);
                if result == -i64::from(libc::EAGAIN) {
                    registers.make_again(&entry);
                }
                tracee.set_registers(registers)?;
                Ok(result)
            }
            Action::Ask => {
                let given = self.ask(name.process)?;
                self.run_call(name)?;
                Ok(given)
            }
            Action::Mark => self.skip(name, entry, 0),
            Action::Refuse(error) => self.skip(name, entry, -i64::from(*error)),
            Action::Send(sending) => {
                let result = self.send(name, sending)?;
                self.skip(name, entry, result)
            }
            _ => Ok(self.run_call(name)?.0),
        }
    }

    /// Has a task go on with this result, without the call at whose entry it stands.
    pub(super) fn skip(&mut self, name: &Name, entry: Registers, result: i64) -> Result<i64, TraceError> {
        let mut registers = entry;
        registers.skip_with(result);
        self.task(name)?.tracee.set_registers(registers)?;
        Ok(result)
    }

    /// Lets a task run through the call at whose entry it stands: its result, and the registers at its exit, where it came there.
    pub(super) fn run_call(&mut self, name: &Name) -> Result<(i64, Option<Registers>), TraceError> {
        if let Some(registers) = self.run_into_call(name)? {
            return Ok((registers.result(), Some(registers)));
        }
        // A call that is not known to block does: what it has done so far is what it has done, else it is tried again.
        let tracee = &self.task(name)?.tracee;
        tracee.interrupt()?;
        let stop = tracee.wait_for_stop()?;
        let registers = tracee.registers()?;
        self.note_unexpected_wait(name.process, registers.call());
        let is_part = stop == Stop::CallExit && registers.result() > 0;
        Ok((if is_part { registers.result() } else { -i64::from(libc::EAGAIN) }, None))
    }

    /// The same of a call that may sleep: the registers at its exit, or `None` where the task sleeps in it now.
    pub(super) fn run_into_call(&mut self, name: &Name) -> Result<Option<Registers>, TraceError> {
        loop {
            self.task(name)?.tracee.resume(Resume::ToCallExit, 0)?;
            let task = self.task(name)?;
            match task.tracee.wait()? {
                Waited::Stopped(Stop::CallExit) => return Ok(Some(task.tracee.registers()?)),
                Waited::Asleep => return Ok(None),
                Waited::Computes => return Err(self.endless(name, Does::Computes)),
                Waited::Stopped(Stop::Exec) => self.on_exec(name)?,
                Waited::Stopped(Stop::Signal(signal)) => task.signal = signal,
                Waited::Stopped(Stop::Gone(exit)) => {
                    return Err(TraceError::Lost(format!("task {name} ended within a call: {exit}")));
                }
                Waited::Stopped(_) => {}
            }
        }
    }

    /// The bytes that a call moved, where they are asked for.
    fn payload(&mut self, name: &Name, action: &Action, result: i64) -> Result<Option<Payload>, TraceError> {
        let Ok(moved) = usize::try_from(result) else { return Ok(None) };
        if self.detail != Detail::Evidence && !self.is_recording(name.process) {
            return Ok(None);
        }
        let task = self.task(name)?;
        let (path, bytes, offset, written) = match action {
            Action::Transfer { description, at, written, buffers, .. } => {
                let mut bytes = Vec::new();
                for (address, length) in buffers {
                    let part = (moved - bytes.len()).min(*length);
                    bytes.extend(task.tracee.read(*address, part)?);
                }
                (description.path().to_owned(), bytes, *at, *written)
            }
            Action::Moved { seen: (number, at, written), .. } => {
                let Some(description) = task.descriptors.borrow().get(*number).map(Rc::clone) else {
                    return Ok(None);
                };
                let link = format!("/proc/{}/fd/{number}", task.tracee.id());
                if !std::fs::metadata(&link).is_ok_and(|of| of.is_file()) {
                    return Ok(None);
                }
                let mut bytes = vec![0; moved];
                std::fs::File::open(link)?.read_exact_at(&mut bytes, *at)?;
                (description.path().to_owned(), bytes, *at, *written)
            }
            _ => return Ok(None),
        };
        Ok(Some(Payload { path, written, offset, bytes }))
    }

    /// Takes up what the end of a call changes. `operation` is what it was, where it was one.
    pub(super) fn apply(
        &mut self,
        name: &Name,
        action: &Action,
        result: i64,
        operation: Option<&Operation>,
    ) -> Result<(), TraceError> {
        self.settle_footprint(name, result);
        if let Some(operation) = operation {
            self.note_accesses(name, operation);
        }
        // Closing frees the descriptor even where it tells of an error.
        if let Action::Close(numbers) = action {
            return self.close_descriptors(name, numbers);
        }
        if let Action::Undecided { call, why } = action {
            self.world.not_covered.extend(why.seen(call, ProcessId(name.process), result));
        }
        if result < 0 {
            return self.apply_failure(action, result);
        }
        match action {
            Action::Open { object, path, flags } => {
                let object = match object {
                    Some(object) => *object,
                    None => {
                        let link = format!("/proc/{}/fd/{result}", self.task(name)?.tracee.id());
                        self.made(name, path, stat(link.as_str()).ok())
                    }
                };
                let append = flags & libc::O_APPEND != 0;
                self.opened(name, result as i32, What::Object(object), Some(path.clone()), append, *flags)?;
            }
            Action::OpenFifo { object, path, flags, .. } => {
                self.opened(name, result as i32, What::Fifo(*object), Some(path.clone()), false, *flags)?;
            }
            Action::OpenRandom { flags } => {
                self.opened(name, result as i32, What::Random, None, false, *flags)?;
            }
            // The flags of `epoll_create1` are those of `open`.
            Action::OpenEpoll { flags } => {
                let what = What::Epoll(Default::default());
                self.opened(name, result as i32, what, None, false, *flags)?;
            }
            Action::OpenTimer { clock, flags } => self.opened_timer(name, result as i32, *clock, *flags)?,
            Action::ReadTimer { description, buffer } => {
                self.read_timer(name, *description, *buffer)?;
            }
            Action::Copy { from, close_on_exec } => {
                self.copied(name, *from, result as i32, *close_on_exec)?;
            }
            Action::CloseOnExec { descriptor, close } => {
                self.task(name)?.descriptors.borrow_mut().set_close_on_exec(*descriptor, *close);
            }
            Action::Append(description, appends) => description.append.set(*appends),
            Action::OpenSocket { kind, flags } => {
                let what = What::Socket(Socket::new(*kind));
                self.opened(name, result as i32, what, None, false, *flags)?;
            }
            Action::OpenNetlink { protocol, flags } => {
                self.opened(name, result as i32, What::Netlink(*protocol), None, false, *flags)?;
            }
            Action::Bind { description, path } => {
                let status = self.world.paths.status(path).ok();
                let object = self.made(name, path, status);
                self.named(description, path, object);
            }
            Action::Listen { description, object } => {
                become_socket(description, "", Stage::End(End::Listener(*object)));
            }
            Action::Connect { description, path, .. } => {
                let connection = End::Connection(self.made_by(name), Way::There);
                become_socket(description, path, Stage::End(connection));
            }
            Action::Meet { description, peer } => {
                self.note_connected_anew(name.process, description, peer.as_ref());
                self.meets(description, peer.clone())?;
            }
            Action::Accept { from, kind, path, flags } => {
                if let Some(made) = self.world.streams.accept(*from) {
                    let stage = Stage::End(End::Connection(made, Way::Back));
                    let what = What::Socket(Socket::at(*kind, stage));
                    self.opened(name, result as i32, what, Some(path.clone()), false, *flags)?;
                }
            }
            Action::Shut { description, reading, writing } => {
                if let (true, Some(end)) = (*reading, description.end()) {
                    become_socket(description, "", Stage::Shut(end));
                }
                description.ended.set(description.ended.get() || *writing);
            }
            Action::Seek(description) => {
                description.offset.set(result.cast_unsigned());
                description.listed_all.set(false);
                description.listed.borrow_mut().truncate(usize::try_from(result).unwrap_or(0));
            }
            Action::Moved { between, .. } => self.resync(name, between)?,
            Action::Transfer { description, at, moves: true, .. } => {
                description.offset.set(at + result.cast_unsigned());
            }
            Action::Status { object, buffer, extended } => {
                self.tell_status(name, *object, *buffer, *extended, operation)?;
            }
            Action::Make { path } => {
                let status = self.world.paths.status(path).ok();
                self.made(name, path, status);
            }
            Action::Link { object, path } if path.starts_with('/') => {
                // On an overlay a further name may be told of as if it were another file.
                if let Ok(status) = self.world.paths.status(path) {
                    self.world.objects.made(path, &status, *object);
                }
            }
            Action::Lock { claim, mode, .. } => {
                self.world.locks.take(claim, *mode, ProcessId(name.process));
            }
            Action::Unlock(claim) => self.world.locks.release(claim),
            Action::SetTime { object, time } => {
                let by = self.touch_of(name, operation, *object);
                self.world.objects.set_time(*object, *time, by);
            }
            Action::Space(buffer) => self.task(name)?.tracee.write(buffer + 16, &told::space())?,
            Action::Map { object, writable } => {
                let met = self.world.mappings.map(*object, name.process, *writable);
                let path = operation.and_then(|operation| operation.call.path.as_deref());
                self.note_meeting(name.process, path, met);
            }
            Action::OwnDescriptors { numbers, closes } => self.own_descriptors(name, numbers, *closes)?,
            Action::Note { done, .. } => self.world.not_covered.extend(done.iter().cloned()),
            Action::MeetNetwork(number) => self.meets_network(name, *number)?,
            Action::Unknown(what) => {
                let process = ProcessId(name.process);
                return Err(TraceError::NotUnderstood { process, what: what.clone() });
            }
            Action::None
            | Action::Undecided { .. }
            | Action::Transfer { .. }
            | Action::List { .. }
            | Action::Close(_)
            | Action::Ask
            | Action::Send(_)
            | Action::Link { .. }
            | Action::Refuse(_)
            | Action::Through { .. }
            | Action::Post { .. }
            | Action::Await
            | Action::AwaitRoom
            | Action::Poll
            | Action::Mark => {}
        }
        Ok(())
    }

    /// Takes note of what an operation does with files: their times, and who meets whom at a mapping.
    fn note_accesses(&mut self, name: &Name, operation: &Operation) {
        self.note_lacking(name.process, operation);
        for access in &operation.accesses {
            let writes = access.kind != AccessKind::Read;
            let met = match access.location {
                Location::Status(object) => {
                    if writes {
                        let touch = self.touch_of(name, Some(operation), object);
                        self.world.objects.touch(object, touch);
                    }
                    // A write through a mapping changes the times of the file.
                    self.world.mappings.touch(object, name.process, false)
                }
                Location::Data { object, .. } => self.world.mappings.touch(object, name.process, writes),
                _ => None,
            };
            self.note_meeting(name.process, operation.call.path.as_deref(), met);
        }
    }

    fn apply_failure(&mut self, action: &Action, result: i64) -> Result<(), TraceError> {
        if let Action::Note { done, failed } = action {
            let goes_on = result == -i64::from(libc::EINPROGRESS);
            let seen = if goes_on { done } else { failed };
            self.world.not_covered.extend(seen.iter().cloned());
        }
        // A conversion of a flock that is refused has given up the lock that was held.
        if let Action::Lock { claim, .. } = action
            && claim.family == super::locks::Family::Flock
        {
            self.world.locks.release(claim);
        }
        Ok(())
    }

    /// The object that the present operation has made, with what the file system says of it.
    fn made(&mut self, name: &Name, path: &str, status: Option<FileStat>) -> ObjectId {
        let object = self.made_by(name);
        if let Some(status) = status {
            self.world.objects.made(path, &status, object);
            let touch = self.touch_of(name, None, object);
            self.world.objects.touch(object, touch);
        }
        object
    }

    /// What the present operation makes.
    pub(super) fn made_by(&self, name: &Name) -> ObjectId {
        let process = u16::try_from(name.process).unwrap_or(u16::MAX);
        ObjectId::Made { process, operation: self.processes[name.process].operations }
    }

    pub(super) fn opened(
        &mut self,
        name: &Name,
        number: i32,
        what: What,
        path: Option<String>,
        append: bool,
        flags: i32,
    ) -> Result<(), TraceError> {
        self.descriptions += 1;
        let description = Rc::new(Description {
            number: self.descriptions,
            what,
            path: path.map(OnceCell::from).unwrap_or_default(),
            flags,
            append: append.into(),
            offset: 0.into(),
            listed: RefCell::default(),
            listed_all: false.into(),
            ended: false.into(),
            slots: 0.into(),
        });
        let close_on_exec = flags & libc::O_CLOEXEC != 0;
        self.task(name)?.descriptors.borrow_mut().set(number, Descriptor::new(description, close_on_exec));
        Ok(())
    }

    fn copied(&mut self, name: &Name, from: i32, to: i32, close_on_exec: bool) -> Result<(), TraceError> {
        self.close_descriptors(name, &[to])?;
        let mut table = self.task(name)?.descriptors.borrow_mut();
        if let Some(description) = table.get(from).map(Rc::clone) {
            table.set(to, Descriptor::new(description, close_on_exec));
        }
        Ok(())
    }

    fn own_descriptors(&mut self, name: &Name, numbers: &[i32], closes: bool) -> Result<(), TraceError> {
        let task = self.task(name)?;
        // The directory is still that of all of them: where one goes, the others go too.
        task.descriptors.borrow_mut().has_left = true;
        let mut own = task.descriptors.borrow().clone();
        for number in numbers {
            if closes {
                own.remove(*number);
            } else {
                own.set_close_on_exec(*number, true);
            }
        }
        task.descriptors = Rc::new(own.into());
        Ok(())
    }

    /// Reads file offsets back from the kernel.
    fn resync(&mut self, name: &Name, numbers: &[i32]) -> Result<(), TraceError> {
        let task = self.task(name)?;
        for number in numbers {
            let Some(description) = task.descriptors.borrow().get(*number).map(Rc::clone) else { continue };
            let text = std::fs::read_to_string(format!("/proc/{}/fdinfo/{number}", task.tracee.id()))?;
            let offset = text.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok());
            description.offset.set(offset.unwrap_or(0));
        }
        Ok(())
    }
}
