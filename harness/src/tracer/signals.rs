//! Signals from one process under test to another: the tracer keeps them, and the other takes each in a step of its own, before
//! anything else that it does.

use nix::unistd::Pid;

use super::TraceError;
use super::alarms::{id_seen, status_line};
use super::execution::Running;
use super::ids::{first_pid, place_of};
use super::streams::Streams;
use super::sys;
use super::task::{Name, State, Task};
use crate::model::{Access, Call, CallResult, Event, Exit, GapKind, Location, Operation, ProcessId, Status};

/// Whom a signal is sent to, by ids that programs see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// A thread group.
    Group(i32),
    /// One task.
    Task(i32),
    /// The thread groups of a process group.
    Groups(i32),
    /// All but the sender's own thread group.
    All,
}

/// A signal that is sent. Number 0 is none: whoever sends it only asks who is there.
#[derive(Clone, Debug)]
pub struct Sending {
    /// To whom.
    pub to: To,
    /// Its number.
    pub number: i32,
    /// What the sender says with it, as the kernel has it (`siginfo_t`).
    pub info: Option<Box<[u64; 16]>>,
}

/// A signal that a process has to take.
#[derive(Clone, Debug)]
pub struct Signal {
    number: i32,
    /// The thread group, by the id that the controller sees.
    group: Pid,
    /// The task, where it is for one alone.
    task: Option<Pid>,
    by: ProcessId,
    info: Option<Box<[u64; 16]>>,
    /// Whether it has ended the thread group already: the kernel decides how a group ends when such a signal is sent, and what is sent to
    /// the group later changes nothing.
    decides: bool,
}

/// What signals stop a process that does not catch them.
const STOPS: [i32; 4] = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
/// What does nothing to a process that does not catch it.
const IGNORED: [i32; 4] = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
/// What ends a process that does not catch it with a core dump: the kernel decides that when the process takes the signal.
const DUMPS: [i32; 10] = [
    libc::SIGQUIT,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGSYS,
    libc::SIGXCPU,
    libc::SIGXFSZ,
];

/// The name of a signal.
#[must_use]
pub fn name_of(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {number}"),
    }
}

/// Whether a mask of `/proc/TASK/status` has a signal.
fn is_in(task: Pid, mask: &str, number: i32) -> bool {
    let mask = status_line(task, mask).and_then(|line| u64::from_str_radix(&line, 16).ok()).unwrap_or(0);
    mask >> (number - 1) & 1 != 0
}

fn is_caught(task: Pid, number: i32) -> bool {
    is_in(task, "SigCgt", number)
}

