use crate::model::{AccessKind, Location, Operation, ProcessId};

/// How much is known of an operation that was not run in this order yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// All that it touches, and how.
    All,
    /// What it looks at first; it may change that, and go on to other things.
    Beginning,
    /// That it tries to take a lock: a look where it is refused, a change that commutes with its like if the lock is shared.
    Try,
}

/// One step of a sequence that is to be run from some node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) process: ProcessId,
    pub(super) operation: &'a Operation,
    pub(super) known: Known,
}

impl Step<'_> {
    /// Whether the two conflict, whatever is not known of them.
    fn surely_conflicts(&self, other: &Self) -> bool {
        let holds = |a: &Self, b: &Self| a.known != Known::Try || b.changes_what_is_tried(a);
        self.operation.disturbs(self.process, other.operation, other.process)
            && holds(self, other)
            && holds(other, self)
    }

    fn changes_what_is_tried(&self, tried: &Self) -> bool {
        let mut changes = self.operation.accesses.iter().filter(|access| access.kind == AccessKind::Write);
        let is_tried =
            |lock: &Location| tried.operation.accesses.iter().any(|look| look.location.overlaps(lock));
        changes.any(|change| is_tried(&change.location))
    }
}

/// A wakeup tree: sequences that must still be run, none of them equivalent to the beginning of another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Tree {
    /// In the order in which they are to be run.
    pub(super) branches: Vec<Branch>,
    /// Sequences of which only the run will tell whether they are among the branches: they are to be put in when it comes here.
    pub(super) undecided: Vec<Branch>,
}

/// One branch of a wakeup tree. With nothing below it, it is run on freely.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Branch {
    pub(super) process: ProcessId,
    pub(super) operation: Operation,
    /// Not all only where nothing is below it: at the last step of a sequence.
    pub(super) known: Known,
    pub(super) below: Tree,
}

/// Whether some continuation of the sequence is equivalent to one that begins with this process (the paper's weak initials, WI):
/// its first step in the sequence depends on none before, or it has no step there and depends on none at all.
pub(super) fn is_weak_initial(first: &Step<'_>, sequence: &[Step<'_>]) -> bool {
    sequence.iter().take_while(|step| step.process != first.process).all(|step| !step.surely_conflicts(first))
}

impl Branch {
    /// Its step.
    fn step(&self) -> Step<'_> {
        Step { process: self.process, operation: &self.operation, known: self.known }
    }
}

impl Tree {
    /// Makes sure that some sequence of the tree is equivalent to a beginning of a continuation of this one: it is there already,
    /// or it is added as the last branch of the node where it leaves the tree. Whether it was added.
    pub(super) fn insert(&mut self, mut sequence: Vec<Step<'_>>) -> bool {
        let begins = |branch: &&mut Branch| is_weak_initial(&branch.step(), &sequence);
        let Some(branch) = self.branches.iter_mut().find(begins) else {
            self.branches.extend(chain(&sequence));
            return true;
        };
        let at = sequence.iter().position(|step| step.process == branch.process);
        if branch.known != Known::All && at != Some(0) {
            // What is not known of the branch may conflict with what the sequence has before it.
            let before = self.undecided.len();
            let sequence = chain(&sequence);
            self.undecided.extend(sequence.filter(|sequence| !self.undecided.contains(sequence)));
            return self.undecided.len() > before;
        }
        if let Some(at) = at {
            sequence.remove(at);
        }
        !sequence.is_empty() && !branch.below.branches.is_empty() && branch.below.insert(sequence)
    }
}

/// The sequence as a tree without forks.
fn chain(sequence: &[Step<'_>]) -> Option<Branch> {
    sequence.iter().rev().fold(None, |below, step| {
        let Step { process, operation, known } = *step;
        let below = Tree { branches: below.into_iter().collect(), undecided: Vec::new() };
        Some(Branch { process, operation: operation.clone(), known, below })
    })
}

/// The sequence that is this tree without forks.
pub(super) fn steps(chain: &Branch) -> Vec<Step<'_>> {
    std::iter::successors(Some(chain), |branch| branch.below.branches.first()).map(Branch::step).collect()
}

#[cfg(test)]
mod tests {
    use super::{Known, Step, Tree, is_weak_initial, steps};
    use crate::model::{Access, Location, ObjectId, Operation, ProcessId};

    fn write(object: u32) -> Operation {
        let location = Location::Data { object: ObjectId::Initial(object), start: 0, end: 1 };
        Operation { accesses: vec![Access::write(location)], ..Operation::default() }
    }

    fn step(process: usize, operation: &Operation) -> Step<'_> {
        Step { process: ProcessId(process), operation, known: Known::All }
    }

    /// The tree in one line: `A(B) C`.
    fn show(tree: &Tree) -> String {
        let branches = tree.branches.iter().map(|branch| match branch.below.branches.is_empty() {
            true => branch.process.to_string(),
            false => format!("{}({})", branch.process, show(&branch.below)),
        });
        branches.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_sequence_is_added_once_whatever_the_order_of_its_independent_steps() {
        let (x, y) = (write(1), write(2));
        let [a, b, c] = [step(0, &x), step(1, &y), step(2, &x)];
        let mut tree = Tree::default();
        tree.insert(vec![a, b]);
        tree.insert(vec![b, a]);
        assert_eq!(show(&tree), "A(B)");
        tree.insert(vec![b, c]);
        assert_eq!(show(&tree), "A(B) B(C)", "C conflicts with A, so it cannot follow it");
        tree.insert(vec![c, b]);
        assert_eq!(show(&tree), "A(B) B(C)");
        tree.insert(vec![a, b, c]);
        assert_eq!(show(&tree), "A(B) B(C)", "what extends a leaf is found from there");
    }

    #[test]
    fn weak_initials_are_first_or_independent() {
        let (x, y) = (write(1), write(2));
        let sequence = [step(0, &x), step(1, &x)];
        assert!(is_weak_initial(&step(0, &x), &sequence));
        assert!(!is_weak_initial(&step(1, &x), &sequence));
        assert!(is_weak_initial(&step(2, &y), &sequence));
        assert!(!is_weak_initial(&step(2, &x), &sequence));
    }

    #[test]
    fn what_a_branch_of_which_only_the_beginning_is_known_may_conflict_with_is_left_undecided() {
        let (x, y) = (write(1), write(2));
        let mut tree = Tree::default();
        tree.insert(vec![Step { known: Known::Beginning, ..step(0, &x) }]);
        for _ in 0..2 {
            tree.insert(vec![step(1, &y), step(0, &x)]);
        }
        tree.insert(vec![step(0, &x), step(1, &y)]);
        assert_eq!((show(&tree).as_str(), tree.undecided.len()), ("A", 1));
        let sequence: Vec<_> = steps(&tree.undecided[0]).iter().map(|step| step.process.0).collect();
        assert_eq!(sequence, [1, 0]);
    }
}
