//! One execution: the tasks of all processes, run one at a time from operation to operation.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::Pid;

use super::chance::TICK;
use super::checkpoint::Beginning;
use super::decode::{Caller, Decision, World, decode};
use super::files::Descriptors;
use super::sandbox::{Sandbox, first_pid};
use super::task::{Name, Process, State, Task};
use super::tracee::{Registers, Resume, Stop, Tracee, Waited};
use super::{TraceError, sleep};
use crate::backend::Detail;
use crate::model::{AccessKind, Call, Event, Exit, HappensBefore, Operation, ProcessId, Status, Waiting};

/// An execution in progress. Between calls every task is held, asleep or gone; when this is dropped, all are gone.
#[derive(Debug)]
pub struct Running<'a> {
    pub(super) sandbox: &'a Sandbox,
    /// The numbers of the programs that the processes run.
    pub(super) programs: Vec<usize>,
    /// What is known of how the processes begin; of programs that run alone, nothing.
    pub(super) beginnings: &'a mut [Beginning],
    pub(super) tasks: BTreeMap<Name, Task>,
    pub(super) processes: Vec<Process>,
    pub(super) world: World,
    /// The order of what has happened, from which the clocks follow.
    order: HappensBefore,
    times: Vec<u64>,
    pub(super) detail: Detail,
    pub(super) descriptions: u32,
    turns: u64,
    stop: &'a AtomicBool,
}

impl<'a> Running<'a> {
    /// Starts the programs with these numbers, and runs each to its first operation; those of which a checkpoint is kept are not
    /// started yet.
    ///
    /// # Errors
    /// Where the machine does not let it, or the exploration is to stop.
    pub fn start(
        sandbox: &'a Sandbox,
        programs: Vec<usize>,
        beginnings: &'a mut [Beginning],
        world: World,
        detail: Detail,
        stop: &'a AtomicBool,
    ) -> Result<Self, TraceError> {
        let mut running = Self {
            sandbox,
            programs,
            beginnings,
            tasks: BTreeMap::new(),
            processes: Vec::new(),
            world,
            order: HappensBefore::default(),
            times: Vec::new(),
            detail,
            descriptions: 0,
            turns: 0,
            stop,
        };
        for process in 0..running.programs.len() {
            running.processes.push(Process::default());
            running.begin(process)?;
        }
        Ok(running)
    }

    /// Forks the first task of a process, and runs it to its first operation.
    pub(super) fn spawn(&mut self, process: usize) -> Result<(), TraceError> {
        let task = self.sandbox.spawn(self.programs[process], first_pid(process))?;
        self.adopt(task, Name { process, way: Vec::new() }, None)?;
        self.processes[process].tasks = 1;
        self.settle(process)
    }

    /// Takes up a task that has just been made. `parent`: with its thread group and whether descriptors and group are shared.
    fn adopt(&mut self, task: Pid, name: Name, parent: Option<(&Name, u64)>) -> Result<(), TraceError> {
        let tracee = Tracee::new(task)?;
        tracee.wait_for_stop()?;
        let shares = |flag: libc::c_int| parent.is_some_and(|(_, flags)| flags & flag as u64 != 0);
        let parent = parent.map(|(parent, _)| &self.tasks[parent]);
        let descriptors = match parent {
            Some(parent) if shares(libc::CLONE_FILES) => Rc::clone(&parent.descriptors),
            Some(parent) => Rc::new(RefCell::new(parent.descriptors.borrow().clone())),
            None => Rc::new(RefCell::new(Descriptors::default())),
        };
        let group = parent.filter(|_| shares(libc::CLONE_THREAD)).map_or(task, |parent| parent.group);
        self.tasks.insert(name.clone(), Task::new(tracee, &name, group, descriptors));
        Ok(())
    }

    /// Runs the tasks of a process, one at a time and in the order of their names, until each is held, asleep or gone.
    pub(super) fn settle(&mut self, process: usize) -> Result<(), TraceError> {
        loop {
            let moved = self.processes[process].moved;
            let next = self.of(process).find(|(_, task)| match task.state {
                State::Ready | State::ChildIsDone => true,
                State::Asleep { since, .. } => since < moved,
                _ => false,
            });
            match next.map(|(name, _)| name.clone()) {
                Some(name) => self.run(&name)?,
                None if sleep::run_out(self, process)? => {}
                None => return Ok(()),
            }
        }
    }

