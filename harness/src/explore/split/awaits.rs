use crate::model::{AccessKind, Event, Execution, Location, Operation, ProcessId};

/// A part of a search: see [`Split`](super::Split). The default is all of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Part {
    pub(super) awaits: Vec<Await>,
    /// What every execution of the part does, sooner or later.
    pub(super) needs: Vec<Touch>,
}

/// What may be done only when something else has been done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Await {
    pub(super) held: Touch,
    pub(super) until: Touch,
}

/// A process's touch of a location, or its change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Touch {
    pub(super) process: ProcessId,
    pub(super) location: Location,
    pub(super) changes: bool,
}

impl Touch {
    /// Whether this operation of this process is one. All of the location has to be touched, so that any two conflict of which one is
    /// a change.
    fn is(&self, process: ProcessId, operation: &Operation) -> bool {
        let counts = |kind| !self.changes || kind == AccessKind::Write;
        self.process == process
            && operation
                .accesses
                .iter()
                .any(|access| counts(access.kind) && access.location.contains(&self.location))
    }

    /// Whether this event is one.
    pub(super) fn is_in(&self, event: &Event) -> bool {
        self.is(event.process, &event.operation)
    }

    fn is_among<'e>(&self, mut events: impl Iterator<Item = &'e Event>) -> bool {
        events.any(|event| self.is_in(event))
    }
}

/// A fault to plant, so that the self-checks can be seen to find it. Not part of the interface.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartFault {
    /// Nobody waits: what belongs to other parts is run as well.
    NothingWaits,
    /// An execution without what the part wants is taken for one of it.
    NothingNeeded,
    /// A look counts as a change where a question is about the first change.
    LooksCount,
}

impl Part {
    /// The same with a fault.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(mut self, fault: PartFault) -> Self {
        match fault {
            PartFault::NothingWaits => self.awaits.clear(),
            PartFault::NothingNeeded => self.needs.clear(),
            PartFault::LooksCount => {
                for held in &mut self.awaits {
                    held.held.changes = false;
                    held.until.changes = false;
                }
            }
        }
        self
    }

    /// Whether the operation has to wait after these events.
    pub(in crate::explore) fn bars<'e>(
        &self,
        process: ProcessId,
        operation: &Operation,
        events: impl Iterator<Item = &'e Event> + Clone,
    ) -> bool {
        let mut held = self.awaits.iter().filter(|held| held.held.is(process, operation));
        held.any(|held| !held.until.is_among(events.clone()))
    }

    /// Whether an execution that came to its end is one of the part.
    pub(in crate::explore) fn has(&self, execution: &Execution) -> bool {
        self.needs.iter().all(|needed| needed.is_among(execution.trace.iter()))
    }
}
