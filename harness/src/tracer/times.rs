//! Which of two files was changed last, if nothing orders the two changes. A process that is told the times of both may decide by that.
//!
//! Times follow from the partial order of what has happened, so of two changes that nothing orders the same one is the later in every
//! execution of a trace class. This module notes which processes were told the times of two such changes, and by which delay the other one
//! would be the later. The session tries that, and orders the two changes if it matters.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Tracer;
use super::chance::TICK;
use super::execution::Running;
use super::objects::Touch;
use super::task::Name;
use crate::model::{Access, AccessKind, Location, ObjectId, Operation, ProcessId};

/// How the times of files come about in an execution.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// The files whose changes are in conflict, because it matters which of them was changed last.
    pub ordered: Rc<BTreeSet<String>>,
    /// Changes that are told to be later than they were.
    pub delays: Rc<Vec<Delay>>,
    /// Whether changes that something orders are of interest, too: what orders them may be nothing that the search looks at.
    pub all: bool,
}

/// A change that is told to be later than it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Delay {
    process: usize,
    /// Which of its operations, from 1.
    operation: u32,
    /// In nanoseconds.
    by: u64,
    /// Whether only this change is delayed, and none of those that come after it.
    alone: bool,
}

/// A process was told the times of two files, and the change that was not the later one could as well have been it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Overtaking {
    /// The process that was told, and the two files. The change of the first file could be the later one.
    pub told: (ProcessId, [String; 2]),
    /// The calls that changed them last.
    pub calls: [String; 2],
    /// The paths by which they were changed.
    pub changed: BTreeSet<String>,
    /// The delay that makes it the later one.
    pub delay: Delay,
    /// Whether something orders the two changes.
    pub is_ordered: bool,
}

/// The delays that make as many of these changes the later ones as can be tried at once: of each process its earliest change, with all that
/// comes after it.
#[must_use]
pub fn delays_of(overtakings: &[Overtaking]) -> Vec<Delay> {
    let mut delays: BTreeMap<(usize, Option<u32>), Delay> = BTreeMap::new();
    for Overtaking { delay, .. } in overtakings {
        let known = delays.entry((delay.process, delay.alone.then_some(delay.operation))).or_insert(*delay);
        known.operation = known.operation.min(delay.operation);
        known.by = known.by.max(delay.by);
    }
    delays.into_values().collect()
}

/// A process was told the times of an object, which come from these changes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Told {
    process: usize,
    object: ObjectId,
    touches: Vec<Touch>,
    path: String,
}

impl Times {
    /// Puts an operation that changes one of the `ordered` files in conflict with those that change the others.
    pub fn order(&self, operation: &mut Operation) {
        let path = operation.call.path.as_deref().unwrap_or_default();
        let changes = |access: &Access| {
            let has_time = matches!(
                access.location,
                Location::Status(_) | Location::Name { .. } | Location::Data { .. }
            );
            has_time && access.kind != AccessKind::Read
        };
        if self.ordered.contains(path) && operation.accesses.iter().any(changes) {
            operation.accesses.push(Access::write(Location::Times));
        }
    }
}

impl Tracer {
    /// Puts the changes of these files in conflict from now on. Nothing may have been run before. `all`: changes that something orders are
    /// of interest, too.
    pub fn order_times(&mut self, of: &BTreeSet<String>, all: bool) {
        self.times = Times { ordered: Rc::new(of.clone()), all, ..Times::default() };
    }

    /// From now on, processes are told that these changes were later than they were. Meanwhile, what is known of how processes end is not
    /// used.
    pub fn delay(&mut self, changes: &[Delay]) {
        self.times.delays = Rc::new(changes.to_vec());
    }

    /// The changes that could have come later than others in the last execution, as far as a process could tell.
    pub fn take_overtakings(&mut self) -> BTreeSet<Overtaking> {
        std::mem::take(&mut self.overtakings)
    }
}

