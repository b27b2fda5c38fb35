//! Processes that poll: held before their pause ends, let go to look again, or to look in vain until they give up.
//!
//! Who does not give up has looked many times before that is known; and comes there again in most executions, with the same past. So
//! what was found is remembered, and who is known to look for ever does not look. That it looked is a difference as well, as a program
//! may count: so the execution in which it is found out is run once more, with that known, and is as all others are in which it comes
//! there. Where there is something that the tracer cannot see, nothing is remembered, and it looks each time.

use std::collections::BTreeMap;

use super::TraceError;
use super::execution::Running;
use super::known::{Past, past};
use super::polling::{MOST_ROUNDS, Pause, TASK_COST, Wait, is_look_of};
use crate::model::{CallResult, Event, Location, Operation, ProcessId, Status};

/// How far the clock moves with a look without a pause, in nanoseconds for each that was in vain before it: so that a limit in
/// time is reached before one in looks.
const SPIN_TICK: u64 = 10_000;

/// So many are remembered.
const MOST: usize = 10_000;

/// Who looks for ever behind which past.
#[derive(Debug, Default)]
pub struct Polls(BTreeMap<(usize, Past), Vain>);

/// What comes of looking for ever.
#[derive(Clone, Copy, Debug)]
struct Vain {
    /// How many looks there were until that was known.
    looks: i64,
    /// When the last one was.
    time: u64,
    /// What time it was behind it.
    clock: u64,
}

