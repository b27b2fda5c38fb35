//! What is done when a timer that a program armed runs out; processes that wait for a lock, but not for ever.

use std::os::fd::AsRawFd;

use nix::unistd::Pid;

use super::TraceError;
use super::execution::Running;
use super::files::What;
use super::sleep;
use super::sys;
use super::task::{Name, Pauses, State, Task};
use super::timers::{Effect, Owner, Timer};
use crate::model::{Access, Call, CallResult, Event, Operation, ProcessId};

/// So many timers may run out in a process that waits for a lock, and do nothing: then no other will.
const MOST_TIMERS: u32 = 10_000;

impl Running<'_> {
    /// Lets all timers of a process run out that are due. Whether there was one.
    pub(super) fn run_out_due(&mut self, process: usize) -> Result<bool, TraceError> {
        self.make_unready(process)?;
        let mut any = false;
        while let Some(timer) = self.world.timers.run_out(process, self.processes[process].clock) {
            any = true;
            self.processes[process].moved += 1;
            self.has_run_out(timer)?;
        }
        Ok(any)
    }

    fn has_run_out(&mut self, timer: Timer) -> Result<(), TraceError> {
        let group = match timer.owner {
            Owner::Alarm(group) | Owner::Posix(group, _) => group,
            Owner::Description(number) => return self.set_readable(timer.process, number, true),
        };
        let Effect::Signal { signal, value, task } = timer.effect else { return Ok(()) };
        self.world.interrupts = true;
        let group = Pid::from_raw(group);
        let sent = match (timer.owner, task) {
            (Owner::Alarm(_), _) => sys::send_signal(group, signal),
            (_, None) => sys::queue_signal(group, None, signal, &sys::info(signal, libc::SI_TIMER, value)),
            (_, Some(task)) => {
                let mut tasks = self.of(timer.process).map(|(_, task)| task.tracee.id());
                let task = tasks.find(|id| id_seen(*id) == Some(task));
                let info = sys::info(signal, libc::SI_TIMER, value);
                task.map_or(Ok(()), |task| sys::queue_signal(group, Some(task), signal, &info))
            }
        };
        // Its process may have ended.
        match sent {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Makes a timer's descriptor readable in the kernel's eyes, or not.
    fn set_readable(&self, process: usize, description: u32, readable: bool) -> Result<(), TraceError> {
        let open = |task: &Task| Some((task.tracee.id(), task.descriptors.borrow().number_of(description)?));
        let Some((task, number)) = self.of(process).find_map(|(_, task)| open(task)) else { return Ok(()) };
        let timer = sys::descriptor_of(task, number)?;
        sys::set_timer(timer.as_raw_fd(), readable)?;
        Ok(())
    }

    /// Timers that were set anew are not readable before they run out again.
    fn make_unready(&mut self, process: usize) -> Result<(), TraceError> {
        for description in std::mem::take(&mut self.world.unready) {
            self.set_readable(process, description, false)?;
        }
        Ok(())
    }

    pub(super) fn opened_timer(
        &mut self,
        name: &Name,
        number: i32,
        clock: i32,
        flags: i32,
    ) -> Result<(), TraceError> {
        // The flags of `timerfd_create` are those of `open`.
        self.opened(name, number, What::Timer, None, false, flags)?;
        let owner = Owner::Description(self.descriptions);
        self.world.timers.make(name.process, owner, Effect::Readable).clock = clock;
        Ok(())
    }

    /// A timer's descriptor was read: how often it has run out is known here alone.
    pub(super) fn read_timer(
        &mut self,
        name: &Name,
        description: u32,
        buffer: u64,
    ) -> Result<(), TraceError> {
        let Some(timer) = self.world.timers.get(Owner::Description(description)) else { return Ok(()) };
        let count = std::mem::take(&mut timer.count);
        self.task(name)?.tracee.write(buffer, &count.to_le_bytes())?;
        Ok(())
    }

    /// The timers of a task that runs another program, or is the last of its group to end, are gone; an alarm outlives exec.
    pub(super) fn forget_timers(&mut self, name: &Name, ends: bool) {
        let group = self.tasks[name].group.as_raw();
        self.world.timers.forget(|owner| match owner {
            Owner::Posix(of, _) => of == group,
            Owner::Alarm(of) => ends && of == group,
            Owner::Description(_) => false,
        });
    }

    /// Tasks that are held at a lock which they cannot have, and have a signal to take: they take it, as the kernel has it. Whether
    /// there was one.
    pub(super) fn interrupt_waiters(&mut self, process: usize) -> Result<bool, TraceError> {
        let waiting =
            self.of(process).filter(|(name, task)| self.is_barred(name) && has_signal(task.tracee.id()));
        let Some(name) = waiting.map(|(name, _)| name.clone()).next() else { return Ok(false) };
        if matches!(self.tasks[&name].state, State::Meeting { .. }) {
            self.stop_meeting(&name)?;
        } else {
            self.run_call(&name)?;
            self.task(&name)?.state = State::Ready;
        }
        self.processes[process].moved += 1;
        Ok(true)
    }

    /// When the next timer of a process runs out, a sleep included, where all that it offers waits for a lock.
    pub(super) fn note_next_timer(&mut self, process: usize) {
        let state = &self.processes[process];
        let spent = state.timers >= MOST_TIMERS || !self.has_pending(process);
        self.processes[process].has_timer = !spent && sleep::is_any(self, process);
    }

    fn has_pending(&self, process: usize) -> bool {
        self.of(process).any(|(_, task)| task.pending().is_some())
    }

    /// Where a process stands that waits for a lock, but has a timer: the end of that is what it offers.
    pub(super) fn waits_with_timer(&self, process: usize) -> Option<Operation> {
        let name = self.offered(process).filter(|_| self.processes[process].has_timer)?;
        let (operation, _) = self.tasks[name].pending()?;
        if !self.is_barred(name) {
            return None;
        }
        let looked_at = match &operation.acquires {
            Some(acquires) => vec![Access::read(acquires.lock.clone())],
            None => operation.accesses.iter().map(|access| Access::read(access.location.clone())).collect(),
        };
        let path = operation.call.path.clone();
        let call = Call { name: "sleep".into(), path, target: None, detail: "until a timer runs out".into() };
        Some(Operation { call, accesses: looked_at, ..Operation::default() })
    }

    /// Lets time pass for a process that waits for a lock, until it does something else than waiting.
    pub(super) fn do_timer(&mut self, process: usize, operation: Operation) -> Result<Event, TraceError> {
        let held = self.held_turns(process);
        self.advance_clock(process, &operation);
        self.processes[process].operations += 1;
        self.processes[process].end_prefix();
        let time = self.processes[process].clock;
        self.processes[process].timers = 0;
        self.processes[process].pauses = Pauses::default();
        let mut any = true;
        while any && self.held_turns(process) == held && self.of(process).next().is_some() {
            any = sleep::end_earliest(self, process)?;
            self.settle(process)?;
        }
        if self.held_turns(process) == held {
            self.processes[process].has_timer = false;
            self.processes[process].timers = MOST_TIMERS;
        }
        self.record_at(process, &operation, time);
        let mut event = Event {
            process: ProcessId(process),
            task: String::new(),
            operation,
            result: CallResult::Value(1),
            exit: None,
            payload: None,
        };
        event.exit = self.status(process).exit();
        self.wake_sleepers(process)?;
        Ok(event)
    }

    /// When each of the operations that a process is held at came to be held.
    fn held_turns(&self, process: usize) -> Vec<u64> {
        self.of(process).filter_map(|(_, task)| Some(task.pending()?.1)).collect()
    }
}

/// A line of `/proc/TASK/status`.
pub(super) fn status_line(task: Pid, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{task}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(|rest| rest.trim().to_owned()))
}

/// The id of a task as its program sees it.
pub(super) fn id_seen(task: Pid) -> Option<i32> {
    status_line(task, "NSpid")?.split_whitespace().last()?.parse().ok()
}

/// Whether a task has a signal to take that it neither blocks nor ignores.
fn has_signal(task: Pid) -> bool {
    let mask = |key| status_line(task, key).and_then(|line| u64::from_str_radix(&line, 16).ok()).unwrap_or(0);
    (mask("SigPnd") | mask("ShdPnd")) & !mask("SigBlk") & !mask("SigIgn") != 0
}
