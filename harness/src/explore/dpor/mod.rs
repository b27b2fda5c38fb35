mod node;
mod races;
mod wakeup;

use self::node::Node;
use self::races::Races;
use self::wakeup::Tree;
use super::Strategy;
use crate::model::{Choice, Cut, Ending, Execution, Operation, ProcessId, View};

/// Optimal dynamic partial-order reduction: one execution for each trace class, none redundant.
#[derive(Clone, Debug, Default)]
pub struct Dpor {
    /// The nodes of the present execution, from the start.
    stack: Vec<Node>,
    /// What is to be run below the last of them.
    below: Tree,
    begun: bool,
    fault: Option<Fault>,
}

/// A fault to plant, so that the self-checks can be seen to find it. Not part of the interface.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Processes sleep on whatever is done.
    NeverWake,
    /// Those that wait at a deadlock do not race.
    WaitersForgotten,
    /// A reversal does not take along what is independent of it.
    ReversalAlone,
    /// Acquisitions that wait race as other operations do: with the release before them, and the lock being held.
    HeldLocksStay,
    /// A race that cannot be reversed stands in the way of those behind it.
    HeldLocksShadow,
    /// A reversed operation is taken to touch what it touched before.
    AccessesStay,
    /// What is known of a reversed operation is taken to be all of it.
    NothingUndecided,
}

impl Dpor {
    /// An exploration from the start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One with a fault.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    /// The sleep set of the node that `view` shows.
    fn sleep(&self, view: View<'_>) -> Vec<ProcessId> {
        match (self.stack.last(), view.trace.last()) {
            (Some(node), Some(_)) if self.fault == Some(Fault::NeverWake) => {
                node.sleep_after(&Operation::default())
            }
            (Some(node), Some(event)) => node.sleep_after(&event.operation),
            _ => Vec::new(),
        }
    }

    /// What processes are held at when the execution has ended: those that wait, or have been cut off.
    fn held(&self, ending: &Ending) -> Vec<(ProcessId, Operation)> {
        match ending {
            Ending::Blocked(_) if self.fault == Some(Fault::WaitersForgotten) => Vec::new(),
            Ending::Blocked(waiting) => waiting.iter().map(|at| (at.process, at.operation.clone())).collect(),
            Ending::Cut(_) => self.stack.last().map_or_else(Vec::new, Node::others),
            Ending::Complete => Vec::new(),
        }
    }
}

impl Strategy for Dpor {
    fn begin(&mut self) -> bool {
        if !self.begun {
            self.begun = true;
            return true;
        }
        while let Some(node) = self.stack.last_mut() {
            if let Some(below) = node.advance() {
                self.below = below;
                return true;
            }
            self.stack.pop();
        }
        false
    }

    fn choose(&mut self, view: View<'_>) -> Result<Choice, Cut> {
        let step = view.trace.len();
        if step == self.stack.len() {
            let sleep = self.sleep(view);
            let tree = std::mem::take(&mut self.below);
            let (node, below) = Node::new(view, sleep, tree).ok_or(Cut::Redundant)?;
            self.stack.push(node);
            self.below = below;
        }
        Ok(Choice::Process(self.stack[step].chosen()))
    }

    fn end(&mut self, execution: &Execution) {
        if execution.ending == Ending::Cut(Cut::Redundant) {
            return;
        }
        let held = self.held(&execution.ending);
        for race in Races::of(execution, &held, self.fault) {
            let node = &mut self.stack[race.earlier()];
            let (operation, known) = race.operation(node.pending(race.process()));
            node.plan(race.sequence(&operation, known));
        }
    }

    fn is_exhaustive(&self) -> bool {
        true
    }
}
