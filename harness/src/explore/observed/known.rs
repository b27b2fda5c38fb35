use std::collections::{BTreeMap, BTreeSet};

use super::mark::{Mark, mark};
use super::world::{Needs, World};
use crate::model::{CallResult, Event, Location, ProcessId, Status, View};

/// Where an execution stands: what is shared, and of each process what stands for all that it has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Point {
    world: World,
    histories: Vec<Mark>,
    over: BTreeMap<ProcessId, Status>,
}

/// What was seen of the processes so far. What one does next is decided by what it has seen and by what it looks at.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Steps that were done, with what they depended on.
    steps: BTreeMap<(ProcessId, Mark), Vec<(Needs, Event)>>,
    /// What processes were held at.
    held: BTreeMap<(ProcessId, Mark), Vec<(Needs, Status)>>,
    /// Where executions ended.
    ends: BTreeSet<Mark>,
    /// A planted fault: something is forgotten that should tell two things apart.
    pub(super) fault: Option<ObservedFault>,
}

/// A fault to plant, so that the self-checks can be seen to find it. Not part of the interface.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObservedFault {
    /// A process is taken to do the same whatever it has read.
    ReadsForgotten,
    /// A step is taken to do the same whatever it looks at.
    NeedsForgotten,
    /// A step is taken to do the same whatever names lead to.
    NamesForgotten,
    /// It is taken not to matter who did what.
    WhoForgotten,
    /// Two ends are the same whatever files hold.
    WorldForgotten,
    /// Two ends are the same whatever processes have seen.
    HistoriesForgotten,
}

impl Point {
    fn history(&self, process: ProcessId) -> Mark {
        self.histories.get(process.0).copied().unwrap_or(0)
    }

    /// Goes on by an event.
    pub(super) fn push(&mut self, event: &Event, fault: Option<ObservedFault>) {
        let result = match &event.result {
            CallResult::Value(value) => (Some(*value), None),
            CallResult::Error(error) => (None, Some(error)),
        };
        // The bytes that a call took out of a file are all that it tells of the file.
        let read = event.payload.as_ref().filter(|payload| !payload.written);
        let seen = match read {
            Some(payload) => mark(payload.bytes.as_slice()),
            None => {
                let mut needs = self.world.needs_of(event);
                if fault == Some(ObservedFault::WhoForgotten) {
                    needs.retain(|(location, _)| *location != Location::Process(event.process));
                }
                mark(&needs)
            }
        };
        let before = self.history(event.process);
        let history = match fault {
            Some(ObservedFault::ReadsForgotten) => mark(&(event.process, before)),
            Some(ObservedFault::WhoForgotten) => mark(&(before, result, seen, event.exit)),
            // Whose it is counts too: what a call makes is named by who made it.
            _ => mark(&(event.process, before, result, seen, event.exit)),
        };
        if self.histories.len() <= event.process.0 {
            self.histories.resize(event.process.0 + 1, 0);
        }
        self.histories[event.process.0] = history;
        self.world.apply(event, history);
        if let Some(exit) = event.exit {
            self.over.insert(event.process, Status::Finished(exit));
        }
    }

    fn mark(&self, fault: Option<ObservedFault>) -> Mark {
        let world = if fault == Some(ObservedFault::WorldForgotten) { 0 } else { self.world.mark() };
        let histories = if fault == Some(ObservedFault::HistoriesForgotten) { &[] } else { &*self.histories };
        mark(&(world, histories))
    }
}

impl Known {
    /// Takes note of where the processes stand.
    pub(super) fn learn(&mut self, at: &Point, view: View<'_>) {
        for (index, status) in view.processes.iter().enumerate() {
            self.learn_held(at, ProcessId(index), status);
        }
    }

    /// Takes note of where a process stands.
    pub(super) fn learn_held(&mut self, at: &Point, process: ProcessId, status: &Status) {
        let needs = status.operation().map_or_else(Vec::new, |held| at.world.needs(process, &held.accesses));
        let known = self.held.entry((process, at.history(process))).or_default();
        if !known.iter().any(|(before, _)| *before == needs) {
            known.push((needs, status.clone()));
        }
    }

    /// Takes note of a step that is done here.
    pub(super) fn learn_step(&mut self, at: &Point, event: &Event) {
        let mut needs = at.world.needs_of(event);
        if self.fault == Some(ObservedFault::NamesForgotten) {
            needs.retain(|(location, _)| !matches!(location, Location::Name { .. }));
        }
        let known = self.steps.entry((event.process, at.history(event.process))).or_default();
        if !known.iter().any(|(before, _)| *before == needs) {
            known.push((needs, event.clone()));
        }
    }

    /// Takes note of an execution's end.
    pub(super) fn learn_end(&mut self, at: &Point) {
        self.ends.insert(at.mark(self.fault));
    }

    /// Whether an execution has ended so.
    pub(super) fn is_end(&self, at: &Point) -> bool {
        self.ends.contains(&at.mark(self.fault))
    }

    /// The step that a process would do here, if that is known.
    pub(super) fn step(&self, at: &Point, process: ProcessId) -> Option<&Event> {
        let known = self.steps.get(&(process, at.history(process)))?;
        let forgotten = self.fault == Some(ObservedFault::NeedsForgotten);
        known.iter().find(|(needs, _)| forgotten || at.world.has(needs)).map(|(_, event)| event)
    }

    /// Where a process stands here, behind this trace, if that is known.
    pub(super) fn status(&self, at: &Point, trace: &[Event], process: ProcessId) -> Option<Status> {
        if let Some(over) = at.over.get(&process) {
            return Some(over.clone());
        }
        if let Some(event) = self.step(at, process)
            && !event.operation.awaits
            && event.operation.needs.is_empty()
            && event.operation.refused.is_none()
            && !event.operation.acquires.as_ref().is_some_and(|taken| taken.blocking)
        {
            return Some(Status::Enabled(event.operation.clone()));
        }
        let known = self.held.get(&(process, at.history(process)))?;
        let status = known.iter().find(|(needs, _)| at.world.has(needs)).map(|(_, status)| status.clone())?;
        // A change to what was there before is one all the same: it is not in what the places hold.
        Some(match status.operation() {
            Some(held) if held.awaits && held.has_come(process, trace) => Status::Enabled(held.clone()),
            Some(held) if held.awaits && status.is_enabled() => {
                Status::Blocked { operation: held.clone(), holders: Vec::new() }
            }
            _ => status,
        })
    }
}
