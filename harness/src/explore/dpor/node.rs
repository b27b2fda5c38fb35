use super::wakeup::{Step, Tree, insert, is_weak_initial};
use crate::model::{Operation, ProcessId, View};

/// A point of the present execution where a choice was made.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// What each process is held at; `None` for one that is over.
    pending: Vec<Option<Operation>>,
    /// The sleep set: processes whose operation, done next, leads to nothing new. Those that were chosen here before are in it.
    sleep: Vec<ProcessId>,
    /// The process that was chosen.
    chosen: ProcessId,
    /// What is to be run from here after that.
    branches: Tree,
}

impl Node {
    /// The node that `view` shows, with its sleep set and what is to be run from it; and what is to be run below the process that
    /// is chosen. `None` where all that is enabled is asleep.
    pub(super) fn new(view: View<'_>, sleep: Vec<ProcessId>, mut branches: Tree) -> Option<(Self, Tree)> {
        let awake: Vec<ProcessId> = view.enabled().filter(|process| !sleep.contains(process)).collect();
        let pending = view.processes.iter().map(|status| status.operation().cloned()).collect();
        let (chosen, below) = match branches.first() {
            Some(branch) if awake.contains(&branch.process) => {
                let branch = branches.remove(0);
                (branch.process, branch.below)
            }
            // Free to choose; or the backend broke the invariant of accesses, and to search freely is what remains sound.
            _ => {
                branches.clear();
                (*awake.first()?, Tree::new())
            }
        };
        Some((Self { pending, sleep, chosen, branches }, below))
    }

    /// The process that is chosen here.
    pub(super) fn chosen(&self) -> ProcessId {
        self.chosen
    }

    /// What a process is held at here.
    pub(super) fn pending(&self, process: ProcessId) -> Option<&Operation> {
        self.pending.get(process.0)?.as_ref()
    }

    /// Chooses what is to be run next from here, and gives what is to be run below it; `None` where nothing is left.
    pub(super) fn advance(&mut self) -> Option<Tree> {
        if self.branches.is_empty() {
            return None;
        }
        let branch = self.branches.remove(0);
        self.sleep.push(self.chosen);
        self.chosen = branch.process;
        Some(branch.below)
    }

    /// The processes that sleep on once `done` has been done here: those that nobody could tell from having come first.
    pub(super) fn sleep_after(&self, done: &Operation) -> Vec<ProcessId> {
        let undisturbed = |process: &ProcessId| self.pending(*process).is_some_and(|held| !held.conflicts(done));
        self.sleep.iter().copied().filter(undisturbed).collect()
    }

    /// Sees to it that a sequence equivalent to this one is run from here, if none was.
    pub(super) fn plan(&mut self, sequence: Vec<Step<'_>>) {
        let pending = &self.pending;
        let was_run = self.sleep.iter().any(|process| {
            pending[process.0].as_ref().is_some_and(|held| is_weak_initial(*process, held, &sequence))
        });
        if was_run {
            return;
        }
        insert(&mut self.branches, sequence);
        // What is first here is known exactly, even where it is the last of its sequence.
        if let Some(branch) = self.branches.last_mut()
            && let Some(held) = &self.pending[branch.process.0]
        {
            branch.operation.clone_from(held);
        }
    }
}
