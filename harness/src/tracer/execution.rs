//! One execution: the tasks of all processes, run one at a time from operation to operation.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::arch::name_of;
use super::chance::TICK;
use super::checkpoint::Beginning;
use super::decode::World;
use super::exec;
use super::files::Descriptors;
use super::ids::first_pid;
use super::known::{Known, Past, past};
use super::leaving::asked_by;
use super::sandbox::Sandbox;
use super::task::{Name, Pauses, Process, State, Task};
use super::times::Told;
use super::tracee::{Registers, Resume, Stop, Tracee, Waited, give_way};
use super::{TraceError, sleep};
use crate::backend::Detail;
use crate::limits::Limits;
use crate::model::{CallResult, Does, Endless, Event, Exit, HappensBefore, Operation, ProcessId, Status};

/// An execution in progress. Between calls every task is held, asleep or gone; when this is dropped, all are gone.
#[derive(Debug)]
pub struct Running<'a> {
    pub(super) sandbox: &'a Sandbox,
    /// The numbers of the programs that the processes run.
    pub(super) programs: Vec<usize>,
    /// What is known of how the processes begin; of programs that run alone, nothing.
    pub(super) beginnings: &'a mut [Beginning],
    /// And of what they do later.
    pub(super) known: &'a mut Known,
    /// Whether it was just learned of a process that it polls for ever: then this is to be done again, knowing that.
    pub(super) has_learned: bool,
    /// Whether nothing was met, in all executions, that the tracer cannot see or control.
    pub(super) all_covered: bool,
    pub(super) tasks: BTreeMap<Name, Task>,
    pub(super) processes: Vec<Process>,
    pub(super) world: World,
    /// The order of what has happened, from which the clocks follow.
    pub(super) order: HappensBefore,
    /// Of each process, the numbers of its operations in this order.
    pub(super) numbers: Vec<Vec<usize>>,
    /// The times of files that processes were told.
    pub(super) told: BTreeSet<Told>,
    /// The calls that have changed something, by process and operation, with their paths.
    pub(super) changes: BTreeMap<(usize, u32), (String, String)>,
    /// Of each process, the times of its operations.
    times: Vec<Vec<u64>>,
    /// And their pasts.
    pub(super) pasts: Vec<Vec<Past>>,
    pub(super) detail: Detail,
    /// Of each process, the tasks whose operations are to come next where it can be, in their order.
    pub(super) preferred: Vec<Vec<usize>>,
    pub(super) descriptions: u32,
    pub(super) turns: u64,
    /// What ends it before its end.
    pub(super) limits: &'a Limits,
    /// The processes that others have asked for as such, or sent signals.
    pub(super) asked_for: BTreeSet<usize>,
    /// The operation that was done last, while what follows it is under way.
    pub(super) under_way: Option<Event>,
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
        (beginnings, known, all_covered): (&'a mut [Beginning], &'a mut Known, bool),
        world: World,
        detail: Detail,
        limits: &'a Limits,
    ) -> Result<Self, TraceError> {
        let mut running = Self {
            sandbox,
            beginnings,
            known,
            has_learned: false,
            all_covered,
            tasks: BTreeMap::new(),
            processes: Vec::new(),
            world,
            order: HappensBefore::default(),
            numbers: vec![Vec::new(); programs.len()],
            told: BTreeSet::new(),
            changes: BTreeMap::new(),
            times: vec![Vec::new(); programs.len()],
            pasts: vec![Vec::new(); programs.len()],
            programs,
            detail,
            preferred: Vec::new(),
            descriptions: 0,
            turns: 0,
            limits,
            asked_for: BTreeSet::new(),
            under_way: None,
        };
        for process in 0..running.programs.len() {
            running.processes.push(Process { clock: running.world.begins, ..Process::default() });
            running.begin(process)?;
        }
        Ok(running)
    }

    /// Forks the first task of a process, and runs it to its first operation.
    pub(super) fn spawn(&mut self, process: usize) -> Result<(), TraceError> {
        let task = self.sandbox.spawn(self.programs[process], first_pid(process))?;
        self.adopt(task, Name { process, way: Vec::new() }, None);
        self.processes[process].tasks = 1;
        self.connect_input(process)?;
        self.settle(process)
    }

    /// Takes up a task that is held where it begins. `parent`: with its thread group and whether descriptors and group are shared.
    pub(super) fn adopt(&mut self, tracee: Tracee, name: Name, parent: Option<(&Name, u64)>) {
        let shares = |flag: libc::c_int| parent.is_some_and(|(_, flags)| flags & flag as u64 != 0);
        let parent = parent.map(|(parent, _)| &self.tasks[parent]);
        let descriptors = match parent {
            Some(parent) if shares(libc::CLONE_FILES) => Rc::clone(&parent.descriptors),
            Some(parent) => Rc::new(RefCell::new(parent.descriptors.borrow().clone())),
            None => Rc::new(RefCell::new(Descriptors::default())),
        };
        if shares(libc::CLONE_FS) && !shares(libc::CLONE_FILES) {
            // Where one of them goes, the other goes too.
            for table in parent.map(|parent| &parent.descriptors).into_iter().chain([&descriptors]) {
                table.borrow_mut().has_left = true;
            }
        }
        let group = parent.filter(|_| shares(libc::CLONE_THREAD)).map_or(tracee.id(), |parent| parent.group);
        let number = self.processes[name.process].tasks.saturating_sub(1) as usize;
        let runs = match parent {
            Some(parent) => parent.runs,
            None => exec::program(&tracee, &mut self.world),
        };
        let task = Task { runs, ..Task::new(tracee, &name, number, group, descriptors) };
        self.tasks.insert(name, task);
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
                None if self.top_up(process)? => {}
                None if let Some(name) = self.to_look_within(process) => self.look_within(&name)?,
                None if self.continue_the_stopped(process)? => self.processes[process].moved += 1,
                None if std::mem::take(&mut self.world.interrupts) && self.interrupt_waiters(process)? => {
                    self.world.interrupts = true;
                }
                None if sleep::run_out(self, process)? => {}
                None if self.collect_the_killed()? => self.processes[process].moved += 1,
                None => {
                    self.redo_if_more_is_seen(process)?;
                    self.hold_a_spinner(process);
                    self.note_next_timer(process);
                    return Ok(());
                }
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
        let task = self.task(name)?;
        let slept_in = match &task.state {
            State::Asleep { call, .. } => Some(*call),
            _ => None,
        };
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
            let stop = match task.tracee.wait()? {
                Waited::Stopped(stop) => stop,
                Waited::Computes => return Err(self.endless(name, Does::Computes)),
                Waited::Asleep => {
                    task.tracee.interrupt()?;
                    let mut stop = task.tracee.wait_for_stop()?;
                    // A call that is watched to its exit comes to rest there; it is made again.
                    let registers = task.tracee.registers()?;
                    if stop == Stop::CallExit && registers.is_to_be_made_again() {
                        let mut again = registers;
                        again.make_again(&registers);
                        task.tracee.set_registers(again)?;
                        stop = Stop::AtRest;
                    }
                    match stop {
                        Stop::AtRest => {
                            // Going back into the call that it slept in is not a move; to come to another one is.
                            let slept_in = slept_in.filter(|_| stops <= 1);
                            return self.put_to_sleep(name, slept_in);
                        }
                        stop => stop,
                    }
                }
            };
            stops += 1;
            self.limits.event()?;
            if !self.on_stop(name, stop)? {
                self.processes[name.process].moved += 1;
                return Ok(());
            }
        }
    }

    /// `slept_in`: the call in which it slept, if it has come to no stop since.
    fn put_to_sleep(&mut self, name: &Name, slept_in: Option<Registers>) -> Result<(), TraceError> {
        let call = self.task(name)?.tracee.registers()?;
        if !slept_in.is_some_and(|before| before.is_same_call(&call)) {
            self.processes[name.process].moved += 1;
        }
        let since = self.processes[name.process].moved;
        self.processes[name.process].segment.seen = true;
        let task = self.task(name)?;
        task.watched = None;
        let mut registers = call;
        if registers.restart_if_interrupted() {
            task.tracee.set_registers(registers)?;
        }
        task.state = State::Asleep { since, call };
        Ok(())
    }

    /// Does the pending operation of a process, and runs it on to the next.
    ///
    /// # Errors
    /// Where the machine fails, or the exploration is to stop.
    pub fn step(&mut self, process: ProcessId) -> Result<Event, TraceError> {
        self.under_way = None;
        let mut event = match self.next_look(process.0).cloned() {
            Some(look) => self.look_again(process.0, look)?,
            None if self.stands_for_signal(process.0).is_some() => self.take_signal(process.0)?,
            None if self.ends_unheld(process.0).is_some() => self.do_end(process.0)?,
            None if self.processes[process.0].polling.wait.is_some() => self.do_wait(process.0)?,
            None => match self.waits_with_timer(process.0) {
                Some(operation) => self.do_timer(process.0, operation)?,
                None => self.do_pending(process, self.offered(process.0).cloned())?,
            },
        };
        self.note_undecided_waits();
        self.without_evidence(&mut event);
        Ok(event)
    }

    /// Does what a task is held at, and runs its process on.
    pub(super) fn step_task(&mut self, name: &Name) -> Result<Event, TraceError> {
        self.under_way = None;
        let mut event = self.do_pending(ProcessId(name.process), Some(name.clone()))?;
        self.note_undecided_waits();
        self.without_evidence(&mut event);
        Ok(event)
    }

    fn without_evidence(&self, event: &mut Event) {
        if self.detail == Detail::Search {
            // What was recorded for the sake of a checkpoint is not asked for.
            event.payload = None;
        }
    }

    /// Does what a process offers: what its task `name` is held at, or the beginning of a unit.
    fn do_pending(&mut self, process: ProcessId, name: Option<Name>) -> Result<Event, TraceError> {
        let clock = self.processes[process.0].clock;
        if let Some(task) = name.as_ref().map(|name| self.tasks[name].number)
            && let Some(preferred) = self.preferred.get_mut(process.0)
            && let Some(at) = preferred.iter().position(|next| *next == task)
        {
            preferred.remove(at);
        }
        self.note_order_of_tasks(process.0);
        let mut event = if let Some(name) = &name {
            if self.processes.iter().any(|other| other.looked.is_some())
                && let Some((operation, _)) = self.tasks[name].pending()
            {
                let operation = operation.clone();
                self.start_the_disturbed(process.0, &operation)?;
            }
            self.execute(name)?
        } else if let Some(operation) = self.next_unit(process.0) {
            self.begin_unit(process.0, operation)?
        } else {
            return Err(TraceError::Lost(format!("{process} has no operation to do")));
        };
        self.may_time_out(process.0, &mut event.operation);
        self.under_way = Some(event.clone());
        let after_others = self.is_recording(process.0) && self.depends_on_others(&event);
        self.record(process.0, &event.operation);
        self.processes[process.0].polling.note(&event);
        self.let_those_meet(process.0, &event.operation)?;
        match &name {
            Some(name) if self.end_as_known(process.0, name)? => {}
            Some(_) => {
                self.settle_after(process.0)?;
                self.learn_end(process.0)?;
            }
            None => self.settle_after(process.0)?,
        }
        event.exit = self.status(process.0).exit();
        self.note_beginning(&event, clock, after_others)?;
        self.redo_meanings(process, &event.operation)?;
        self.wake_sleepers(process.0)?;
        Ok(event)
    }

    /// Runs a process on, behind an operation.
    pub(super) fn settle_after(&mut self, process: usize) -> Result<(), TraceError> {
        self.processes[process].moved += 1;
        self.processes[process].timers = 0;
        self.processes[process].pauses = Pauses::default();
        self.settle(process)
    }

    /// Whether an event that is not recorded yet depends on one of another process.
    fn depends_on_others(&self, event: &Event) -> bool {
        let before = self.order.clock_before(event.process, &event.operation);
        before.iter().enumerate().any(|(process, &events)| process != event.process.0 && events > 0)
    }

    /// Where a signal that kills was sent within a process, some of it may be gone, held though it was. Whether there was any.
    fn collect_the_killed(&mut self) -> Result<bool, TraceError> {
        if !std::mem::take(&mut self.world.signalled) {
            return Ok(false);
        }
        let names: Vec<Name> = self.tasks.keys().cloned().collect();
        let before = names.len();
        for name in names {
            let Some(task) = self.tasks.get(&name) else { continue };
            // A stop that was not waited for is that of a task about to end.
            match task.tracee.poll()? {
                Some(Stop::Gone(_)) => {}
                Some(_) => task.tracee.kill(),
                None if task.tracee.is_held()? => continue,
                None if matches!(task.state, State::Meeting { .. }) && task.tracee.sleeps()? => continue,
                None => task.tracee.kill(),
            }
            self.forget(&name, Exit::Signal(libc::SIGKILL));
        }
        Ok(self.tasks.len() < before)
    }

    /// What a process sleeps in may have been ended by another.
    pub(super) fn wake_sleepers(&mut self, but: usize) -> Result<(), TraceError> {
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
        let now = self.latest_before(process, operation) + TICK;
        self.processes[process].clock = now;
        self.processes[process].busy += TICK;
        now
    }

    /// The time of the latest of all that an operation depends on.
    pub(super) fn latest_before(&self, process: usize, operation: &Operation) -> u64 {
        let before = self.order.clock_before(ProcessId(process), operation);
        // Time only moves forward along the order: of each process the latest event counts.
        let latest = before
            .iter()
            .zip(&self.times)
            .filter_map(|(&events, times)| times.get(events.checked_sub(1)? as usize));
        latest.copied().fold(self.processes[process].clock, u64::max)
    }

    /// The latest of the processes' clocks.
    pub(super) fn latest(&self) -> u64 {
        self.processes.iter().map(|process| process.clock).fold(self.world.begins, u64::max)
    }

    /// Which of a process's operations, from 1, the one is that is being done.
    pub(super) fn number(&self, process: usize) -> u32 {
        u32::try_from(self.times[process].len() + 1).unwrap_or(u32::MAX)
    }

    /// Of each process, how many of its operations come before the one that `process` is doing.
    pub(super) fn known_before(&self, process: usize, operation: Option<&Operation>) -> Vec<u32> {
        let operation = operation.cloned().unwrap_or_default();
        self.order.clock_before(ProcessId(process), &operation)
    }

    /// Records what was done, at the time that the clock of its process shows.
    pub(super) fn record(&mut self, process: usize, operation: &Operation) {
        self.record_at(process, operation, self.processes[process].clock);
    }

    /// Records what was done, at this time.
    pub(super) fn record_at(&mut self, process: usize, operation: &Operation, time: u64) {
        self.note_changing(process, operation);
        let number = self.order.push(ProcessId(process), operation);
        self.times[process].push(time);
        self.numbers[process].push(number);
        self.world.streams.note(ProcessId(process), &operation.adds);
        self.note_change(ProcessId(process), operation);
        self.asked_for.extend(asked_by(process, operation));
        let past = self.world.faults.past(past(process, self.order.clock(number), &self.pasts));
        self.pasts[process].push(past);
        let others = self.processes.iter_mut().enumerate().filter(|(other, _)| *other != process);
        others.for_each(|(_, other)| other.polling.disturb(ProcessId(process), operation));
    }

    /// The event of a step that was not completed, in which this process did what it was held at: with its result if it is known.
    pub(super) fn take_under_way(&mut self, process: ProcessId, status: &Status) -> Event {
        let operation = status.operation().cloned().unwrap_or_default();
        let (result, task) = (CallResult::Value(0), String::new());
        let whole = self.under_way.take().filter(|event| event.operation.call == operation.call);
        let held = Event { process, task, operation, result, exit: None, payload: None };
        whole.map_or(held, |event| Event { process, ..event })
    }

    /// A process of which a task comes to no further operation.
    pub(super) fn endless(&self, name: &Name, does: Does) -> TraceError {
        let last = self.tasks.get(name).and_then(|task| task.last_call);
        let call = last.map_or_else(String::new, |call| name_of(call).to_owned());
        TraceError::Endless(Box::new(Endless { process: ProcessId(name.process), does, call }))
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
        for looks in 0.. {
            if left.is_empty() {
                break;
            }
            left.retain(|tracee| match tracee.poll() {
                Ok(None) => {
                    // One whose last stop was told already, as that of a task about to end, stands there until it is let go.
                    let _ = tracee.resume(Resume::Freely, 0);
                    true
                }
                Ok(Some(Stop::Gone(_))) | Err(_) => false,
                Ok(Some(_)) => tracee.resume(Resume::Freely, 0).is_ok(),
            });
            give_way(looks);
        }
    }
}
