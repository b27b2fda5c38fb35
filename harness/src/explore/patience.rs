use std::collections::BTreeSet;

use crate::model::{Access, Event, ProcessId};

/// After so many operations of its own that change nothing and look at nothing new, a process waits for what another is to do.
const MOST: usize = 64;

/// Which processes of an execution poll: so that whoever prefers a process does not run it for ever.
///
/// It depends on what the process itself did and on nothing else: so it is the same in all executions of a trace class.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience {
    of: Vec<Looks>,
    noted: usize,
}

/// What a process has looked at since it last changed something, and its operations since it last looked at something new.
#[derive(Clone, Debug, Default)]
struct Looks {
    at: BTreeSet<Access>,
    in_vain: usize,
}

impl Patience {
    /// Begins an execution.
    pub(super) fn begin(&mut self) {
        self.of.clear();
        self.noted = 0;
    }

    /// Takes note of the steps since the last time.
    pub(super) fn note(&mut self, trace: &[Event]) {
        for event in &trace[self.noted.min(trace.len())..] {
            let process = event.process.0;
            if self.of.len() <= process {
                self.of.resize(process + 1, Looks::default());
            }
            self.of[process].add(event);
        }
        self.noted = trace.len();
    }

    /// Whether a process has looked in vain for so long that another should have its turn.
    pub(super) fn is_spent(&self, process: ProcessId) -> bool {
        self.of.get(process.0).is_some_and(|looks| looks.in_vain >= MOST)
    }
}

impl Looks {
    fn add(&mut self, event: &Event) {
        let accesses = &event.operation.accesses;
        if !accesses.iter().all(Access::only_looks) {
            *self = Self::default();
            return;
        }
        let before = self.at.len();
        self.at.extend(accesses.iter().cloned());
        self.in_vain = if self.at.len() > before { 0 } else { self.in_vain + 1 };
    }
}