impl Running<'_> {
    /// The change of an object that the present operation makes. Without an `operation`, it makes the object or writes into it.
    pub(super) fn touch_of(&self, name: &Name, operation: Option<&Operation>, object: ObjectId) -> Touch {
        let process = name.process;
        let modifies = operation.is_none_or(|operation| {
            let call = operation.call.name.as_str();
            let has_names = |access: &Access| access.location == Location::Listing(object);
            let is_about_names = ["link", "unlink", "rename", "rmdir"].iter().any(|of| call.starts_with(of));
            !is_about_names || operation.accesses.iter().any(has_names)
        });
        let time = super::chance::EPOCH + self.processes[process].clock;
        Touch { process, operation: self.number(process), time, modifies, is_set: false }
    }

    /// The time that programs are told of a change, in nanoseconds since 1970.
    pub(super) fn time_of(&self, touch: &Touch) -> u64 {
        let delays = self.world.times.delays.iter().filter(|_| !touch.is_set);
        let delays = delays.filter(|delay| match delay.alone {
            true => (touch.process, touch.operation) == (delay.process, delay.operation),
            false => self.is_behind(touch, delay.process, delay.operation),
        });
        delays.fold(touch.time, |time, delay| time.saturating_add(delay.by))
    }

    /// Whether a change is this operation of a process, or comes after it.
    fn is_behind(&self, touch: &Touch, process: usize, operation: u32) -> bool {
        let number = touch.operation.checked_sub(1).and_then(|place| {
            self.numbers.get(touch.process).and_then(|numbers| numbers.get(place as usize))
        });
        match number {
            Some(number) => self.order.clock(*number).get(process).is_some_and(|&seen| seen >= operation),
            // It is under way.
            None => touch.process == process && touch.operation >= operation,
        }
    }

    /// Takes note of what a process is told of the times of an object.
    pub(super) fn note_times(&mut self, process: usize, object: ObjectId, touches: Vec<Touch>, path: &str) {
        if !touches.is_empty() {
            self.told.insert(Told { process, object, touches, path: path.to_owned() });
        }
    }

    /// Which changes could as well have come later than others, as far as a process could tell.
    pub(super) fn overtakings(&self) -> BTreeSet<Overtaking> {
        let mut found = BTreeSet::new();
        for one in &self.told {
            let others = self.told.iter();
            for other in others.filter(|other| other.process == one.process && other.object != one.object) {
                for content in [true, false] {
                    found.extend(self.overtaking([one, other], content));
                }
            }
        }
        found
    }

    /// The change of one object that was not later than the known changes of the other, but could have been. `content`: by the times of the
    /// last change of what they hold, else of any change.
    fn overtaking(&self, [one, other]: [&Told; 2], content: bool) -> Option<Overtaking> {
        let counts = |touch: &&Touch| if content { touch.modifies } else { !touch.is_set };
        let latest = |told: &Told| {
            let touches = told.touches.iter().filter(counts);
            touches.max_by_key(|touch| self.time_of(touch)).copied()
        };
        let (last, other_last) = (latest(one)?, latest(other)?);
        let (time, other_time) = (self.time_of(&last), self.time_of(&other_last));
        if time > other_time || other_last.operation == 0 {
            return None;
        }
        let is_before_the_other = |touch: &&Touch| {
            let mut others = other.touches.iter().filter(counts);
            others.any(|behind| self.is_behind(behind, touch.process, touch.operation))
        };
        let touches = || one.touches.iter().filter(counts).filter(|touch| touch.operation > 0);
        let free = touches().filter(|touch| !is_before_the_other(touch)).max_by_key(|touch| touch.time);
        let others = other.touches.iter().filter(counts).filter(|touch| touch.operation > 0);
        let alone = || {
            let of_another = |touch: &&Touch| touch.process != other_last.process;
            self.world
                .times
                .all
                .then(|| touches().filter(of_another).max_by_key(|touch| touch.time))
                .flatten()
        };
        let (touch, is_ordered) = free.map(|it| (it, false)).or_else(|| alone().map(|it| (it, true)))?;
        let by = other_time.saturating_sub(self.time_of(touch)).saturating_add(TICK);
        Some(Overtaking {
            told: (ProcessId(one.process), [one.path.clone(), other.path.clone()]),
            calls: [self.change(touch).0, self.change(&other_last).0],
            changed: others.chain([touch]).map(|touch| self.change(touch).1).collect(),
            delay: Delay { process: touch.process, operation: touch.operation, by, alone: is_ordered },
            is_ordered,
        })
    }

    /// The call that made a change, and by which path.
    fn change(&self, touch: &Touch) -> (String, String) {
        self.changes.get(&(touch.process, touch.operation)).cloned().unwrap_or_default()
    }

    /// Takes note of an operation that is to be recorded next, if it changes something.
    pub(super) fn note_changing(&mut self, process: usize, operation: &Operation) {
        let changes = |access: &Access| {
            access.kind != AccessKind::Read
                && matches!(access.location, Location::Status(_) | Location::Name { .. })
        };
        if operation.accesses.iter().any(changes) {
            let call = &operation.call;
            let change = (call.name.clone(), call.path.clone().unwrap_or_default());
            self.changes.insert((process, self.number(process)), change);
        }
    }
}
