use std::collections::BTreeMap;

use super::mark::{Mark, mark};
use crate::model::{Access, AccessKind, Event, Key, Location, ObjectId, ProcessId};

/// What processes share, as fingerprints: what each location holds. What is not in it is as it was in the beginning.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    /// Parts of what is under a key, in their order, none overlapping: first, one past the last, what it holds. A location
    /// without a range is one part.
    parts: BTreeMap<Key, BTreeMap<u64, (u64, Mark)>>,
}

/// What is looked at to know what an operation does, with what is there.
pub(super) type Needs = Vec<(Location, Mark)>;

fn range(location: &Location) -> (u64, u64) {
    match location {
        Location::Data { start, end, .. }
        | Location::RecordLock { start, end, .. }
        | Location::Stream { start, end, .. } => (*start, *end),
        _ => (0, u64::MAX),
    }
}

fn whole(object: ObjectId) -> Location {
    Location::Data { object, start: 0, end: u64::MAX }
}

/// What an access may depend on. Where and how a write changes a file may depend on where the file ends, so on all of it. What joins
/// a listing or a status does the same whatever is there.
fn looked_at(access: &Access) -> Option<Location> {
    match (&access.location, access.kind) {
        (Location::Listing(_) | Location::Status(_), AccessKind::Join) => None,
        (Location::Data { object, .. }, AccessKind::Write | AccessKind::Join) => Some(whole(*object)),
        (Location::Stream { object, way, .. }, AccessKind::Write) => Some(Location::stream(*object, *way)),
        (location, _) => Some(location.clone()),
    }
}

/// Whether an access leaves the same whatever was there, and tells nothing of it: bytes written from the start of a file on; a lock
/// taken that was waited for.
fn is_blind(event: &Event, access: &Access) -> bool {
    let writes = event.payload.as_ref().is_some_and(|payload| payload.written && payload.offset == 0);
    match &access.location {
        Location::Data { start, end, .. } => {
            writes && access.kind == AccessKind::Write && *start == 0 && *end != u64::MAX
        }
        location => {
            let acquires = event.operation.acquires.as_ref();
            acquires.is_some_and(|taken| taken.blocking && taken.lock == *location)
        }
    }
}

impl World {
    /// What a location holds.
    fn at(&self, location: &Location) -> Mark {
        let (start, end) = range(location);
        let parts = self.parts.get(&Key::of(location)).into_iter().flatten();
        let inside = parts.filter(|(from, (to, _))| **from < end && start < *to);
        let inside = inside.map(|(from, (to, holds))| ((*from).max(start), (*to).min(end), *holds));
        mark(&inside.collect::<Vec<_>>())
    }

    /// What these accesses depend on, of an operation that a process is held at: on the signals that it was sent, too.
    pub(super) fn needs(&self, process: ProcessId, accesses: &[Access]) -> Needs {
        let looked_at = accesses.iter().filter_map(looked_at).chain([Location::Process(process)]);
        looked_at.map(|location| (location.clone(), self.at(&location))).collect()
    }

    /// What an event that is to be done here depends on.
    pub(super) fn needs_of(&self, event: &Event) -> Needs {
        let accesses = event.operation.accesses.iter().filter(|access| !is_blind(event, access));
        let looked_at = accesses.filter_map(looked_at).chain([Location::Process(event.process)]);
        looked_at.map(|location| (location.clone(), self.at(&location))).collect()
    }

    /// Whether these hold here.
    pub(super) fn has(&self, needs: &Needs) -> bool {
        needs.iter().all(|(location, holds)| self.at(location) == *holds)
    }

    /// Does what an event did. `history` is what stands for all that its process has seen, this event included.
    pub(super) fn apply(&mut self, event: &Event, history: Mark) {
        for (number, access) in event.operation.accesses.iter().enumerate() {
            let made = match &event.payload {
                // What was written is known: then it does not matter who wrote it.
                Some(payload) if is_blind(event, access) => mark(payload.bytes.as_slice()),
                _ => mark(&(history, number)),
            };
            match (access.kind, &access.location) {
                (AccessKind::Read, _) => {}
                (
                    AccessKind::Join,
                    Location::Listing(_) | Location::Status(_) | Location::Lock(_) | Location::Ends { .. },
                ) => {
                    let parts = self.parts.entry(Key::of(&access.location)).or_default();
                    let whole = parts.entry(0).or_insert((u64::MAX, 0));
                    whole.1 = whole.1.wrapping_add(made);
                }
                (AccessKind::Join, location) => {
                    let made = mark(&(self.at(location), made));
                    self.put(location, made);
                }
                (AccessKind::Write, location) => self.put(location, made),
            }
        }
        // Of what a process does, that it ends is what others may see of it as such.
        if let Some(exit) = event.exit {
            self.put(&Location::Process(event.process), mark(&exit));
        }
    }

    /// Lets a location hold something else.
    fn put(&mut self, location: &Location, holds: Mark) {
        let (start, end) = range(location);
        let parts = self.parts.entry(Key::of(location)).or_default();
        let overlapping: Vec<(u64, (u64, Mark))> = parts
            .iter()
            .filter(|(from, (to, _))| **from < end && start < *to)
            .map(|(from, part)| (*from, *part))
            .collect();
        for (from, (to, before)) in overlapping {
            parts.remove(&from);
            if from < start {
                parts.insert(from, (start, before));
            }
            if end < to {
                parts.insert(end, (to, before));
            }
        }
        if start < end {
            parts.insert(start, (end, mark(&(holds, start))));
        }
    }

    /// What stands for all of it.
    pub(super) fn mark(&self) -> Mark {
        mark(&self.parts)
    }
}