    /// The tasks of a process, in the order of their names.
    pub(super) fn of(&self, process: usize) -> impl Iterator<Item = (&Name, &Task)> {
        let first = Name { process, way: Vec::new() };
        self.tasks.range(first..).take_while(move |(name, _)| name.process == process)
    }

    pub(super) fn task(&mut self, name: &Name) -> Result<&mut Task, TraceError> {
        self.tasks.get_mut(name).ok_or_else(|| TraceError::Lost(format!("task {name} is not known")))
    }

    /// Runs one task until it is held, asleep or gone.
    fn run(&mut self, name: &Name) -> Result<(), TraceError> {
        let stop = self.stop;
        let stopping = move || stop.load(Ordering::Relaxed);
        let task = self.task(name)?;
        let was_asleep = matches!(task.state, State::Asleep { .. });
        let mut stops = 0u64;
        if matches!(task.state, State::ChildIsDone) {
            task.tracee.wait_for_stop()?;
        }
        task.state = State::Ready;
        loop {
            let task = self.task(name)?;
            let how = if task.watched.is_some() { Resume::ToCallExit } else { Resume::Freely };
            let signal = std::mem::take(&mut task.signal);
            task.tracee.resume(how, signal)?;
            let stop = match task.tracee.wait(&stopping)? {
                Waited::Stopped(stop) => stop,
                Waited::Asleep => {
                    task.tracee.interrupt()?;
                    match task.tracee.wait_for_stop()? {
                        Stop::AtRest => {
                            // Going back into the call that it slept in is not a move.
                            let idle = was_asleep && stops <= 1;
                            return self.put_to_sleep(name, idle);
                        }
                        stop => stop,
                    }
                }
            };
            stops += 1;
            if !self.on_stop(name, stop)? {
                self.processes[name.process].moved += 1;
                return Ok(());
            }
        }
    }

    fn put_to_sleep(&mut self, name: &Name, idle: bool) -> Result<(), TraceError> {
        if !idle {
            self.processes[name.process].moved += 1;
        }
        let since = self.processes[name.process].moved;
        let task = self.task(name)?;
        task.watched = None;
        let call = task.tracee.registers()?;
        let mut registers = call;
        if registers.restart_if_interrupted() {
            task.tracee.set_registers(registers)?;
        }
        task.state = State::Asleep { since, call };
        Ok(())
    }

    /// Deals with a stop; whether the task goes on.
    fn on_stop(&mut self, name: &Name, stop: Stop) -> Result<bool, TraceError> {
        match stop {
            Stop::CallEntry => return self.on_entry(name),
            Stop::CallExit => {
                let task = self.task(name)?;
                if let Some(watched) = task.watched.take() {
                    let result = task.tracee.registers()?.result();
                    self.apply(name, &watched, result, None)?;
                }
            }
            Stop::Child { task, parent_waits } => return self.on_child(name, task, parent_waits),
            Stop::Exec => self.on_exec(name)?,
            Stop::Exiting => return self.on_exiting(name),
            Stop::Signal(signal) => self.task(name)?.signal = signal,
            Stop::JobControl => {
                let task = self.task(name)?;
                task.tracee.resume(Resume::Listening, 0)?;
                task.state = State::Suspended;
                self.world.not_covered.insert("stopping and continuing by job control".into());
                return Ok(false);
            }
            Stop::Gone(exit) => {
                self.forget(name, exit);
                return Ok(false);
            }
            Stop::ChildDone | Stop::AtRest => {}
        }
        Ok(true)
    }

    /// What the call that a task has come to means now.
    fn meaning(&mut self, name: &Name, registers: &Registers) -> Result<Decision, TraceError> {
        let task =
            self.tasks.get(name).ok_or_else(|| TraceError::Lost(format!("task {name} is not known")))?;
        let now = self.processes[name.process].clock;
        let caller = Caller { tracee: &task.tracee, group: task.group, descriptors: &task.descriptors, now };
        Ok(decode(&mut self.world, &caller, registers))
    }