impl Running<'_> {
    /// Holds a process that looks at the same again and again without a sleep.
    pub(super) fn hold_a_spinner(&mut self, process: usize) {
        if !self.is_by_task(process) && self.offered(process).is_some() && self.is_look(process, None) {
            self.processes[process].polling.holds(Pause::None);
        }
    }

    /// Whether the order of a process's tasks is for the strategy to choose. Who polls then is not seen to.
    pub(super) fn is_by_task(&self, process: usize) -> bool {
        self.world.by_task && self.processes[process].tasks > 1
    }

    /// Whether what a process offers only looks, at what `wait` looks at.
    fn is_look(&self, process: usize, wait: Option<&Operation>) -> bool {
        let pending = self.offered(process).and_then(|name| self.tasks[name].pending());
        pending.is_some_and(|(operation, _)| {
            !operation.is_end() && is_look_of(operation, wait.unwrap_or(operation))
        })
    }

    /// Whether a process offers the look that comes next in its rounds. `looks`: how many it has made in this step, if it does not pause.
    fn goes_on(&self, process: usize, wait: &Wait, looks: i64) -> bool {
        let looks = match wait.pause {
            Pause::None => usize::try_from(looks).unwrap_or(0),
            Pause::Sleep(_) => self.processes[process].polling.looks(),
        };
        let pending = self.offered(process).and_then(|name| self.tasks[name].pending());
        pending.is_some_and(|(operation, _)| wait.goes_on(looks, &operation.call))
    }

    /// Where a process stands that polls.
    pub(super) fn waits(&self, process: usize) -> Option<Status> {
        let polling = &self.processes[process].polling;
        let operation = polling.wait.as_ref()?.operation.clone();
        if operation.awaits && !polling.is_changed() {
            let holders = self.lock_holders(process, &operation);
            return Some(Status::Blocked { operation, holders });
        }
        Some(Status::Enabled(operation))
    }

    /// Who holds the locks that a process polls.
    fn lock_holders(&self, process: usize, operation: &Operation) -> Vec<ProcessId> {
        let locks = operation.accesses.iter().map(|access| &access.location);
        let mut holders: Vec<ProcessId> = locks
            .filter(|location| matches!(location, Location::Lock(_) | Location::RecordLock { .. }))
            .flat_map(|location| self.world.locks.holders_of(location))
            .filter(|holder| holder.0 != process)
            .collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// Lets a process go on that polls. Where what it looks at has changed, up to its next look; else it looks on in vain, within
    /// this step, until it does something else, or is seen to look for ever.
    pub(super) fn do_wait(&mut self, process: usize) -> Result<Event, TraceError> {
        let state = &mut self.processes[process];
        let Some(wait) = state.polling.wait.clone() else {
            return Err(TraceError::Lost(format!("{} does not wait", ProcessId(process))));
        };
        let changed = state.polling.is_changed();
        state.operations += 1;
        state.end_prefix();
        let operation = wait.operation.clone();
        self.processes[process].not_before = self.latest_before(process, &operation);
        self.start_the_disturbed(process, &operation)?;
        let (looks, time) = match self.known_vain(process, &operation).filter(|_| !changed) {
            Some(Vain { looks, time, clock }) => {
                let state = &mut self.processes[process];
                state.clock = clock;
                state.polling.is_endless();
                (looks, time)
            }
            None => {
                self.let_go(process, &wait)?;
                let mut time = self.processes[process].clock;
                let looks = if changed { 0 } else { self.look_in_vain(process, &wait, &mut time)? };
                (looks, time)
            }
        };
        self.record_at(process, &operation, time);
        let mut event = Event {
            process: ProcessId(process),
            task: String::new(),
            operation,
            result: CallResult::Value(looks),
            exit: None,
            payload: None,
        };
        event.exit = self.status(process).exit();
        self.redo_meanings(ProcessId(process), &event.operation)?;
        self.wake_sleepers(process)?;
        Ok(event)
    }

    /// Where it is known that a process looks for ever now: what comes of it. Where there is something that the tracer cannot see,
    /// it may come out otherwise.
    fn known_vain(&self, process: usize, wait: &Operation) -> Option<Vain> {
        self.known.polls.0.get(&self.vain_key(process, wait)?).copied()
    }

    /// The program of a process, and the past that its wait will have.
    fn vain_key(&self, process: usize, wait: &Operation) -> Option<(usize, Past)> {
        if !self.world.is_all_covered() {
            return None;
        }
        let mut clock = self.known_before(process, Some(wait));
        clock.resize(self.programs.len(), 0);
        clock[process] += 1;
        Some((self.programs[process], past(process, &clock, &self.pasts)))
    }

    fn learn_vain(&mut self, process: usize, wait: &Operation, vain: Vain) {
        let Some(key) = self.vain_key(process, wait) else { return };
        if self.known.polls.0.len() == MOST {
            self.known.polls.0.clear();
        }
        // What is known, but was not sure, is not learned again.
        self.has_learned |= self.known.polls.0.insert(key, vain).is_none();
    }

    /// Ends a pause.
    fn let_go(&mut self, process: usize, wait: &Wait) -> Result<(), TraceError> {
        let state = &mut self.processes[process];
        state.polling.wait = None;
        state.polling.let_go = true;
        match wait.pause {
            Pause::None => {
                state.clock = state.clock.max(state.not_before);
                Ok(())
            }
            Pause::Sleep(_) => self.settle_after(process),
        }
    }

    /// Lets a process look on. Gives how many looks there were; `time` becomes that of the last one.
    fn look_in_vain(&mut self, process: usize, wait: &Wait, time: &mut u64) -> Result<i64, TraceError> {
        let (mut looks, mut rounds) = (0i64, 0);
        let tasks = self.processes[process].tasks;
        loop {
            let state = &self.processes[process];
            if let Some(next) = state.polling.wait.clone() {
                if !is_look_of(&next.operation, &wait.operation) {
                    break;
                }
                rounds += 1;
                let cost = rounds + TASK_COST * u64::from(state.tasks - tasks);
                if rounds > 1 && state.polling.is_known_to_be_endless() {
                    break self.processes[process].polling.is_endless();
                }
                if cost >= MOST_ROUNDS {
                    self.learn_vain(
                        process,
                        &wait.operation,
                        Vain { looks, time: *time, clock: state.clock },
                    );
                    break self.processes[process].polling.is_endless();
                }
                self.let_go(process, &next)?;
            } else if self.is_look(process, Some(&wait.operation)) && self.goes_on(process, wait, looks) {
                let Some(name) = self.offered(process).cloned() else { break };
                looks += 1;
                if wait.pause == Pause::None {
                    self.processes[process].clock += SPIN_TICK * looks.cast_unsigned();
                }
                let event = self.execute(&name)?;
                // It is part of this operation, and makes nothing.
                self.processes[process].operations -= 1;
                *time = self.processes[process].clock;
                self.processes[process].polling.note(&event);
                self.settle_after(process)?;
            } else {
                break;
            }
            self.limits.event()?;
        }
        Ok(looks)
    }
}
