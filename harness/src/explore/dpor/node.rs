use super::super::split::Part;
use super::wakeup::{Branch, Known, Step, Tree, is_weak_initial, steps};
use crate::model::{Access, Event, Operation, ProcessId, View};

/// A point of the present execution where a choice was made.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// What each process is held at; `None` for one that is over.
    pending: Vec<Option<Operation>>,
    /// Who cannot go on in any order, unless it is sent a signal.
    stuck: Vec<ProcessId>,
    /// The sleep set: processes whose operation, done next, leads to nothing new. Those that were chosen here before are in it.
    sleep: Vec<ProcessId>,
    /// The process that was chosen.
    chosen: ProcessId,
    /// What is to be run from here after that.
    tree: Tree,
    /// How many branches were run from here before the present one.
    tried: usize,
}

/// After so many steps in a row that change nothing, a process gives way: it may be waiting for what another is to do.
const PATIENCE: usize = 64;

/// Whom to choose where nothing is planned: the first of those awake, so that executions have few context switches; unless it does
/// nothing but look, again and again. Any choice would be sound; this one does not follow an unfair schedule for ever.
fn free_choice(view: View<'_>, awake: &[ProcessId]) -> Option<ProcessId> {
    let first = *awake.first()?;
    let only_looks =
        |event: &Event| event.process == first && event.operation.accesses.iter().all(Access::only_looks);
    let looks = view.trace.iter().rev().take(PATIENCE).take_while(|event| only_looks(event)).count();
    let other = awake.get(1).filter(|_| looks == PATIENCE);
    Some(*other.unwrap_or(&first))
}

impl Node {
    /// The node that `view` shows, with its sleep set and what is to be run from it; and what is to be run below the process that
    /// is chosen. `None` where all that is enabled is asleep, or waits for what the part wants first.
    pub(super) fn new(
        view: View<'_>,
        part: &Part,
        sleep: Vec<ProcessId>,
        mut tree: Tree,
    ) -> Option<(Self, Tree)> {
        let may_go_on = |process: &ProcessId| {
            let held = view.processes[process.0].operation();
            held.is_some_and(|operation| !part.bars(*process, operation, view.trace.iter()))
        };
        let is_awake = |process: &ProcessId| !sleep.contains(process) && may_go_on(process);
        let awake: Vec<ProcessId> = view.enabled().filter(is_awake).collect();
        // An end that nobody can see yet may come here all the same, where that was planned.
        let may_come: Vec<ProcessId> = view.may_be_chosen().filter(is_awake).collect();
        // Of what was known in part when it was planned, only now it shows that it has to wait.
        tree.branches.retain(|branch| branch.known == Known::All || may_come.contains(&branch.process));
        let is_planned = tree
            .branches
            .first()
            .map_or(!tree.undecided.is_empty(), |branch| may_come.contains(&branch.process));
        let pending = view.processes.iter().map(|status| status.operation().cloned()).collect();
        let is_stuck = |process: &ProcessId| view.processes[process.0].is_stuck(*process);
        let stuck = (0..view.processes.len()).map(ProcessId).filter(is_stuck).collect();
        let planned = tree.branches.first().map(|branch| branch.process).filter(|_| is_planned);
        let chosen = free_choice(view, &awake).or(planned)?;
        let mut node = Self { pending, stuck, sleep, chosen, tree: Tree::default(), tried: 0 };
        // Else free to choose; or the backend broke the invariant of accesses, and to search freely is what remains sound.
        let below = if is_planned { node.adopt(tree, &may_come) } else { Tree::default() };
        Some((node, below))
    }

    /// Takes over what is to be run from here, now that what each process would do is known, and chooses the first of it.
    fn adopt(&mut self, tree: Tree, may_come: &[ProcessId]) -> Tree {
        self.tree.branches = tree.branches;
        for branch in &mut self.tree.branches {
            settle(branch, &self.pending);
        }
        for sequence in &tree.undecided {
            self.plan(steps(sequence));
        }
        self.tree.branches.retain(|branch| may_come.contains(&branch.process));
        if self.tree.branches.is_empty() {
            return Tree::default();
        }
        let first = self.tree.branches.remove(0);
        self.chosen = first.process;
        first.below
    }

    /// The process that is chosen here.
    pub(super) fn chosen(&self) -> ProcessId {
        self.chosen
    }

    /// What a process is held at here.
    pub(super) fn pending(&self, process: ProcessId) -> Option<&Operation> {
        self.pending.get(process.0)?.as_ref()
    }

    /// The same, of one that can go on in some order.
    pub(super) fn may_do(&self, process: ProcessId) -> Option<&Operation> {
        self.pending(process).filter(|_| !self.stuck.contains(&process))
    }

    /// What the processes that are not chosen are held at.
    pub(super) fn others(&self) -> Vec<(ProcessId, Operation)> {
        let held = |(index, pending): (usize, &Option<Operation>)| Some((ProcessId(index), pending.clone()?));
        self.pending
            .iter()
            .enumerate()
            .filter_map(held)
            .filter(|(process, _)| *process != self.chosen)
            .collect()
    }

    /// Chooses what is to be run next from here, and gives what is to be run below it; `None` where nothing is left.
    pub(super) fn advance(&mut self) -> Option<Tree> {
        if self.tree.branches.is_empty() {
            return None;
        }
        let branch = self.tree.branches.remove(0);
        self.sleep.push(self.chosen);
        self.tried += 1;
        self.chosen = branch.process;
        Some(branch.below)
    }

    /// The processes that the branches left begin with, in the order in which they are to be run.
    pub(super) fn planned(&self) -> impl Iterator<Item = ProcessId> + '_ {
        self.tree.branches.iter().map(|branch| branch.process)
    }

    /// Lets nobody sleep.
    pub(super) fn wake(&mut self) {
        self.sleep.clear();
    }

    /// How many branches from here were run before the present one, and how many are known to be left.
    pub(super) fn branches(&self) -> (usize, usize) {
        (self.tried, self.tree.branches.len())
    }

    /// The processes that sleep on once `done` has been done here: those that nobody could tell from having come first.
    pub(super) fn sleep_after(&self, by: ProcessId, done: &Operation) -> Vec<ProcessId> {
        let undisturbed = |process: &ProcessId| {
            self.pending(*process).is_some_and(|held| !held.disturbs(*process, done, by))
        };
        self.sleep.iter().copied().filter(undisturbed).collect()
    }

    /// Sees to it that a sequence equivalent to this one is run from here, if none was. Whether it was not planned before.
    pub(super) fn plan(&mut self, sequence: Vec<Step<'_>>) -> bool {
        let pending = &self.pending;
        // Who waits may come to something else when it overtakes, which does not conflict with what is run here now.
        let waits = sequence.last().is_some_and(|last| !last.operation.needs.is_empty());
        let known = sequence.iter().all(|step| step.known == Known::All);
        let present = (waits && known).then_some(&self.chosen);
        let was_run = self.sleep.iter().chain(present).any(|process| {
            pending[process.0].as_ref().is_some_and(|operation| {
                is_weak_initial(&Step { process: *process, operation, known: Known::All }, &sequence)
            })
        });
        if was_run {
            return false;
        }
        let is_new = self.tree.insert(sequence);
        if let Some(added) = self.tree.branches.last_mut() {
            settle(added, &self.pending);
        }
        is_new
    }
}

/// What a branch would do is known at its node, even where it is the last step of its sequence.
fn settle(branch: &mut Branch, pending: &[Option<Operation>]) {
    if let Some(Some(held)) = pending.get(branch.process.0) {
        branch.operation.clone_from(held);
        branch.known = Known::All;
    }
}
