//! What the stops of a task mean: calls, children, new programs, ends.

use std::cell::RefCell;
use std::rc::Rc;

use nix::unistd::Pid;

use super::TraceError;
use super::chance::TICK;
use super::decode::Decision;
use super::endings::is_private;
use super::execution::Running;
use super::ids::id_of;
use super::leaving::asked_by;
use super::task::{Name, State, Task};
use super::tracee::{Resume, Stop};
use crate::model::{Does, Exit, GapKind, ProcessId, Sighting};

/// How many tasks (children and threads) a process may have at once: as many as the descriptors of the controller allow with which
/// it watches them.
const MOST_TASKS: usize = 256;

/// What is said of a process of which a task is stopped.
fn is_stopped(process: usize) -> Sighting {
    let process = ProcessId(process);
    let what = format!("{process} is stopped by a signal, until it is continued");
    Sighting::new(GapKind::Signal, process, what)
}

impl Running<'_> {
    /// Deals with a stop; whether the task goes on.
    pub(super) fn on_stop(&mut self, name: &Name, stop: Stop) -> Result<bool, TraceError> {
        let expected = matches!(stop, Stop::CallEntry | Stop::CallExit | Stop::Exiting | Stop::Gone(_));
        self.processes[name.process].segment.seen |= !expected;
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
            Stop::Signal(signal) => {
                let task = self.task(name)?;
                task.signal = signal;
                task.sleeps_until = None;
            }
            Stop::JobControl => {
                let task = self.task(name)?;
                task.tracee.resume(Resume::Listening, 0)?;
                task.state = State::Suspended;
                self.world.not_covered.insert(is_stopped(name.process));
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

    /// Where a signal that continues was sent within a process: those of its tasks that were stopped go on. Whether there were any.
    pub(super) fn continue_the_stopped(&mut self, process: usize) -> Result<bool, TraceError> {
        if !std::mem::take(&mut self.world.continued) {
            return Ok(false);
        }
        let stopped = |(_, task): &(&Name, &Task)| matches!(task.state, State::Suspended);
        let names: Vec<Name> = self.of(process).filter(stopped).map(|(name, _)| name.clone()).collect();
        let mut left = names.len();
        for name in &names {
            let task = self.task(name)?;
            if task.tracee.is_continued()? {
                task.state = State::Ready;
                left -= 1;
            }
        }
        if left == 0 {
            self.world.not_covered.remove(&is_stopped(process));
        }
        Ok(left < names.len())
    }

    pub(super) fn on_entry(&mut self, name: &Name) -> Result<bool, TraceError> {
        let task = self.task(name)?;
        let entry = task.tracee.registers()?;
        task.last_call = Some(entry.call());
        self.place_program(name, entry.call());
        let decision = self.meaning(name, &entry)?;
        let private = match &decision {
            Decision::Pass => is_private(entry.call()),
            Decision::End(_) | Decision::Close(_) | Decision::Answer { .. } | Decision::Random { .. } => true,
            _ => false,
        };
        self.note_in_segment(name.process, entry.call(), private)?;
        let tasks = self.of(name.process).count();
        let alone = tasks == 1;
        let due = self.world.timers.next_due(name.process);
        let process = &mut self.processes[name.process];
        let task =
            self.tasks.get_mut(name).ok_or_else(|| TraceError::Lost(format!("task {name} is not known")))?;
        let mut registers = entry;
        let mut skip = |result: i64, task: &Task| {
            registers.skip_with(result);
            task.tracee.set_registers(registers)
        };
        match decision {
            Decision::Pass => {
                if let Some(result) = self.drop_output(name, &entry)? {
                    skip(result, self.task(name)?)?;
                }
            }
            Decision::Close(numbers) => self.close_descriptors(name, &numbers)?,
            Decision::Watch(action) => task.watched = Some(action),
            Decision::Answer { result, memory } => {
                // A look at the clock moves it: a program that waits for time to pass sees it pass.
                process.clock += TICK;
                process.busy += TICK;
                let put = memory.iter().try_for_each(|(address, bytes)| task.tracee.write(*address, bytes));
                skip(if put.is_ok() { result } else { -i64::from(libc::EFAULT) }, task)?;
            }
            Decision::Random { address, length } => {
                let bytes = task.random.bytes(length);
                let put = task.tracee.write(address, &bytes);
                skip(if put.is_ok() { length as i64 } else { -i64::from(libc::EFAULT) }, task)?;
            }
            Decision::Sleep(time)
                if !alone
                    || process.polling.is_in_vain()
                    || due.is_some_and(|due| due <= process.clock + time) =>
            {
                // What others do meanwhile comes first: it sleeps until its time is the earliest.
                process.sees_more |= !process.has_slept;
                process.has_slept = true;
                task.sleeps_until = Some(process.clock + time.max(TICK));
                registers.pause();
                task.tracee.set_registers(registers)?;
            }
            Decision::Sleep(time) => {
                process.sleeps();
                process.pauses.note();
                let pauses = process.pauses;
                if pauses.cost >= self.limits.most_sleeps() {
                    return Err(self.endless(name, Does::Sleeps(pauses.count)));
                }
                let process = &mut self.processes[name.process];
                process.clock += time.max(TICK);
                skip(0, task)?;
            }
            Decision::End(status) => {
                if self.is_held_at_end(name) {
                    let exit = Exit::Status(status & 0xff);
                    self.hold_at_end(name, true, Some((entry, exit)))?;
                    return Ok(false);
                }
            }
            Decision::Fork if tasks >= MOST_TASKS => {
                return Err(TraceError::TooManyTasks { process: ProcessId(name.process), most: MOST_TASKS });
            }
            Decision::Fork => {
                let next = id_of(name.process, process.tasks);
                process.pauses.made = true;
                process.tasks += 1;
                if self.world.by_task {
                    // What is recorded would be done again in one order of the tasks.
                    process.end_prefix();
                }
                if let Err(error) = self.sandbox.set_next_pid(next) {
                    let what = format!("process ids of children ({error})");
                    self.sight(name.process, GapKind::ProcessIds, what);
                }
            }
            Decision::Hold(held) => {
                self.turns += 1;
                task.held_since = process.operations;
                // Also if it never makes the call, as a signal kills it before: in another execution it does.
                self.asked_for.extend(asked_by(name.process, &held.operation));
                task.state = State::Held { held: Box::new(held), entry, turn: self.turns };
                return Ok(false);
            }
        }
        self.run_out_due(name.process)?;
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
        let child = task.tracee.another(child);
        let held = child.wait_for_stop();
        // Whatever ends the wait: all tasks that are known are ended with the execution.
        self.adopt(child, child_name.clone(), Some((name, flags)));
        held?;
        if flags & libc::CLONE_THREAD as u64 != 0 {
            self.note_one_order(name.process);
        }
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
        self.forget_timers(name, false);
        let task = self.task(name)?;
        let closed = task.descriptors.borrow().closed_by_exec();
        if Rc::strong_count(&task.descriptors) > 1 {
            let own = task.descriptors.borrow().clone();
            task.descriptors = Rc::new(RefCell::new(own));
        }
        super::exec::fix_chance(&task.tracee, &mut task.random)?;
        if let Some(task) = self.tasks.get_mut(name) {
            task.runs = super::exec::program(&task.tracee, &mut self.world);
        }
        self.restore_stack(name);
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
        if self.released_by_end(name, others.is_empty()).is_empty() {
            return Ok(true);
        }
        self.hold_at_end(name, others.is_empty(), None)?;
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

    pub(super) fn forget(&mut self, name: &Name, exit: Exit) {
        self.release_awaiting(name);
        self.release_at_end(name, false);
        if self.tasks.get(name).is_some_and(|task| task.group == task.tracee.id()) {
            self.forget_timers(name, true);
        }
        if let Some(Task { group, tracee, .. }) = self.tasks.remove(name) {
            self.forget_signals(name.process, group);
            self.world.forget_footprint(tracee.id());
        }
        if name.way.is_empty() {
            self.processes[name.process].exit = Some(exit);
        }
    }
}