    pub(super) fn on_entry(&mut self, name: &Name) -> Result<bool, TraceError> {
        let entry = self.task(name)?.tracee.registers()?;
        let decision = self.meaning(name, &entry)?;
        let process = &mut self.processes[name.process];
        let task =
            self.tasks.get_mut(name).ok_or_else(|| TraceError::Lost(format!("task {name} is not known")))?;
        let mut registers = entry;
        let mut skip = |result: i64, task: &Task| {
            registers.skip_with(result);
            task.tracee.set_registers(registers)
        };
        match decision {
            Decision::Pass => {}
            Decision::Close(numbers) => self.close_descriptors(name, &numbers)?,
            Decision::Watch(action) => task.watched = Some(action),
            Decision::Answer { result, memory } => {
                // A look at the clock moves it: a program that waits for time to pass sees it pass.
                process.clock += TICK;
                let put = memory.iter().try_for_each(|(address, bytes)| task.tracee.write(*address, bytes));
                skip(if put.is_ok() { result } else { -i64::from(libc::EFAULT) }, task)?;
            }
            Decision::Random { address, length } => {
                let bytes = task.random.bytes(length);
                let put = task.tracee.write(address, &bytes);
                skip(if put.is_ok() { length as i64 } else { -i64::from(libc::EFAULT) }, task)?;
            }
            Decision::Sleep(time) => {
                process.clock += time.max(TICK);
                skip(0, task)?;
            }
            Decision::Fork => {
                let next = first_pid(name.process) + process.tasks;
                process.tasks += 1;
                if let Err(error) = self.sandbox.set_next_pid(next) {
                    self.world.not_covered.insert(format!("process ids of children ({error})"));
                }
            }
            Decision::Hold(held) => {
                self.turns += 1;
                task.state = State::Held { held: Box::new(held), entry, turn: self.turns };
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn on_child(&mut self, name: &Name, child: Pid, parent_waits: bool) -> Result<bool, TraceError> {
        let task = self.task(name)?;
        task.children += 1;
        let mut way = name.way.clone();
        way.push(task.children);
        let child_name = Name { process: name.process, way };
        let registers = task.tracee.registers()?;
        let [first, ..] = registers.arguments();
        let flags = match i64::try_from(registers.call()) {
            Ok(libc::SYS_clone) => first,
            Ok(libc::SYS_clone3) => task.tracee.read_numbers(first, 1)?[0],
            _ => 0,
        };
        self.adopt(child, child_name.clone(), Some((name, flags)))?;
        if parent_waits {
            self.task(&child_name)?.awaited_by = Some(name.clone());
            let task = self.task(name)?;
            task.tracee.resume(Resume::Freely, 0)?;
            task.state = State::AwaitsChild;
        }
        Ok(!parent_waits)
    }

    pub(super) fn on_exec(&mut self, name: &Name) -> Result<(), TraceError> {
        self.release_awaiting(name);
        let task = self.task(name)?;
        let closed = task.descriptors.borrow().closed_by_exec();
        if Rc::strong_count(&task.descriptors) > 1 {
            let own = task.descriptors.borrow().clone();
            task.descriptors = Rc::new(RefCell::new(own));
        }
        super::exec::fix_chance(&task.tracee, &mut task.random)?;
        self.close_descriptors(name, &closed)
    }

    /// Whoever waited for this task to run another program or to end waits no longer.
    fn release_awaiting(&mut self, name: &Name) {
        let waiting = self.tasks.get_mut(name).and_then(|task| task.awaited_by.take());
        if let Some(parent) = waiting.and_then(|parent| self.tasks.get_mut(&parent)) {
            parent.state = State::ChildIsDone;
        }
    }

    /// A task is about to end: where that releases a lock, it is an operation.
    fn on_exiting(&mut self, name: &Name) -> Result<bool, TraceError> {
        let task = &self.tasks[name];
        let others: Vec<Name> = self
            .of(name.process)
            .filter(|(other, sibling)| *other != name && sibling.group == task.group)
            .map(|(other, _)| other.clone())
            .collect();
        let ends_alone = task.tracee.registers()?.call() == libc::SYS_exit as u64;
        if !others.is_empty() && !ends_alone {
            return self.end_group(name, &others);
        }
        let accesses = self.released_by_end(name, others.is_empty());
        if accesses.is_empty() {
            return Ok(true);
        }
        self.turns += 1;
        let detail = "releases the lock".to_owned();
        let call = Call { name: "exit".into(), path: None, target: None, detail };
        let operation = Operation { call, accesses, acquires: None };
        let turn = self.turns;
        self.task(name)?.state = State::Ending { operation, turn };
        Ok(false)
    }

    /// The kernel ends all threads of a group at once; the first one is told of last.
    fn end_group(&mut self, name: &Name, others: &[Name]) -> Result<bool, TraceError> {
        self.task(name)?.tracee.resume(Resume::Freely, 0)?;
        let group = self.tasks[name].group;
        let mut dying: Vec<Name> = others.iter().cloned().chain([name.clone()]).collect();
        dying.sort_by_key(|one| self.tasks[one].tracee.id() == group);
        for one in dying {
            loop {
                let tracee = &self.task(&one)?.tracee;
                match tracee.wait_for_stop()? {
                    Stop::Gone(exit) => {
                        self.forget(&one, exit);
                        break;
                    }
                    _ => tracee.resume(Resume::Freely, 0)?,
                }
            }
        }
        Ok(false)
    }

    fn forget(&mut self, name: &Name, exit: Exit) {
        self.release_awaiting(name);
        self.release_at_end(name);
        self.tasks.remove(name);
        if name.way.is_empty() {
            self.processes[name.process].exit = Some(exit);
        }
    }

    /// Where each process stands.
    pub fn statuses(&self) -> Vec<Status> {
        (0..self.processes.len()).map(|process| self.status(process)).collect()
    }

    /// The task whose operation a process offers: of those that can go on the one that has waited longest, else of the others.
    fn offered(&self, process: usize) -> Option<&Name> {
        let held = self.of(process).filter_map(|(name, task)| {
            let (operation, turn) = task.pending()?;
            Some((!self.holders(task, operation).is_empty(), turn, name))
        });
        held.min_by_key(|(blocked, turn, _)| (*blocked, *turn)).map(|(_, _, name)| name)
    }

    fn status(&self, process: usize) -> Status {
        if let Some(look) = self.next_look(process) {
            return Status::Enabled(look.event.operation.clone());
        }
        if let Some(name) = self.offered(process) {
            let task = &self.tasks[name];
            let Some((operation, _)) = task.pending() else { return Status::Finished(Exit::Status(0)) };
            let (operation, holders) = (operation.clone(), self.holders(task, operation));
            return if holders.is_empty() {
                Status::Enabled(operation)
            } else {
                Status::Blocked { operation, holders }
            };
        }
        match (self.of(process).next(), self.processes[process].exit) {
            (None, Some(exit)) => Status::Finished(exit),
            _ => Status::Blocked { operation: self.sleeping(process), holders: Vec::new() },
        }
    }

    /// What a process sleeps in that is not an operation.
    fn sleeping(&self, process: usize) -> Operation {
        let asleep = self.of(process).find_map(|(_, task)| match &task.state {
            State::Asleep { call, .. } => usize::try_from(call.call()).ok().and_then(syscalls::Sysno::new),
            _ => None,
        });
        let name = asleep.map_or("a system call", |call| call.name());
        let call =
            Call { name: name.to_owned(), detail: "waits for something outside".into(), ..Call::default() };
        Operation { call, ..Operation::default() }
    }

    /// Does the pending operation of a process, and runs it on to the next.
    ///
    /// # Errors
    /// Where the machine fails, or the exploration is to stop.
    pub fn step(&mut self, process: ProcessId) -> Result<Event, TraceError> {
        if let Some(look) = self.next_look(process.0).cloned() {
            return self.look_again(process.0, look);
        }
        let Some(name) = self.offered(process.0).cloned() else {
            return Err(TraceError::Lost(format!("{process} has no operation to do")));
        };
        let clock = self.processes[process.0].clock;
        let mut event = self.execute(&name)?;
        let after_others = self.depends_on_others(&event);
        self.record(process.0, &event.operation);
        self.settle_after(process.0)?;
        if let Status::Finished(exit) = self.status(process.0) {
            event.exit = Some(exit);
        }
        self.note_beginning(&event, clock, after_others)?;
        self.redo_meanings(&event.operation)?;
        self.wake_sleepers(process.0)?;
        Ok(event)
    }

    /// Runs a process on, behind an operation.
    pub(super) fn settle_after(&mut self, process: usize) -> Result<(), TraceError> {
        self.processes[process].moved += 1;
        self.processes[process].timers = 0;
        self.settle(process)
    }

    /// Whether an event that is not recorded yet depends on one of another process.
    fn depends_on_others(&self, event: &Event) -> bool {
        let mut before = self.order.conflicting(&event.operation).into_iter();
        before.any(|earlier| self.order.process(earlier) != event.process)
    }

    /// What a process sleeps in may have been ended by another.
    fn wake_sleepers(&mut self, but: usize) -> Result<(), TraceError> {
        for process in (0..self.processes.len()).filter(|other| *other != but) {
            let sleeps = self.offered(process).is_none() && self.of(process).next().is_some();
            if sleeps {
                self.processes[process].moved += 1;
                self.settle(process)?;
            }
        }
        Ok(())
    }

    /// Puts the clock of a process past all that its operation depends on: what it sees of time follows from the partial order
    /// alone, and is the same in every execution of a trace class.
    pub(super) fn advance_clock(&mut self, process: usize, operation: &Operation) -> u64 {
        let before = self.order.conflicting(operation).into_iter().map(|event| self.times[event]);
        let own = self.processes[process].clock;
        let now = before.fold(own, u64::max) + TICK;
        self.processes[process].clock = now;
        now
    }

    /// Records what was done, at the time that the clock of its process shows.
    pub(super) fn record(&mut self, process: usize, operation: &Operation) {
        self.order.push(ProcessId(process), operation);
        self.times.push(self.processes[process].clock);
    }

    /// What is pending may mean something else after an operation that it conflicts with.
    fn redo_meanings(&mut self, done: &Operation) -> Result<(), TraceError> {
        let changes = done.accesses.iter().any(|access| access.kind != AccessKind::Read);
        if !changes {
            return Ok(());
        }
        self.start_the_disturbed(done)?;
        let stale = self.tasks.iter().filter_map(|(name, task)| match &task.state {
            State::Held { held, entry, .. } if held.operation.conflicts(done) => Some((name.clone(), *entry)),
            _ => None,
        });
        for (name, entry) in stale.collect::<Vec<_>>() {
            if let Decision::Hold(fresh) = self.meaning(&name, &entry)?
                && let State::Held { held, .. } = &mut self.task(&name)?.state
            {
                **held = fresh;
            }
        }
        Ok(())
    }

    /// Those that wait at the end of an execution in which nobody is enabled.
    pub fn waiting(&self) -> Vec<Waiting> {
        let statuses = self.statuses().into_iter().enumerate();
        statuses
            .filter_map(|(process, status)| match status {
                Status::Blocked { operation, holders } => {
                    Some(Waiting { process: ProcessId(process), operation, holders })
                }
                _ => None,
            })
            .collect()
    }

    /// Takes what was learned that no execution can see.
    pub fn take_not_covered(&mut self) -> Vec<String> {
        std::mem::take(&mut self.world.not_covered).into_iter().collect()
    }

    /// How each process ended.
    pub fn exits(&self) -> Vec<Option<Exit>> {
        self.processes.iter().map(|process| process.exit).collect()
    }

    pub(super) fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Drop for Running<'_> {
    /// Kills what is left of the processes, and collects it.
    fn drop(&mut self) {
        for task in self.tasks.values() {
            let _ = nix::sys::signal::kill(task.tracee.id(), nix::sys::signal::Signal::SIGKILL);
        }
        // The first thread of a group is told of last, whatever its name: so all are looked at in turn.
        let mut left: Vec<&Tracee> = self.tasks.values().map(|task| &task.tracee).collect();
        while !left.is_empty() {
            left.retain(|tracee| match tracee.poll() {
                Ok(None) => true,
                Ok(Some(Stop::Gone(_))) | Err(_) => false,
                Ok(Some(_)) => tracee.resume(Resume::Freely, 0).is_ok(),
            });
            let _ = nix::sched::sched_yield();
        }
    }
}

impl From<io::Error> for TraceError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Interrupted => Self::Interrupted,
            _ => Self::System(error),
        }
    }
}