impl Running<'_> {
    /// Sends a signal, and gives the result of the call.
    pub(super) fn send(&mut self, name: &Name, sending: &Sending) -> Result<i64, TraceError> {
        let targets = self.targets(name, sending.to);
        let at_their_ends = self.at_their_ends(name, sending.to);
        if targets.is_empty() && at_their_ends.is_empty() && !self.is_there(sending.to) {
            if self.is_of_one_that_was_there(sending.to) {
                self.sight(name.process, GapKind::Signal, "whether a child of another process lives");
            }
            return Ok(-i64::from(libc::ESRCH));
        }
        if sending.number == 0 {
            return Ok(0);
        }
        at_their_ends.into_iter().for_each(|process| self.signal_at_end(process));
        for (process, group, task) in targets {
            let (number, by, info) = (sending.number, ProcessId(name.process), sending.info.clone());
            if process == name.process {
                self.world.interrupts = true;
                self.world.signalled |= number == libc::SIGKILL;
                self.world.continued |= number == libc::SIGCONT;
                // It may have ended meanwhile.
                let _ = sys::send_signal(group, number);
            } else {
                self.give(process, Signal { number, group, task, by, info, decides: false })?;
            }
        }
        Ok(0)
    }

    /// The thread groups that a signal goes to, with their processes and the task, if it is for one alone.
    fn targets(&self, sender: &Name, to: To) -> Vec<(usize, Pid, Option<Pid>)> {
        let own = self.tasks.get(sender).map(|task| task.group);
        let mut targets: Vec<(usize, Pid, Option<Pid>)> = Vec::new();
        for (name, task) in &self.tasks {
            let (id, group) = (task.tracee.id(), task.group);
            let is_one = match to {
                To::Group(seen) => {
                    id == group && place_of(seen) == Some(name.process) && id_seen(id) == Some(seen)
                }
                To::Task(seen) => place_of(seen) == Some(name.process) && id_seen(id) == Some(seen),
                To::Groups(seen) => {
                    let leads = nix::unistd::getpgid(Some(group)).ok();
                    place_of(seen) == Some(name.process) && leads.and_then(id_seen) == Some(seen)
                }
                To::All => Some(group) != own,
            };
            let alone = matches!(to, To::Task(_)).then_some(id);
            if is_one && !targets.iter().any(|(_, other, _)| *other == group) {
                targets.push((name.process, group, alone));
            }
        }
        targets
    }

    /// Whether there is somebody who cannot take a signal: a process that has not gone beyond its checkpoint, or a child that has
    /// ended and that its parent has not waited for.
    fn is_there(&self, to: To) -> bool {
        let To::Group(seen) = to else { return false };
        let begins = |(place, process): (usize, &super::task::Process)| {
            process.looked.is_some() && u32::try_from(seen) == Ok(first_pid(place))
        };
        let has_ended = |task: &Task| {
            let id = task.tracee.id();
            let children =
                std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            let mut children = children.split_whitespace().filter_map(|child| child.parse().ok());
            children.any(|child| id_seen(Pid::from_raw(child)) == Some(seen))
        };
        self.processes.iter().enumerate().any(begins)
            || self
                .tasks
                .iter()
                .filter(|(name, _)| place_of(seen) == Some(name.process))
                .any(|(_, task)| has_ended(task))
    }

    /// Gives a process a signal to take, unless that does nothing to it.
    fn give(&mut self, process: usize, signal: Signal) -> Result<(), TraceError> {
        let Signal { number, group, task, .. } = signal;
        if self.processes[process].signals.iter().any(|other| other.group == group && other.decides) {
            return Ok(());
        }
        let caught = is_caught(group, number);
        let tasks = self.of(process).filter(|(_, other)| other.group == group);
        let takers = tasks.filter(|(_, other)| task.is_none_or(|task| task == other.tracee.id()));
        let blocked = takers.into_iter().all(|(_, taker)| is_in(taker.tracee.id(), "SigBlk", number));
        let groups: std::collections::BTreeSet<Pid> = self.of(process).map(|(_, task)| task.group).collect();
        let state = &mut self.processes[process];
        state.was_told = true;
        if number == libc::SIGCONT {
            state.signals.retain(|signal| !STOPS.contains(&signal.number));
        } else if STOPS.contains(&number) {
            state.signals.retain(|signal| signal.number != libc::SIGCONT);
            if !caught && groups.len() > 1 {
                let what =
                    format!("a signal that stops a part of {} ({})", ProcessId(process), name_of(number));
                self.sight(process, GapKind::Signal, what);
                return Ok(());
            }
        }
        let continues = number == libc::SIGCONT && state.is_stopped;
        let ignored = is_in(group, "SigIgn", number) || (!caught && IGNORED.contains(&number));
        if ignored && !continues {
            return Ok(());
        }
        if blocked && !continues && ![libc::SIGKILL, libc::SIGSTOP].contains(&number) {
            // It stays with the kernel until it is asked for.
            return self.hand_over(&signal);
        }
        let same = |other: &Signal| (other.number, other.group, other.task) == (number, group, task);
        if number >= 32 || !state.signals.iter().any(same) {
            // What kills comes before all else.
            let at = if number == libc::SIGKILL { 0 } else { state.signals.len() };
            let ends = !caught && !STOPS.contains(&number) && !DUMPS.contains(&number);
            // A thread that is stopped, or has another signal to take first, does not end at once.
            let at_once = !state.is_stopped && !state.signals.iter().any(|other| other.group == group);
            let decides = number == libc::SIGKILL || (ends && !continues && at_once);
            state.signals.insert(at, Signal { decides, ..signal });
        }
        Ok(())
    }

    /// What is left to take for a thread group that is gone is gone as well.
    pub(super) fn forget_signals(&mut self, process: usize, group: Pid) {
        let lives = self.of(process).any(|(_, task)| task.group == group);
        let state = &mut self.processes[process];
        if !lives {
            state.signals.retain(|signal| signal.group != group);
            state.is_stopped = false;
        }
    }

    fn hand_over(&self, signal: &Signal) -> Result<(), TraceError> {
        let Signal { number, group, task, .. } = *signal;
        let sent = match (&signal.info, task) {
            (Some(info), _) => sys::queue_signal(group, task, number, info),
            (None, None) => sys::send_signal(group, number),
            (None, Some(_)) => sys::queue_signal(group, task, number, &sys::info(number, libc::SI_QUEUE, 0)),
        };
        match sent {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Where a process stands that has a signal to take, or was stopped by one.
    pub(super) fn stands_for_signal(&self, process: usize) -> Option<Status> {
        let operation = self.signal_operation(process)?;
        let state = &self.processes[process];
        Some(if operation.awaits && !state.was_told {
            Status::Blocked { operation, holders: Vec::new() }
        } else {
            Status::Enabled(operation)
        })
    }

    fn signal_operation(&self, process: usize) -> Option<Operation> {
        let state = &self.processes[process];
        if state.is_stopped {
            let call =
                Call { name: "stop".into(), detail: "until it is continued".into(), ..Call::default() };
            let accesses = vec![Access::read(Location::Process(ProcessId(process)))];
            return Some(Operation { call, accesses, awaits: true, ..Operation::default() });
        }
        let signal = state.signals.first()?;
        let detail = format!("{} from {}", name_of(signal.number), signal.by);
        let call = Call { name: "signal".into(), detail, ..Call::default() };
        let accesses = if signal.number == libc::SIGKILL {
            self.released_by_kill(process, signal.group)
        } else if is_caught(signal.group, signal.number) {
            self.waited_for(process, signal.group)
        } else {
            Vec::new()
        };
        let adds = Streams::closed(&accesses);
        Some(Operation { call, accesses, adds, ..Operation::default() })
    }

    /// What a thread group is held at that may have to wait: whether a signal that it catches ends the wait, or comes in front of a call that
    /// has what it waits for, depends on that.
    fn waited_for(&self, process: usize, group: Pid) -> Vec<Access> {
        let of_group = self.of(process).filter(|(_, task)| task.group == group);
        let held = of_group.filter_map(|(_, task)| task.pending());
        let mut waited_for: Vec<Access> = held
            .flat_map(|(operation, _)| match &operation.acquires {
                Some(acquires) if acquires.blocking => vec![Access::read(acquires.lock.clone())],
                _ if operation.awaits || !operation.needs.is_empty() => {
                    operation.accesses.iter().map(|access| Access::read(access.location.clone())).collect()
                }
                _ => Vec::new(),
            })
            .collect();
        waited_for.dedup();
        waited_for
    }

    /// What is released when a thread group is killed.
    fn released_by_kill(&self, process: usize, group: Pid) -> Vec<Access> {
        let killed = self.of(process).filter(|(_, task)| task.group == group);
        let mut accesses: Vec<Access> =
            killed.flat_map(|(name, _)| self.released_by_end(name, true)).collect();
        accesses.dedup();
        accesses
    }

    /// Lets a process take its signal, or go on being stopped.
    pub(super) fn take_signal(&mut self, process: usize) -> Result<Event, TraceError> {
        let Some(operation) = self.signal_operation(process) else {
            return Err(TraceError::Lost(format!("{} has no signal to take", ProcessId(process))));
        };
        self.start_the_disturbed(process, &operation)?;
        self.advance_clock(process, &operation);
        self.record(process, &operation);
        let state = &mut self.processes[process];
        state.operations += 1;
        state.segment.seen = true;
        state.end_prefix();
        state.was_told = false;
        state.polling.wait = None;
        let (mut result, mut kills) = (0, None);
        if state.is_stopped {
            let goes_on = |signal: &Signal| [libc::SIGCONT, libc::SIGKILL].contains(&signal.number);
            state.is_stopped = !state.signals.iter().any(goes_on);
            result = i64::from(!state.is_stopped);
            let caught = |signal: &Signal| is_caught(signal.group, libc::SIGCONT);
            state.signals.retain(|signal| signal.number != libc::SIGCONT || caught(signal));
        } else {
            let signal = state.signals.remove(0);
            if STOPS.contains(&signal.number) && !is_caught(signal.group, signal.number) {
                state.is_stopped = true;
            } else {
                kills = Some(Exit::Signal(signal.number));
                self.deliver(process, &signal)?;
            }
        }
        if kills.is_some() && self.end(process) == kills {
            self.is_over(process);
        }
        let mut event = Event {
            process: ProcessId(process),
            task: String::new(),
            operation,
            result: CallResult::Value(result),
            exit: None,
            payload: None,
        };
        event.exit = self.status(process).exit();
        self.redo_meanings(ProcessId(process), &event.operation)?;
        self.wake_sleepers(process)?;
        Ok(event)
    }

    /// Has the kernel deliver a signal to tasks that are held or asleep, and runs the process on.
    fn deliver(&mut self, process: usize, signal: &Signal) -> Result<(), TraceError> {
        let of_group = self.of(process).filter(|(_, task)| task.group == signal.group);
        let mut names: Vec<Name> = of_group.map(|(name, _)| name.clone()).collect();
        if signal.number == libc::SIGKILL {
            // The first thread is told of last.
            names.sort_by_key(|name| self.tasks[name].tracee.id() == signal.group);
            let _ = sys::send_signal(signal.group, libc::SIGKILL);
            for name in names {
                self.release_at_end(&name, true);
                self.task(&name)?.tracee.kill();
                self.forget(&name, Exit::Signal(libc::SIGKILL));
            }
            return self.settle_after(process);
        }
        self.hand_over(signal)?;
        let takes = |name: &&Name| {
            let id = self.tasks[*name].tracee.id();
            signal.task.is_none_or(|task| task == id) && !is_in(id, "SigBlk", signal.number)
        };
        let taker = names.iter().find(takes).cloned();
        if let Some(name) = taker {
            self.interrupt(&name)?;
        }
        self.settle_after(process)
    }

    /// Takes a task out of what it is held at, or asleep in, for a signal that the kernel has for it.
    fn interrupt(&mut self, name: &Name) -> Result<(), TraceError> {
        let waits = self.is_barred(name);
        if let State::Held { entry, .. } = self.tasks[name].state
            && self.end_in_part(name, entry)?
        {
            return Ok(());
        }
        let task = &self.tasks[name];
        match &task.state {
            State::Meeting { .. } => self.stop_meeting(name)?,
            // The kernel says what becomes of a call that waits.
            State::Held { .. } if waits => {
                self.run_call(name)?;
                self.task(name)?.state = State::Ready;
            }
            State::Held { entry, .. } => {
                let mut registers = *entry;
                registers.back_before();
                task.tracee.set_registers(registers)?;
                self.task(name)?.state = State::Ready;
            }
            State::Ending { call: Some(call), .. } => {
                let mut registers = call.0;
                registers.back_before();
                task.tracee.set_registers(registers)?;
                self.task(name)?.state = State::Ready;
            }
            State::Asleep { call, .. } if call.result() == -i64::from(libc::EINTR) => {
                task.tracee.set_registers(*call)?;
            }
            _ => {}
        }
        Ok(())
    }
}
